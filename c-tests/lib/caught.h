/* SPDX-License-Identifier: BSD-3-Clause */

/* Catches what is logged to stderr between two calls, so that a test can say how many errors a fault may be worth. */
#ifndef CAUGHT_H
#define CAUGHT_H

/* From here on stderr goes to a file that nobody sees, unless the program ends before caught_end(): then it is shown. */
void caught_begin(void);

/*
 * Gives stderr back. Returns how many lines were errors ("*ERROR*"); `text`, if not NULL, then points to all that was
 * caught, until the next call.
 */
unsigned caught_end(const char **text);

#endif
