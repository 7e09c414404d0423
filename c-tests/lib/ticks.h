/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The clock by which the library measures its times, in the hands of a test: slower than it is, or put forward. A target in this process is
 * polled with the same time put forward, so that hours of silence take no time and nobody has to wait for them.
 */
#ifndef TICKS_H
#define TICKS_H

#include <stdint.h>

/* From now on it goes so many times slower than the real one. */
void ticks_go_slower(unsigned times);

/* It is later by so many seconds, on either side. */
void ticks_skip(double seconds);

/* How far it was put forward, in nanoseconds. */
uint64_t ticks_skipped(void);

#endif
