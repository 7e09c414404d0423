/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * For the benchmarks: a session and qpairs as they need them, a load of reads or writes over one qpair, and the functions that
 * callgrind is told about.
 *
 * scripts/bench.sh counts while a bench_*() function runs that it names (--toggle-collect), and has what was counted written out each
 * time that bench_section() was called (--dump-after). So these must neither be inlined nor lose their names, and the k-th line that
 * bench_section() printed says what the k-th file holds. Without callgrind they do what they do, and nothing is counted.
 */
#ifndef LOAD_H
#define LOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "spdk/nvme.h"

#include "ledger.h"
#include "session.h"

#define MAX_DEPTH 256u
/* What the target takes in one command: little, so that one that takes several does not take long to carry out. */
#define BENCH_MDTS 1u
#define BENCH_LARGEST_TRANSFER (4096u << BENCH_MDTS)

/*
 * A target in this process that is roomy enough for what is measured, and a controller on it. The host's clock goes `slowness` times
 * slower than the real one: under callgrind a program is some 50 times slower, and what the host does once a millisecond would be done
 * as much more often for each I/O.
 */
#define CALLGRIND_SLOWNESS 64u
void bench_open(struct session *session, const char *name, unsigned slowness);
void bench_close(struct session *session);

/* What a qpair is like; 0 for a number is the library's default. */
struct shape {
	struct spdk_nvme_poll_group *group;
	bool delay; /* delay_cmd_submit */
	uint32_t queue_size;
	uint32_t requests;
};

/* Ends the program, with a message, if it cannot. */
struct spdk_nvme_poll_group *group_open(void);
struct spdk_nvme_qpair *qpair_make(struct session *session, const struct shape *shape);
/* The same, connected. */
struct spdk_nvme_qpair *qpair_make_connected(struct session *session, const struct shape *shape);
void qpair_end(struct spdk_nvme_qpair *qpair);

struct load_request {
	struct load_request *next_idle;
	struct load *load;
	uint8_t *buffer;
	uint32_t offset; /* how far a vectored one has come */
	enum io_state state;
};

/* `depth` requests of `bytes` each, over and over, on a qpair. Not to be copied once it is open. */
struct load {
	struct session *session;
	struct spdk_nvme_qpair *qpair;
	struct spdk_nvme_poll_group *group; /* what is polled instead of the qpair, if not NULL */
	bool write;
	bool vector;    /* a read in two pieces, the second half of the data before the first */
	bool tagged;    /* a read by the entries that take metadata and tags */
	uint32_t depth; /* 1 to MAX_DEPTH */
	uint32_t bytes;

	/* From here on the load's own. */
	struct ledger ledger;
	uint64_t polls; /* of the last run */
	uint64_t places;
	uint32_t blocks;
	bool failed;
	bool ending; /* aborted requests are no failure */
	uint8_t *buffers;
	struct load_request *idle;
	struct load_request requests[MAX_DEPTH];
};

/* The fields above the line are set, the others 0. Ends the program, with a message, if there is no memory. */
void load_open(struct load *load);
void load_close(struct load *load);

/* `count` requests, from the first to the last callback. Returns false, with a message, if one failed. */
bool bench_loop(struct load *load, uint64_t count);

/* Submits `count` requests and polls nobody. Whoever waits for their end sets `ending` before. */
bool load_submit(struct load *load, uint32_t count);

/* `count` polls of the group, or of the qpair if that is NULL, without one of the target. Returns false if one of them failed. */
bool bench_polls(struct spdk_nvme_poll_group *group, struct spdk_nvme_qpair *qpair, uint32_t count);

/* The steps of a qpair's life; connecting and ending wait, and the target is polled while they do. */
struct spdk_nvme_qpair *bench_allocate(struct session *session, struct spdk_nvme_io_qpair_opts *options);
int bench_connect(struct session *session, struct spdk_nvme_qpair *qpair);
void bench_disconnect(struct spdk_nvme_qpair *qpair);
int bench_free(struct spdk_nvme_qpair *qpair);
/* A reset of the controller, and all its qpairs connected again. */
int bench_reset(struct session *session, struct spdk_nvme_qpair *const *qpairs, uint32_t count);

/* Says what was counted since the last call: `name`, how many of what it says, and how many polls that took. */
void bench_section(const char *name, uint64_t count, uint64_t polls);

#endif
