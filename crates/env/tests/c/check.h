/* SPDX-License-Identifier: BSD-3-Clause */

/* The one check of these programs: prints what does not hold and ends the program. */

#ifndef CHECK_H
#define CHECK_H

#include <stdio.h>
#include <stdlib.h>

#define CHECK(cond) \
	do { \
		if (!(cond)) { \
			fprintf(stderr, "%s:%d: %s: does not hold: %s\n", __FILE__, __LINE__, __func__, #cond); \
			exit(1); \
		} \
	} while (0)

#endif /* CHECK_H */
