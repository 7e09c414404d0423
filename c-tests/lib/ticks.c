/* SPDX-License-Identifier: BSD-3-Clause */

/* See ticks.h. */

#include "ticks.h"

#include <dlfcn.h>
#include <string.h>

#include "spdk/env.h"

static unsigned g_slowness = 1;
static uint64_t g_skipped, g_ahead;

/* Comes before the environment's own, which it asks, so that what that costs is counted as it is. */
uint64_t spdk_get_ticks(void)
{
	static uint64_t (*real)(void);

	if (real == NULL) {
		void *address = dlsym(RTLD_NEXT, "spdk_get_ticks");

		memcpy(&real, &address, sizeof(address));
	}
	return real() / g_slowness + g_ahead;
}

void ticks_go_slower(unsigned times)
{
	g_slowness = times;
}

void ticks_skip(double seconds)
{
	g_skipped += (uint64_t)(seconds * 1e9);
	g_ahead = (uint64_t)((double)g_skipped / 1e9 * (double)spdk_get_ticks_hz());
}

uint64_t ticks_skipped(void)
{
	return g_skipped;
}
