/* SPDX-License-Identifier: BSD-3-Clause */

/* The line on a terminal that says how far it has come. It is on the standard error, and only if that is a terminal. */
#ifndef PROGRESS_H
#define PROGRESS_H

#include <stdint.h>

#include "options.h"

/* Between two looks; the line has what happened since the one before. */
#define PROGRESS_SECONDS 0.25

/* The work begins, and what all of it comes to in requests, if that is known; else 0. */
void progress_begin(const struct options *options, uint64_t all_requests);

/* Draws the line anew, if it is time to. */
void progress_show(double time, uint64_t completed, unsigned away);

/* Takes the line away, so that another can be printed; from any thread. */
void progress_clear(void);

#endif
