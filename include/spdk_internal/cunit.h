/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Test programs that are made with CUnit: their command line. All is inline, so that no library of ours needs CUnit; the
 * program links it (-lcunit).
 */

#ifndef SPDK_CUNIT_H
#define SPDK_CUNIT_H

#include "spdk/stdinc.h"

#include <CUnit/Basic.h>

#ifdef __cplusplus
extern "C" {
#endif

/** CU_ASSERT_FATAL(), after which a compiler knows that the condition holds. */
#define SPDK_CU_ASSERT_FATAL(cond) \
	do { \
		bool cond_holds = (cond); \
\
		CU_ASSERT_FATAL(cond_holds); \
		if (!cond_holds) { \
			abort(); \
		} \
	} while (0)

/** Called for each of the program's own options. Anything but 0 ends the program's run. */
typedef int (*spdk_ut_option_cb)(int opt, const char *optarg, void *cb_arg);

/** Called for the program's lines of the usage text. */
typedef void (*spdk_ut_usage_cb)(void *cb_arg);

/** Called before the first test. Anything but 0 ends the program's run. */
typedef int (*spdk_ut_init_cb)(void *cb_arg);

/** What a program adds to the command line; any pointer may be NULL. */
struct spdk_ut_opts {
	/** Short options, as for getopt(). */
	const char *optstring;
	/** Long options, optlen of them. */
	const struct option *opts;
	size_t optlen;
	void *cb_arg;
	spdk_ut_option_cb option_cb_fn;
	spdk_ut_init_cb init_cb_fn;
	spdk_ut_usage_cb usage_cb_fn;
};

/* What the command line asks for. */
struct spdk_ut_request {
	const char *suite;
	const char *test;
	bool list;
	bool help;
};

/* Reads the command line. Returns 0, -EINVAL after getopt's complaint, or what the program's function returned. */
static inline int
spdk_ut_read_arguments(int argc, char **argv, const struct spdk_ut_opts *opts, struct spdk_ut_request *request)
{
	static const struct option ours[] = {
		{ "suite", required_argument, NULL, 's' },
		{ "test", required_argument, NULL, 't' },
		{ "list", no_argument, NULL, 'l' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	size_t own = opts != NULL && opts->opts != NULL ? opts->optlen : 0;
	const char *own_short = opts != NULL && opts->optstring != NULL ? opts->optstring : "";
	struct option *all = (struct option *)calloc(own + sizeof(ours) / sizeof(*ours), sizeof(*all));
	char *letters = (char *)malloc(strlen(own_short) + sizeof("s:t:lh"));
	int rc = all == NULL || letters == NULL ? -ENOMEM : 0, opt;

	if (rc == 0) {
		if (own != 0) {
			memcpy(all, opts->opts, own * sizeof(*all));
		}
		/* A program's list may have the empty option at its end, which would end ours. */
		while (own != 0 && all[own - 1].name == NULL) {
			own--;
		}
		memcpy(all + own, ours, sizeof(ours));
		strcpy(letters, "s:t:lh");
		strcat(letters, own_short);
	}
	while (rc == 0 && (opt = getopt_long(argc, argv, letters, all, NULL)) != -1) {
		switch (opt) {
		case 's':
			request->suite = optarg;
			break;
		case 't':
			request->test = optarg;
			break;
		case 'l':
			request->list = true;
			break;
		case 'h':
			request->help = true;
			break;
		case '?':
			rc = -EINVAL;
			break;
		default:
			rc = opts != NULL && opts->option_cb_fn != NULL ? opts->option_cb_fn(opt, optarg, opts->cb_arg) : -EINVAL;
			break;
		}
	}
	free(all);
	free(letters);
	return rc;
}

/* Runs what is asked for. Returns the number of failures; 1 for a suite or test that is not there. */
static inline int
spdk_ut_run_requested(const char *program, const struct spdk_ut_request *request)
{
	CU_pSuite suite = NULL;
	CU_pTest test = NULL;

	if (request->suite != NULL) {
		suite = CU_get_suite(request->suite);
		if (suite == NULL) {
			fprintf(stderr, "%s: no suite is named '%s'\n", program, request->suite);
			return 1;
		}
	} else if (request->test != NULL) {
		/* A test is found by its name alone if there is one suite (CUnit counts from 1). */
		suite = CU_get_suite_at_pos(2) == NULL ? CU_get_suite_at_pos(1) : NULL;
		if (suite == NULL) {
			fprintf(stderr, "%s: in which suite (-s) is test '%s'?\n", program, request->test);
			return 1;
		}
	}
	if (request->test != NULL) {
		test = CU_get_test(suite, request->test);
		if (test == NULL) {
			fprintf(stderr, "%s: no test is named '%s'\n", program, request->test);
			return 1;
		}
	}
	CU_set_error_action(CUEA_ABORT);
	CU_basic_set_mode(CU_BRM_VERBOSE);
	if (test != NULL) {
		CU_basic_run_test(suite, test);
	} else if (suite != NULL) {
		CU_basic_run_suite(suite);
	} else {
		CU_basic_run_tests();
	}
	return (int)CU_get_number_of_failures();
}

/**
 * Runs the tests that are registered with CUnit, or those that the command line asks for: -s SUITE, -t TEST; -l lists them,
 * -h says so.
 *
 * \param opts what the program adds; may be NULL.
 * \return the number of failures; 1 if the command line asks for what is not there.
 */
static inline int
spdk_ut_run_tests(int argc, char **argv, const struct spdk_ut_opts *opts)
{
	struct spdk_ut_request request = { NULL, NULL, false, false };
	CU_pSuite suite;
	CU_pTest test;
	unsigned int at, inner;

	if (spdk_ut_read_arguments(argc, argv, opts, &request) != 0) {
		return 1;
	}
	if (request.help) {
		printf("%s [-s SUITE] [-t TEST] [-l] [-h]: runs tests; -l lists them\n", argv[0]);
		if (opts != NULL && opts->usage_cb_fn != NULL) {
			opts->usage_cb_fn(opts->cb_arg);
		}
		return 0;
	}
	if (request.list) {
		for (at = 1; (suite = CU_get_suite_at_pos(at)) != NULL; at++) {
			printf("%s:\n", suite->pName);
			for (inner = 1; (test = CU_get_test_at_pos(suite, inner)) != NULL; inner++) {
				printf("  %s\n", test->pName);
			}
		}
		return 0;
	}
	if (opts != NULL && opts->init_cb_fn != NULL && opts->init_cb_fn(opts->cb_arg) != 0) {
		return 1;
	}
	return spdk_ut_run_requested(argv[0], &request);
}

#ifdef __cplusplus
}
#endif

#endif /* SPDK_CUNIT_H */
