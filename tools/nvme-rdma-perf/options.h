/* SPDX-License-Identifier: BSD-3-Clause */

/* What the program is asked to do. What is here after options_read() was checked and fits together. */
#ifndef OPTIONS_H
#define OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "spdk/nvme.h"

#define PROGRAM "nvme-rdma-perf"

/* How the program ended. Part of what users rely on; usage() lists them. */
enum ending {
	ENDED_WELL = 0,
	ENDED_USAGE = 1,       /* the options are wrong, or do not fit what was found */
	ENDED_CONNECT = 2,     /* a target was not reached, or gave no queue pair or namespace */
	ENDED_ERRORS = 3,      /* I/O errors, or a controller that was lost; all came back once, and was released */
	ENDED_INTERRUPTED = 4, /* SIGINT or SIGTERM, and else well */
	ENDED_BROKEN = 5,      /* wrong data, or a request that was lost or came twice, or something that was not released */
	ENDED_MACHINE = 6,     /* this machine lacks what it takes, whatever the targets do: environment, device, memory, threads, output */
	ENDINGS,
};

#define MAX_TARGETS 64
#define MAX_THREADS 256
#define MAX_QPAIRS 64
#define MAX_DEPTH 4096

enum pattern {
	PATTERN_READ,
	PATTERN_WRITE,
	PATTERN_RANDREAD,
	PATTERN_RANDWRITE,
	PATTERN_RW,
	PATTERN_RANDRW,
	PATTERN_VERIFY,
};

struct options {
	struct spdk_nvme_transport_id trids[MAX_TARGETS];
	char hostnqns[MAX_TARGETS][SPDK_NVMF_NQN_MAX_LEN + 1]; /* as whom; empty: the library's default */
	uint32_t target_count;
	uint32_t depth;   /* requests in flight on each qpair */
	uint32_t io_size; /* bytes of one request */
	enum pattern pattern;
	const char *pattern_name;
	bool random;
	unsigned read_mix; /* percent of the requests that read */
	double seconds;    /* 0: until the count is reached */
	uint64_t count;    /* requests of each thread to each target; 0: until time is up */
	uint64_t limit;    /* bytes of each namespace that are used; 0: all */
	uint32_t qpairs;   /* to each target from each thread */
	uint32_t thread_count;
	int cores[MAX_THREADS]; /* one for each thread; -1: wherever it is put */
	double reconnect;       /* how many seconds a target may be gone; 0: then it is lost */
	uint64_t announce;      /* say so when this many requests came back; 0: do not */
	bool go_on;             /* an I/O error does not end the work on its target */
	bool histogram;         /* draw it wherever the report goes */
	bool json;
};

/*
 * Fills in `options`. Returns false when the program should end with `*ending`: after --help and --version, which are answered here, or
 * after a message that says what is wrong. `json` is true then as well if it was asked for, wherever that stood.
 */
bool options_read(struct options *options, int argc, char **argv, enum ending *ending);

#endif
