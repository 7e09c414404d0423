/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Checks for the C tests: each says where, what was expected and what was found, and counts. A test goes on after a
 * failed check, so that one run tells all there is to tell; REQUIRE ends it, where going on makes no sense.
 *
 * Usage: CHECK_INT(rc, 0); CHECK(pointer != NULL); ...; return check_result("name");
 */
#ifndef CHECK_H
#define CHECK_H

#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

static unsigned long g_checks;
static unsigned long g_failed_checks;

static inline bool check_that(bool holds, const char *file, int line, const char *text)
{
	g_checks++;
	if (!holds) {
		g_failed_checks++;
		fprintf(stderr, "%s:%d: expected: %s\n", file, line, text);
	}
	return holds;
}

static inline bool check_int(int64_t found, int64_t expected, const char *file, int line, const char *text)
{
	g_checks++;
	if (found != expected) {
		g_failed_checks++;
		fprintf(stderr, "%s:%d: %s: expected %" PRId64 ", found %" PRId64 "\n", file, line, text, expected, found);
	}
	return found == expected;
}

static inline bool check_range(double found, double low, double high, const char *file, int line, const char *text)
{
	g_checks++;
	if (!(found >= low && found <= high)) {
		g_failed_checks++;
		fprintf(stderr, "%s:%d: %s: expected %g to %g, found %g\n", file, line, text, low, high, found);
		return false;
	}
	return true;
}

/* All of these return whether the check held. */
#define CHECK(condition) check_that((condition), __FILE__, __LINE__, #condition)
#define CHECK_INT(found, expected) check_int((int64_t)(found), (int64_t)(expected), __FILE__, __LINE__, #found)
#define CHECK_RANGE(found, low, high) check_range((found), (low), (high), __FILE__, __LINE__, #found)

/* For what the rest of the test cannot do without. */
#define REQUIRE(condition)                                                                                             \
	do {                                                                                                           \
		if (!CHECK(condition)) {                                                                               \
			fprintf(stderr, "cannot go on\n");                                                             \
			exit(EXIT_FAILURE);                                                                            \
		}                                                                                                      \
	} while (0)

/* The last line of a test, and its exit status. */
static inline int check_result(const char *name)
{
	if (g_failed_checks != 0) {
		fprintf(stderr, "%s: %lu of %lu checks failed\n", name, g_failed_checks, g_checks);
		return EXIT_FAILURE;
	}
	printf("%s: %lu checks\n", name, g_checks);
	return g_checks == 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

#endif
