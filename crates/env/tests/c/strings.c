/* SPDX-License-Identifier: BSD-3-Clause */

/* Strings and numbers. */

#include "spdk/string.h"

#include "check.h"

static bool
same(const char *first, const char *second)
{
	return first != NULL && second != NULL && strcmp(first, second) == 0;
}

static char *
appended(char *buffer, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	buffer = spdk_vsprintf_append_realloc(buffer, format, args);
	va_end(args);
	return buffer;
}

static char *
formatted(const char *format, ...)
{
	va_list args;
	char *text;

	va_start(args, format);
	text = spdk_vsprintf_alloc(format, args);
	va_end(args);
	return text;
}

static void
formatting(void)
{
	char *text = spdk_sprintf_alloc("%s-%d-%.1f", "a", 1, 2.5);

	CHECK(same(text, "a-1-2.5"));
	text = spdk_sprintf_append_realloc(text, "+%5d", 42);
	CHECK(same(text, "a-1-2.5+   42"));
	text = appended(text, "%c", '!');
	CHECK(same(text, "a-1-2.5+   42!"));
	free(text);
	text = spdk_sprintf_append_realloc(NULL, "%s", "new");
	CHECK(same(text, "new"));
	free(text);
	text = formatted("%0*d", 2000, 7);
	CHECK(text != NULL && strlen(text) == 2000 && text[1999] == '7');
	free(text);
}

static void
in_place(void)
{
	char upper[] = "MiXed 1Z", trimmed[] = " \t two words \r\n", blank[] = " \n ", lines[] = "text\r\n\n\r", none[] = "";

	CHECK(same(spdk_strlwr(upper), "mixed 1z"));
	CHECK(spdk_strlwr(NULL) == NULL && spdk_str_trim(NULL) == NULL);
	CHECK(same(spdk_str_trim(trimmed), "two words"));
	CHECK(same(spdk_str_trim(blank), "") && same(spdk_str_trim(none), ""));
	CHECK(spdk_str_chomp(lines) == 4 && same(lines, "text"));
	CHECK(spdk_str_chomp(lines) == 0 && spdk_str_chomp(none) == 0);
}

static void
fields(void)
{
	char list[] = "one, 'two, 2' \"th\\\"ree\" fo\\,ur,,,last\nbehind";
	char *rest = list;

	CHECK(same(spdk_strsepq(&rest, ", "), "one"));
	CHECK(same(spdk_strsepq(&rest, ", "), "two, 2"));
	CHECK(same(spdk_strsepq(&rest, ", "), "th\"ree"));
	CHECK(same(spdk_strsepq(&rest, ", "), "fo,ur"));
	CHECK(same(spdk_strsepq(&rest, ", "), "last"));
	CHECK(rest == NULL && spdk_strsepq(&rest, ", ") == NULL);

	char single[] = "only", ends[] = "a;b;";
	rest = single;
	CHECK(same(spdk_strsepq(&rest, ";"), "only") && rest == NULL);
	CHECK(spdk_strsepq(&rest, ";") == NULL);
	rest = ends;
	CHECK(same(spdk_strsepq(&rest, ";"), "a") && same(spdk_strsepq(&rest, ";"), "b") && rest == NULL);
}

static void
errors(void)
{
	char text[64], small[5];

	spdk_strerror_r(ENOENT, text, sizeof(text));
	CHECK(same(text, "No such file or directory") && same(spdk_strerror(ENOENT), text));
	spdk_strerror_r(ENOENT, small, sizeof(small));
	CHECK(same(small, "No s"));
	spdk_strerror_r(ENOENT, NULL, 0);
	CHECK(same(spdk_strerror(99999), "Unknown error 99999"));
	CHECK(same(spdk_strerror(0), "Success"));
}

static void
padding(void)
{
	char field[8];

	spdk_strcpy_pad(field, "abc", sizeof(field), ' ');
	CHECK(memcmp(field, "abc     ", 8) == 0 && spdk_strlen_pad(field, 8, ' ') == 3);
	spdk_strcpy_pad(field, "abcdefghijk", sizeof(field), ' ');
	CHECK(memcmp(field, "abcdefgh", 8) == 0 && spdk_strlen_pad(field, 8, ' ') == 8);
	spdk_strcpy_pad(field, "", sizeof(field), 0);
	CHECK(spdk_mem_all_zero(field, 8) && spdk_strlen_pad(field, 8, 0) == 0 && spdk_strlen_pad(field, 0, 0) == 0);
	field[7] = 1;
	CHECK(!spdk_mem_all_zero(field, 8) && spdk_mem_all_zero(field, 7) && spdk_mem_all_zero(NULL, 0));
}

