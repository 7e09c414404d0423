/* SPDX-License-Identifier: BSD-3-Clause */

/* Log lines, flags and deprecations. tests/programs.rs compares stderr and stdout with what is expected. */

#include "spdk/env.h"
#include "spdk/log.h"

#include "check.h"

SPDK_LOG_REGISTER_COMPONENT(zebra)
SPDK_LOG_REGISTER_COMPONENT(nvme)
SPDK_LOG_REGISTER_COMPONENT(nvme_rdma)
SPDK_LOG_DEPRECATION_REGISTER(old_thing, "the old thing", "v99.01", SPDK_LOG_DEPRECATION_EVERY_24H)

static int g_opened, g_closed, g_logged;
static char g_text[5000];

static void
own_log(int level, const char *file, const int line, const char *func, const char *format, va_list args)
{
	CHECK(level == SPDK_LOG_DEBUG && strcmp(file, "f") == 0 && line == 3 && strcmp(func, "g") == 0);
	vsnprintf(g_text, sizeof(g_text), format, args);
	g_logged++;
}

static void
own_open(void *ctx)
{
	g_opened += *(int *)ctx;
}

static void
own_close(void *ctx)
{
	g_closed += *(int *)ctx;
}

static void
with_list(void (*log)(enum spdk_log_level, const char *, const int, const char *, const char *, va_list),
	  const char *format, ...)
{
	va_list args;

	va_start(args, format);
	log(SPDK_LOG_ERROR, "list.c", 12345, "with_list", format, args);
	va_end(args);
}

static void
lines(void)
{
	char long_text[3000];

	CHECK(spdk_log_get_print_level() == SPDK_LOG_ERROR && spdk_log_get_level() == SPDK_LOG_ERROR);
	spdk_log_set_level(SPDK_LOG_DISABLED);
	CHECK(spdk_log_get_level() == SPDK_LOG_DISABLED);

	SPDK_NOTICELOG("not printed\n");
	spdk_log(SPDK_LOG_ERROR, "file.c", 7, "function", "text %d %s %.2f\n", 1, "two", 3.0);
	spdk_log_set_print_level(SPDK_LOG_NOTICE);
	CHECK(spdk_log_get_print_level() == SPDK_LOG_NOTICE);
	spdk_log(SPDK_LOG_WARN, "file.c", 7, "function", "text\n");
	spdk_log(SPDK_LOG_NOTICE, "file.c", 7, "function", "text\n");
	spdk_log(SPDK_LOG_INFO, "file.c", 7, "function", "not printed\n");
	spdk_log_set_print_level(SPDK_LOG_DEBUG);
	spdk_log(SPDK_LOG_INFO, "file.c", 7, "function", "text\n");
	spdk_log(SPDK_LOG_DEBUG, "file.c", 7, "function", "text\n");
	spdk_log(SPDK_LOG_DISABLED, "file.c", 7, "function", "not printed\n");
	spdk_log((enum spdk_log_level)99, "file.c", 7, "function", "not printed\n");
	spdk_log((enum spdk_log_level) - 99, "file.c", 7, "function", "not printed\n");
	with_list(spdk_vlog, "%s %lld\n", "list", 1LL << 40);
	SPDK_PRINTF("no place\n");

	memset(long_text, 'x', sizeof(long_text));
	long_text[sizeof(long_text) - 1] = '\0';
	SPDK_PRINTF("%s\n", long_text);
	long_text[1023] = '\0';
	SPDK_PRINTF("%s\n", long_text);

	spdk_log_enable_timestamps(false);
	/* More arguments than fit into registers, of both kinds. */
	spdk_log(SPDK_LOG_ERROR, "many.c", 1, "f", "%d %d %d %d %d %d %g %g %g %g %g %g %g %g %g %g\n", 1, 2, 3, 4, 5, 6,
		 1.5, 2.5, 3.5, 4.5, 5.5, 6.5, 7.5, 8.5, 9.5, 10.5);
	spdk_log_set_print_level((enum spdk_log_level)17);
	CHECK(spdk_log_get_print_level() == SPDK_LOG_DEBUG);
	for (int i = 0; i < 3; i++) {
		SPDK_ERRLOG_RATELIMIT("rate limited\n");
	}
	spdk_log_set_print_level(SPDK_LOG_ERROR);

	CHECK(spdk_log_to_syslog_level(SPDK_LOG_DISABLED) == -1);
	CHECK(spdk_log_to_syslog_level(SPDK_LOG_ERROR) == LOG_ERR);
	CHECK(spdk_log_to_syslog_level(SPDK_LOG_WARN) == LOG_WARNING);
	CHECK(spdk_log_to_syslog_level(SPDK_LOG_NOTICE) == LOG_NOTICE);
	CHECK(spdk_log_to_syslog_level(SPDK_LOG_INFO) == LOG_INFO);
	CHECK(spdk_log_to_syslog_level(SPDK_LOG_DEBUG) == LOG_INFO);
}

