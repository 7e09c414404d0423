/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * I/O that goes on while connections end and come back: writes of random data and reads that are compared byte by byte with a copy, on
 * qpairs of a poll group and on others. Each of TRAFFIC_SLOTS slots has blocks of its own and one request at a time. What is given up with
 * a connection is owed, and submitted again when there is one. The ledger says whether each request came back, once.
 */
#ifndef TRAFFIC_H
#define TRAFFIC_H

#include <stdbool.h>
#include <stdint.h>

#include "spdk/nvme.h"

#include "ledger.h"
#include "session.h"

#define TRAFFIC_SLOTS 64u
#define TRAFFIC_QPAIRS 4u
#define TRAFFIC_BYTES 4096u

struct traffic;

struct traffic_slot {
	struct traffic *traffic;
	uint64_t lba;
	uint8_t *buffer; /* what is written, or was read */
	uint8_t *copy;   /* what the blocks hold */
	enum io_state state;
	bool write;
	bool owed;
};

struct traffic {
	struct session *session;
	struct spdk_nvme_poll_group *group; /* of the first half of the qpairs */
	struct spdk_nvme_qpair *qpairs[TRAFFIC_QPAIRS];
	struct traffic_slot slots[TRAFFIC_SLOTS];
	struct ledger ledger;
	uint8_t *buffers;
	uint64_t random;
	uint64_t resubmitted;
	uint32_t blocks;
	bool lost; /* a connection has ended, as a poll, a callback or a refused request said */
};

/* Opens the qpairs and writes zeros. Ends the test, with a message, if it cannot. */
void traffic_open(struct traffic *traffic, struct session *session);
/* Whatever is under way comes back first. */
void traffic_close(struct traffic *traffic);

/* Submits what is idle and polls, until `completed` more requests came back well or a connection ended. */
void traffic_run(struct traffic *traffic, uint64_t completed);

/* Submits what is idle, and does not poll. */
void traffic_fill(struct traffic *traffic);

/* One poll of each qpair and of the Admin Queue. */
void traffic_poll(struct traffic *traffic);

/* Polls until nothing is under way any more. */
void traffic_settle(struct traffic *traffic);

/*
 * Resets the controller, all at once or step by step, as a program does that has other things to do meanwhile. Returns what became of it: 0,
 * or -1 and the controller has failed.
 */
int traffic_reset(struct traffic *traffic, bool in_steps);

/* The controller is connected again: so are the qpairs. The data may be gone. What is owed is done, and then everything read and compared. */
void traffic_resume(struct traffic *traffic, bool empty);

/* Reads everything and compares. */
void traffic_compare(struct traffic *traffic);

#endif
