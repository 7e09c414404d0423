/* SPDX-License-Identifier: BSD-3-Clause */

/* See text.h. */

#include "text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* More than any one line of output holds. */
#define TEXTS 16

static char *next_text(size_t *size)
{
	static char texts[TEXTS][32];
	static unsigned turn;

	*size = sizeof(texts[0]);
	return texts[turn++ % TEXTS];
}

bool number_read(const char *text, uint64_t minimum, uint64_t maximum, uint64_t *number)
{
	unsigned long long value;
	unsigned shift = 0;
	char *end;

	/* strtoull() takes signs and spaces. */
	if (text[0] < '0' || text[0] > '9') {
		return false;
	}
	errno = 0;
	value = strtoull(text, &end, 10);
	switch (*end) {
	case 'k':
	case 'K':
		shift = 10;
		break;
	case 'm':
	case 'M':
		shift = 20;
		break;
	case 'g':
	case 'G':
		shift = 30;
		break;
	default:
		break;
	}
	end += shift != 0;
	if (errno != 0 || *end != '\0' || value > maximum >> shift || value << shift < minimum) {
		return false;
	}
	*number = (uint64_t)value << shift;
	return true;
}

const char *digits(uint64_t value)
{
	size_t size;
	char *text = next_text(&size);
	char *place = text + size;
	unsigned count = 0;

	*--place = '\0';
	do {
		if (count != 0 && count % 3 == 0) {
			*--place = ',';
		}
		*--place = (char)('0' + value % 10);
		value /= 10;
		count++;
	} while (value != 0);
	return place;
}

const char *binary_size(double bytes)
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
	size_t size;
	char *text = next_text(&size);
	size_t unit = 0;

	while (bytes >= 1024.0 && unit + 1 < sizeof(units) / sizeof(units[0])) {
		bytes /= 1024.0;
		unit++;
	}
	snprintf(text, size, unit == 0 ? "%.0f %s" : "%.1f %s", bytes, units[unit]);
	return text;
}

const char *duration(double microseconds)
{
	size_t size;
	char *text = next_text(&size);

	if (microseconds < 1000.0) {
		snprintf(text, size, "%.1f us", microseconds);
	} else if (microseconds < 1e6) {
		snprintf(text, size, "%.2f ms", microseconds / 1e3);
	} else {
		snprintf(text, size, "%.2f s", microseconds / 1e6);
	}
	return text;
}

double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}
