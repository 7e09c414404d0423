/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * For the tests: a connected controller with its first namespace, qpairs in a poll group or without, and single
 * requests that can be waited for. Whatever fails here ends the test with a message, since nothing after it would
 * make sense.
 */
#ifndef SESSION_H
#define SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "spdk/nvme.h"

/* A deadline for failure alone: no single step of a test takes so long, on a busy machine or under valgrind either. */
#define STEP_SECONDS 60.0

struct session {
	struct spdk_nvme_transport_id trid;
	struct spdk_nvme_ctrlr *ctrlr;
	struct spdk_nvme_ns *ns;
	uint32_t sector_size;
	uint64_t sectors;
};

/* One request and how often it was called back. */
struct single {
	struct spdk_nvme_cpl cpl; /* of the last callback */
	unsigned calls;
	/* For tests that act inside the callback; may be NULL. */
	void (*then)(struct single *single);
	void *argument;
};

/*
 * Starts the environment and the watchdog and reads `NAME -r TRID`, or `NAME --in-process` for a target in this
 * process. Ends the program if it is neither. test_end() is its counterpart.
 */
void test_begin(int argc, char **argv, struct spdk_nvme_transport_id *trid, unsigned watchdog_seconds);
/* The same with such room in a target in this process. */
struct in_process_room;
void test_begin_with(int argc, char **argv, const struct in_process_room *room, struct spdk_nvme_transport_id *trid,
		     unsigned watchdog_seconds);
void test_end(void);

/*
 * Connects. The same transport id again is the same controller once more, which is the same handle and has to be closed as often;
 * session_open_as() is for another controller beside it: as host number `host`, from 1.
 */
void session_open(struct session *session, const struct spdk_nvme_transport_id *trid);
void session_open_as(struct session *session, const struct spdk_nvme_transport_id *trid, unsigned host);
/* Of a controller that the program connected by itself; NULL is what a failed connect gave. */
void session_of(struct session *session, const struct spdk_nvme_transport_id *trid, struct spdk_nvme_ctrlr *ctrlr);
void session_close(struct session *session);

/* A connected qpair, in `group` if that is not NULL. `async`: connect_io_qpair only starts, polling does the rest. */
struct spdk_nvme_qpair *qpair_open(struct session *session, struct spdk_nvme_poll_group *group, bool async);

/*
 * Polls `group`, or `qpair` if that is NULL, and the target if it is in this process. Errors are what a test may
 * expect, so they are returned.
 */
int64_t poll_step(struct spdk_nvme_poll_group *group, struct spdk_nvme_qpair *qpair);

/* How many qpairs the polls of any group reported as disconnected so far. */
extern unsigned g_disconnected;
void count_disconnected(struct spdk_nvme_qpair *qpair, void *group_context);

/* The callback of a `struct single`. */
void single_done(void *argument, const struct spdk_nvme_cpl *cpl);

/* Submits; returns what the library returned. */
int single_write(struct session *session, struct spdk_nvme_qpair *qpair, struct single *single, void *buffer, uint64_t lba,
		 uint32_t blocks);
int single_read(struct session *session, struct spdk_nvme_qpair *qpair, struct single *single, void *buffer, uint64_t lba,
		uint32_t blocks);

/* Polls until the request came back. Returns false, with a message, after STEP_SECONDS. */
bool single_wait(struct spdk_nvme_poll_group *group, struct spdk_nvme_qpair *qpair, const struct single *single);

/* A write and a read of one sector at `lba`, compared: the qpair is alive. */
bool qpair_works(struct session *session, struct spdk_nvme_poll_group *group, struct spdk_nvme_qpair *qpair, uint64_t lba);

/* Does the library know this handle no more? It was a controller's. */
bool ctrlr_is_gone(struct spdk_nvme_ctrlr *ctrlr);

/* Was the request given up by the host because its queue went away? */
bool was_aborted(const struct single *single);

/* Open file descriptors of this process. */
unsigned count_fds(void);

/*
 * The same once there are no more than `expected`: what RDMA without a device has left to close, a thread of its own may close a moment
 * later. More than that if they do not become so few.
 */
unsigned count_fds_down_to(unsigned expected);

#endif