static void
own_logs(void)
{
	int one = 1;
	struct spdk_log_opts opts = { .size = sizeof(opts), .log = own_log, .open = own_open, .close = own_close, .user_ctx = &one };

	spdk_log_open_ext(&opts);
	CHECK(g_opened == 1 && g_closed == 0);
	spdk_log(SPDK_LOG_DEBUG, "f", 3, "g", "%s %d", "own", 5);
	CHECK(g_logged == 1 && strcmp(g_text, "own 5") == 0);
	spdk_log_close();
	CHECK(g_closed == 1);
	spdk_log_close();
	CHECK(g_closed == 1);
	spdk_log(SPDK_LOG_DEBUG, "f", 3, "g", "not logged\n");
	CHECK(g_logged == 1);

	/* Fields behind the caller's size are not there. */
	opts.size = offsetof(struct spdk_log_opts, open);
	spdk_log_open_ext(&opts);
	spdk_log(SPDK_LOG_DEBUG, "f", 3, "g", "again");
	CHECK(g_opened == 1 && g_logged == 2);
	spdk_log_close();
	CHECK(g_closed == 1);

	spdk_log_open(own_log);
	spdk_log(SPDK_LOG_DEBUG, "f", 3, "g", "third");
	CHECK(g_logged == 3);
	spdk_log_close();
	spdk_log_open(NULL);
	spdk_log_close();
	spdk_log_open_ext(NULL);
	spdk_log_close();
}

static void
flags(void)
{
	static struct spdk_log_flag again = { .name = "NVME" };
	struct spdk_log_flag *flag = spdk_log_get_first_flag();

	CHECK(flag == &SPDK_LOG_nvme && strcmp(flag->name, "nvme") == 0);
	flag = spdk_log_get_next_flag(flag);
	CHECK(flag == &SPDK_LOG_nvme_rdma);
	flag = spdk_log_get_next_flag(flag);
	CHECK(flag == &SPDK_LOG_zebra);
	CHECK(spdk_log_get_next_flag(flag) == NULL);
	CHECK(spdk_log_get_next_flag(&again) == NULL);

	fprintf(stderr, "expect 2 errors\n");
	spdk_log_register_flag("NVME", &again);
	spdk_log_register_flag(NULL, &again);
	fprintf(stderr, "end of errors\n");

	CHECK(!spdk_log_get_flag("nvme") && !spdk_log_get_flag("nothing"));
	CHECK(spdk_log_set_flag("nothing") == -EINVAL && spdk_log_clear_flag("nothing*") == -EINVAL);
	CHECK(spdk_log_set_flag("Nvme") == 0);
	CHECK(spdk_log_get_flag("NVME") && !spdk_log_get_flag("nvme_rdma"));
	CHECK(spdk_log_set_flag("nvme*") == 0 && SPDK_LOG_nvme_rdma.enabled && !SPDK_LOG_zebra.enabled);
	CHECK(spdk_log_clear_flag("nvme_????") == 0 && SPDK_LOG_nvme.enabled && !SPDK_LOG_nvme_rdma.enabled);
	CHECK(spdk_log_set_flag("all") == 0 && SPDK_LOG_zebra.enabled && SPDK_LOG_nvme_rdma.enabled);
	spdk_log_set_print_level(SPDK_LOG_INFO);
	SPDK_INFOLOG(zebra, "flag set\n");
	CHECK(spdk_log_clear_flag("all") == 0 && !SPDK_LOG_nvme.enabled);
	SPDK_INFOLOG(zebra, "not printed\n");
	SPDK_DEBUGLOG(zebra, "not printed\n");
	spdk_log_set_print_level(SPDK_LOG_WARN);
}

static int
visit(void *ctx, struct spdk_deprecation *deprecation)
{
	*(struct spdk_deprecation **)ctx = deprecation;
	return 5;
}

static void
deprecations(void)
{
	struct spdk_deprecation *found = NULL;

	SPDK_LOG_DEPRECATED(old_thing);
	SPDK_LOG_DEPRECATED(old_thing);
	CHECK(spdk_log_for_each_deprecation(&found, visit) == 5 && found == _deprecated_old_thing);
	CHECK(strcmp(spdk_deprecation_get_tag(found), "old_thing") == 0);
	CHECK(strcmp(spdk_deprecation_get_description(found), "the old thing") == 0);
	CHECK(strcmp(spdk_deprecation_get_remove_release(found), "v99.01") == 0);
	CHECK(spdk_deprecation_get_hits(found) == 2);
	CHECK(spdk_log_deprecation_register(NULL, "", "", 0, &found) == -EINVAL);
	spdk_log_deprecated(NULL, "file.c", 3, "function");
}

static void
streams(void)
{
	unsigned char bytes[40];

	for (size_t i = 0; i < sizeof(bytes); i++) {
		bytes[i] = (unsigned char)(i + 0x58);
	}
	spdk_log_usage(stdout, "-L");
	spdk_flog(stdout, "file.c", 7, "function", "%s\n", "flog");
	spdk_flog(stdout, NULL, 0, NULL, "%d\n", 5);
	spdk_log_dump(stdout, "label", bytes, sizeof(bytes));
	spdk_log_dump(stdout, "nothing", bytes, 0);
}

int
main(void)
{
	flags();
	spdk_log_set_print_level(SPDK_LOG_ERROR);
	lines();
	own_logs();
	spdk_log_set_print_level(SPDK_LOG_WARN);
	deprecations();
	streams();
	return 0;
}
