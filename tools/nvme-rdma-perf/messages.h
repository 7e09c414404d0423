/* SPDX-License-Identifier: BSD-3-Clause */

/* What went wrong: said to people at once, and kept for the report, which has to say why the program ended as it did. */
#ifndef MESSAGES_H
#define MESSAGES_H

#include "options.h"

/*
 * Says on the standard error what went wrong, from any thread, and returns `ending`. The first message of each ending is kept; the same words are
 * not said again.
 */
enum ending complain(enum ending ending, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Keeps it, if it is the first of its ending, and says nothing: people are told in other words. */
void remember(enum ending ending, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* What was kept; NULL if nothing. When all threads were joined. */
const char *reason_of(enum ending ending);

#endif
