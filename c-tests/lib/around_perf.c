/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * For scripts/perf-test.sh, to be preloaded: what nvme-rdma-perf finds around it. AROUND names what is not there:
 *
 *   environment   spdk_env_init() fails
 *   memory        there are no buffers
 *   thread        the program gets one thread and no more
 *
 * or, as `clock`, a clock that jumps by an hour whenever the program fills or compares a piece of a buffer: a latency of an hour has such work in
 * it. At its end it says how many pieces there were, and how many at most between two polls.
 */

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "spdk/env.h"
#include "spdk/nvme.h"

static bool around(const char *what)
{
	const char *named = getenv("AROUND");

	return named != NULL && strcmp(named, what) == 0;
}

/* The next one of that name, or none that could be called. */
static void *next(const char *name)
{
	void *found = dlsym(RTLD_NEXT, name);

	if (found == NULL) {
		fprintf(stderr, "around_perf: there is no %s\n", name);
		abort();
	}
	return found;
}

#define NEXT(name) ((__typeof__(&name))(uintptr_t)next(#name))

int spdk_env_init(const struct spdk_env_opts *opts)
{
	return around("environment") ? -ENOMEM : NEXT(spdk_env_init)(opts);
}

void *spdk_dma_zmalloc(size_t size, size_t align, uint64_t *phys_addr)
{
	return around("memory") ? NULL : NEXT(spdk_dma_zmalloc)(size, align, phys_addr);
}

/* The program's own threads have their start in the program. */
int pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*start)(void *), void *argument)
{
	static int threads;
	Dl_info where;

	if (around("thread") && dladdr((void *)(uintptr_t)start, &where) != 0 && strstr(where.dli_fname, "nvme-rdma-perf") != NULL &&
	    threads++ != 0) {
		return EAGAIN;
	}
	return NEXT(pthread_create)(thread, attr, start, argument);
}

/* The clock ---------------------------------------------------------------------------------------------------------- */

static uint64_t g_pieces, g_most, g_seen;
static bool g_loaded; /* the load has begun: it polls */

/* The program asks for it with each piece, and else before it polls. */
uint32_t spdk_nvme_ns_get_id(struct spdk_nvme_ns *ns)
{
	if (g_loaded) {
		g_pieces++;
	}
	return NEXT(spdk_nvme_ns_get_id)(ns);
}

uint64_t spdk_get_ticks(void)
{
	uint64_t hours = around("clock") ? g_pieces : 0;

	return NEXT(spdk_get_ticks)() + hours * 3600 * spdk_get_ticks_hz();
}

int64_t spdk_nvme_poll_group_process_completions(struct spdk_nvme_poll_group *group, uint32_t completions_per_qpair,
						 spdk_nvme_disconnected_qpair_cb disconnected_qpair_cb)
{
	g_loaded = true;
	g_most = g_pieces - g_seen > g_most ? g_pieces - g_seen : g_most;
	g_seen = g_pieces;
	return NEXT(spdk_nvme_poll_group_process_completions)(group, completions_per_qpair, disconnected_qpair_cb);
}

static void __attribute__((destructor)) say(void)
{
	if (around("clock")) {
		fprintf(stderr, "pieces: %llu, at most %llu between polls\n", (unsigned long long)g_pieces, (unsigned long long)g_most);
	}
}
