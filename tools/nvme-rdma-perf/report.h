/* SPDX-License-Identifier: BSD-3-Clause */

/* What was done, as text for people or as one JSON document for programs. Both are printed when all threads were joined. */
#ifndef REPORT_H
#define REPORT_H

#include <stdio.h>

#include "options.h"
#include "workload.h"

/* The sum of several lanes' books. */
struct books {
	uint64_t submitted;
	uint64_t completed;
	uint64_t aborted;
	uint64_t failed;
	uint64_t stray;
	uint64_t lost; /* in flight when everything had ended */
	uint64_t mismatches;
	struct direction reads;
	struct direction writes;
};

/* Adds the lanes to one target, or those to all if `target` is NULL. */
void books_collect(struct books *books, const struct run *run, const struct target *target);

/* A line before the load that says what it is, and one for each target that cannot take it as it was meant. */
void report_intent(FILE *out, const struct run *run);

/* For people. `draw`: with the histogram. */
void report_text(FILE *out, const struct run *run, double seconds, bool draw);

/* For programs. `seconds` is 0, and `run` without threads, if it did not come to the load. False if it could not be written. */
bool report_json(FILE *out, const struct run *run, double seconds, enum ending ending);

#endif
