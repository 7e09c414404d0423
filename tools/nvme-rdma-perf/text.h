/* SPDX-License-Identifier: BSD-3-Clause */

/* Numbers as people write and read them. For the main thread alone: what is returned lies in a few static buffers, so that several fit one line. */
#ifndef TEXT_H
#define TEXT_H

#include <stdbool.h>
#include <stdint.h>

/* Reads a number with an optional K, M or G (powers of 1024). False if it is none, or not from `minimum` to `maximum`. */
bool number_read(const char *text, uint64_t minimum, uint64_t maximum, uint64_t *number);

/* `value` with a comma between each three digits. */
const char *digits(uint64_t value);

/* `bytes` as "64.0 MiB". */
const char *binary_size(double bytes);

/* Microseconds in the unit that suits them: "3.1 us", "12.40 ms". */
const char *duration(double microseconds);

/* Seconds of the monotonic clock. */
double now(void);

#endif
