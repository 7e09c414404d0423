/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * json-value [PATH...] <DOCUMENT: checks that the standard input is one well-formed JSON document (RFC 8259) and nothing else, and prints the values
 * at these paths, a line each: members by name, elements by number, as "targets 0 read requests" with dots for spaces. Of a string what is between
 * the quotes, of an array how many elements it has. Exit status 1, with a message, if it is none, or a path leads nowhere.
 */

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST_DEPTH 64

static const char *g_place;
static const char *g_wanted; /* the path that is looked for */
static char g_path[1024];
static bool g_found;

static void wrong(const char *what)
{
	fprintf(stderr, "json-value: %s at '%.40s'\n", what, g_place);
	exit(1);
}

static void space(void)
{
	g_place += strspn(g_place, " \t\r\n");
}

static void expect(char character)
{
	if (*g_place != character) {
		fprintf(stderr, "json-value: expected '%c', found '%.40s'\n", character, g_place);
		exit(1);
	}
	g_place++;
}

/* What is between the quotes. */
static size_t string(const char **text)
{
	expect('"');
	*text = g_place;
	while (*g_place != '"') {
		if ((unsigned char)*g_place < 0x20) {
			wrong("a string that does not end, or with a control character");
		}
		if (*g_place++ == '\\') {
			if (*g_place == 'u') {
				if (strspn(g_place + 1, "0123456789abcdefABCDEF") < 4) {
					wrong("no \\uXXXX");
				}
				g_place += 4;
			} else if (*g_place == '\0' || strchr("\"\\/bfnrt", *g_place) == NULL) {
				wrong("no escape");
			}
			g_place++;
		}
	}
	return (size_t)(g_place++ - *text);
}

static size_t decimals(void)
{
	size_t count = strspn(g_place, "0123456789");

	g_place += count;
	return count;
}

static void number(void)
{
	g_place += *g_place == '-';
	if (*g_place == '0') {
		g_place++;
	} else if (decimals() == 0) {
		wrong("no value");
	}
	if (*g_place == '.') {
		g_place++;
		if (decimals() == 0) {
			wrong("no digit behind the point");
		}
	}
	if (*g_place == 'e' || *g_place == 'E') {
		g_place++;
		g_place += *g_place == '+' || *g_place == '-';
		if (decimals() == 0) {
			wrong("no exponent");
		}
	}
}

static void found(const char *text, size_t length)
{
	if (g_wanted != NULL && strcmp(g_wanted, g_path) == 0) {
		g_found = true;
		printf("%.*s\n", (int)length, text);
	}
}

static void value(unsigned depth);

/* A member or an element: its path is the one around it and its name. */
static void child(unsigned depth, const char *name, size_t length)
{
	size_t before = strlen(g_path);

	if (before + length + 2 > sizeof(g_path)) {
		wrong("a path that is too long");
	}
	snprintf(g_path + before, sizeof(g_path) - before, "%s%.*s", before == 0 ? "" : ".", (int)length, name);
	value(depth + 1);
	g_path[before] = '\0';
}

static void object(unsigned depth)
{
	expect('{');
	space();
	while (*g_place != '}') {
		const char *name;
		size_t length = string(&name);

		space();
		expect(':');
		child(depth, name, length);
		if (*g_place != '}') {
			expect(',');
			space();
			if (*g_place == '}') {
				wrong("a comma behind the last member");
			}
		}
	}
	g_place++;
}

static void array(unsigned depth)
{
	unsigned count = 0;
	char name[16];

	expect('[');
	space();
	while (*g_place != ']') {
		snprintf(name, sizeof(name), "%u", count++);
		child(depth, name, strlen(name));
		if (*g_place != ']') {
			expect(',');
			space();
			if (*g_place == ']') {
				wrong("a comma behind the last element");
			}
		}
	}
	g_place++;
	snprintf(name, sizeof(name), "%u", count);
	found(name, strlen(name));
}

static void value(unsigned depth)
{
	static const char *const words[] = {"true", "false", "null"};
	const char *begin, *text;
	size_t index;

	if (depth > MOST_DEPTH) {
		wrong("too deep");
	}
	space();
	begin = g_place;
	if (*g_place == '{') {
		object(depth);
	} else if (*g_place == '[') {
		array(depth);
	} else if (*g_place == '"') {
		size_t length = string(&text);

		found(text, length);
	} else {
		for (index = 0; index < 3 && strncmp(g_place, words[index], strlen(words[index])) != 0; index++) {
		}
		if (index < 3) {
			g_place += strlen(words[index]);
		} else {
			number();
		}
		found(begin, (size_t)(g_place - begin));
	}
	space();
}

static char *read_all(void)
{
	size_t size = 0, room = 1 << 16, got;
	char *text = malloc(room);

	while (text != NULL && (got = fread(text + size, 1, room - size - 1, stdin)) != 0) {
		size += got;
		if (room - size == 1) {
			room *= 2;
			text = realloc(text, room);
		}
	}
	if (text == NULL || memchr(text, '\0', size) != NULL) {
		fprintf(stderr, "json-value: no memory, or a zero byte\n");
		exit(1);
	}
	text[size] = '\0';
	return text;
}

static void go_over(const char *text)
{
	g_place = text;
	g_path[0] = '\0';
	value(0);
	if (*g_place != '\0') {
		wrong("more than one document");
	}
}

int main(int argc, char **argv)
{
	char *text = read_all();
	int index;

	go_over(text);
	for (index = 1; index < argc; index++) {
		g_wanted = argv[index];
		g_found = false;
		go_over(text);
		if (!g_found) {
			fprintf(stderr, "json-value: there is no '%s'\n", argv[index]);
			return 1;
		}
	}
	free(text);
	return 0;
}