static void
numbers(void)
{
	static const struct {
		const char *text;
		int base;
		long expected;
	} cases[] = {
		{ "0", 10, 0 }, { "42", 10, 42 }, { "  42", 10, 42 }, { "+42", 10, 42 }, { "0x2a", 0, 42 },
		{ "052", 0, 42 }, { "z", 36, 35 }, { "9223372036854775807", 10, LONG_MAX }, { "", 10, 0 },
		{ "42 ", 10, -EINVAL }, { "42x", 10, -EINVAL }, { "x", 10, -EINVAL }, { "-5x", 10, -EINVAL },
		{ "9", 8, -EINVAL }, { "1", 1, -EINVAL }, { "1", 37, -EINVAL }, { "1", -1, -EINVAL },
		{ "-1", 10, -ERANGE }, { "-9223372036854775808", 10, -ERANGE }, { "-9223372036854775809", 10, -ERANGE },
		{ "9223372036854775808", 10, -ERANGE }, { "99999999999999999999999x", 10, -ERANGE },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		errno = EDOM;
		if (spdk_strtol(cases[i].text, cases[i].base) != cases[i].expected ||
		    spdk_strtoll(cases[i].text, cases[i].base) != cases[i].expected) {
			fprintf(stderr, "'%s' in base %d: %ld\n", cases[i].text, cases[i].base,
				spdk_strtol(cases[i].text, cases[i].base));
			exit(1);
		}
	}
	CHECK(spdk_strtol(NULL, 10) == -EINVAL && spdk_strtoll(NULL, 10) == -EINVAL);
}

static void
capacities(void)
{
	static const struct {
		const char *text;
		int result;
		uint64_t bytes;
		bool prefix;
	} cases[] = {
		{ "0", 0, 0, false }, { "123", 0, 123, false }, { "18446744073709551615", 0, UINT64_MAX, false },
		{ "1k", 0, 1024, true }, { "128K", 0, 131072, true }, { "2m", 0, 2097152, true }, { "3G", 0, 3221225472, true },
		{ "2GB", 0, 2147483648, true }, { "1T", -EINVAL, 0, false }, { "k", -EINVAL, 0, false }, { "", -EINVAL, 0, false },
		{ "-1", -EINVAL, 0, false }, { "18446744073709551616", -ERANGE, 0, false },
		{ "18014398509481984K", -ERANGE, 0, false },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t bytes = 0;
		bool prefix = false;
		int result = spdk_parse_capacity(cases[i].text, &bytes, &prefix);

		if (result != cases[i].result || bytes != cases[i].bytes || prefix != cases[i].prefix) {
			fprintf(stderr, "'%s': %d, %" PRIu64 ", %d\n", cases[i].text, result, bytes, prefix);
			exit(1);
		}
		CHECK(spdk_parse_capacity(cases[i].text, &bytes, NULL) == result);
	}
}

static void
addresses(void)
{
	static const struct {
		const char *text;
		const char *host;
		const char *port;
	} cases[] = {
		{ "10.0.0.1:4420", "10.0.0.1", "4420" }, { "10.0.0.1", "10.0.0.1", NULL }, { "10.0.0.1:", "10.0.0.1", NULL },
		{ "[fe80::1]:4420", "fe80::1", "4420" }, { "[fe80::1]", "fe80::1", NULL }, { "[fe80::1]:", "fe80::1", NULL },
		{ "", "", NULL }, { "[fe80::1", NULL, NULL }, { "[fe80::1]4420", NULL, NULL },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char text[32], *host, *port;

		snprintf(text, sizeof(text), "%s", cases[i].text);
		if (cases[i].host == NULL) {
			CHECK(spdk_parse_ip_addr(text, &host, &port) == -EINVAL);
			continue;
		}
		CHECK(spdk_parse_ip_addr(text, &host, &port) == 0 && same(host, cases[i].host));
		CHECK(cases[i].port == NULL ? port == NULL : same(port, cases[i].port));
	}
	char *host, *port;
	CHECK(spdk_parse_ip_addr(NULL, &host, &port) == -EINVAL);
}

static void
arrays(void)
{
	char **parts = spdk_strarray_from_string("a,b;;c,", ",;");
	char **copy;

	CHECK(parts != NULL && same(parts[0], "a") && same(parts[1], "b") && same(parts[2], ""));
	CHECK(same(parts[3], "c") && same(parts[4], "") && parts[5] == NULL);
	copy = spdk_strarray_dup((const char **)parts);
	CHECK(copy != NULL && copy != parts && copy[3] != parts[3] && same(copy[3], "c") && copy[5] == NULL);
	spdk_strarray_free(parts);
	spdk_strarray_free(copy);
	parts = spdk_strarray_from_string("", ",");
	CHECK(parts != NULL && same(parts[0], "") && parts[1] == NULL);
	spdk_strarray_free(parts);
	spdk_strarray_free(NULL);
}

static void
replacing(void)
{
	char out[12];

	CHECK(spdk_strcpy_replace(out, sizeof(out), "a--b--", "--", "+") == 0 && same(out, "a+b+"));
	CHECK(spdk_strcpy_replace(out, sizeof(out), "aaa", "aa", "b") == 0 && same(out, "ba"));
	CHECK(spdk_strcpy_replace(out, sizeof(out), "none", "x", "y") == 0 && same(out, "none"));
	CHECK(spdk_strcpy_replace(out, sizeof(out), "abc", "b", "123456789") == 0 && same(out, "a123456789c"));
	CHECK(spdk_strcpy_replace(out, sizeof(out), "abc", "b", "1234567890") == -EINVAL);
	CHECK(spdk_strcpy_replace(out, sizeof(out), NULL, "b", "") == -EINVAL);
	CHECK(spdk_strcpy_replace(NULL, 0, "a", "b", "") == -EINVAL);
}

int
main(void)
{
	formatting();
	in_place();
	fields();
	errors();
	padding();
	numbers();
	capacities();
	addresses();
	arrays();
	replacing();
	CHECK(strcmp(SPDK_STRINGIFY(__LINE__), "__LINE__") != 0);
	printf("ok\n");
	return 0;
}
