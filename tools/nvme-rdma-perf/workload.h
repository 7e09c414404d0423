/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The load. A worker is one thread with one poll group; it has a lane to each target: qpairs, and a fixed set of requests, each with its buffer,
 * that are sent again as they come back. Nobody but the worker touches its lanes until it was joined; what the main thread wants to know in the
 * meantime is `completed`.
 *
 * A lane keeps its own books and believes nothing that it is told twice: submitted = completed + aborted + failed + in flight, and a callback
 * for a request that is not in flight is a stray. Without a fault of the host, strays and what is in flight after the end are 0.
 */
#ifndef WORKLOAD_H
#define WORKLOAD_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "histogram.h"
#include "options.h"
#include "target.h"

struct lane;

/* One request: in flight, or idle until its next turn. */
struct request {
	struct lane *lane;
	struct spdk_nvme_qpair *qpair;
	struct request *next;
	uint8_t *buffer;
	struct place *place;
	uint64_t lba;
	uint64_t started; /* ticks */
	uint32_t blocks;
	uint32_t worked; /* of a verification: blocks of the buffer that were filled or compared */
	bool write;
	bool in_flight;
};

/* Where in a namespace a lane works. */
struct place {
	struct spdk_nvme_ns *ns;
	uint32_t sector_size;
	uint32_t io_blocks;
	uint64_t io_count; /* whole requests that fit what is used of it */
	uint64_t first;    /* what is worked through in order: from here ... */
	uint64_t end;      /* ... to here, in blocks */
	uint64_t next;
};

/* Of the reads or the writes of a lane. */
struct direction {
	uint64_t bytes;
	struct histogram latency; /* ticks; its count is the number of requests */
};

enum lane_state {
	LANE_RUNNING,
	LANE_DRAINING,     /* time is up: what is in flight comes back */
	LANE_SETTLING,     /* lost: what is in flight comes back */
	LANE_WAITING,      /* for the target */
	LANE_RECONNECTING, /* the controller is there again, the qpairs follow */
	LANE_ENDED,
};

struct lane {
	struct worker *worker;
	struct target *target;
	const struct options *options;
	enum lane_state state;
	bool submitting; /* what comes back goes out again */
	bool attention;  /* the worker has to look at it after the next poll */
	bool lost;
	bool exhausted; /* there is nothing more to submit */
	bool given_up;  /* a request failed, and that ends it */
	bool reading_back; /* the second half of a verification */
	bool comparing;    /* what came back in `current`; else it is made ready */
	uint32_t turn;     /* which place is next */
	uint64_t left;     /* requests; UINT64_MAX if there is no limit */
	uint64_t random;

	struct place *places;
	uint32_t place_count;
	struct spdk_nvme_qpair *qpairs[MAX_QPAIRS];
	uint32_t qpair_count;
	struct request *requests;
	struct request *idle;
	struct request *unchecked; /* reads of a verification that came back */
	struct request *current;   /* whose buffer a verification works on */
	uint8_t *buffers;

	unsigned generation; /* of the target's connection that the qpairs belong to */
	uint32_t reconnected;
	double deadline;

	uint64_t submitted; /* accepted by the host */
	uint64_t completed; /* called back with success */
	uint64_t aborted;   /* given up by the host: its queue went away */
	uint64_t failed;    /* called back with another error status */
	uint64_t stray;     /* callbacks that nobody waited for */
	uint64_t mismatches;
	struct direction reads;
	struct direction writes;
};

struct worker {
	pthread_t thread;
	const struct options *options;
	struct run *run;
	uint32_t number;
	struct spdk_nvme_poll_group *group;
	struct lane *lanes; /* one to each target */
	uint64_t done;      /* completed requests of all lanes */

	_Atomic uint64_t completed; /* the same for other threads, as of the last poll */
	_Atomic bool ended;
	enum ending opened;
	bool released;
	double ended_at;
};

/* What all threads share. */
struct run {
	const struct options *options;
	struct target *targets;
	struct worker *workers;
	uint32_t started; /* threads that are there */
	_Atomic bool stop;

	pthread_mutex_t gate; /* guards what follows */
	pthread_cond_t changed;
	uint32_t opened;    /* threads that have their qpairs, or could not */
	bool let_go;        /* they need not wait any more */
	bool begun;         /* for the load; else to their end */
};

/* Requests that are still with the host. */
static inline uint64_t lane_in_flight(const struct lane *lane)
{
	return lane->submitted - lane->completed - lane->aborted - lane->failed;
}

/*
 * Starts the threads, which open their qpairs. Returns when all are connected, or when one could not be, after a message. workers_let_go() and
 * workers_join() follow in any case.
 */
enum ending workers_open(struct run *run);

/* The load begins, or, without it, the threads give back what they have. */
void workers_let_go(struct run *run, bool begin);

/* How many requests came back so far, and whether all threads are through. */
uint64_t workers_completed(const struct run *run);
bool workers_ended(const struct run *run);

/* Waits for the threads' end: they have given back all qpairs and groups. */
void workers_join(struct run *run);

/* The lanes' memory, when nobody wants to know their numbers any more. */
void workers_free(struct run *run);

/* How many requests it comes to, if that is known; else 0. */
uint64_t workers_all_requests(const struct run *run);

#endif
