/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * A target in the program's own process and thread. It only moves when it is polled: here by the program between its
 * own polls, and by the library's wait hook while the library waits for an answer.
 */
#ifndef IN_PROCESS_H
#define IN_PROCESS_H

#include <stdbool.h>
#include <stdint.h>

#include "spdk/nvme.h"

/* How the target misbehaves, once or until told otherwise; see nvme_rdma_target.h. */
enum misbehaviour {
	CID_OUT_OF_RANGE, /* a response with command id 0xffff */
	CID_IDLE,         /* a response with the id of a command that is not outstanding */
	REPEAT_RESPONSE,  /* a response that is sent twice */
	SILENT,           /* no response any more */
	REJECT,           /* no new connection any more */
};

/*
 * Starts a target with one subsystem, `nqn`, whose namespace has `size` bytes, on a free port of 127.0.0.1, and fills
 * in the transport id. Ends the program, with a message, if it cannot.
 */
void in_process_start(const char *nqn, uint64_t size, struct spdk_nvme_transport_id *trid);

/* What the target has room for; 0 is its default. */
struct in_process_room {
	uint16_t queue_entries;
	uint16_t io_queues;
	uint8_t mdts; /* one command transfers 2^mdts pages of 4 KiB at most */
	uint32_t more_namespaces; /* beside the first, of one block each */
	const char *listen; /* addresses with ports, separated by commas; NULL is a free port of 127.0.0.1 */
	const char *format; /* what stands behind the first namespace's size: blocks, zones, keys; NULL is nothing */
	bool lingers; /* a queue id stays taken for a moment after its connection, as by default */
};

/* The same, with such room. */
void in_process_start_with(const char *nqn, uint64_t size, const struct in_process_room *room,
			   struct spdk_nvme_transport_id *trid);

/* The transport id by which a host comes to the listener of this index. */
void in_process_trid(unsigned listener, struct spdk_nvme_transport_id *trid);

/* Ends the target, and starts another one like it at the same ports, whose namespaces are zeros. */
void in_process_down(void);
void in_process_up(void);

/* A command as the program's control socket takes it; see nvme_rdma_target.h. Ends the program, with a message, if it is refused. */
void in_process_tell(const char *command);

/* What it did so far. */
struct in_process_counts {
	unsigned connections;
	uint64_t keep_alives;
};
void in_process_count(struct in_process_counts *counts);

/* Lets the target do what there is to do; without a target that is nothing. */
void in_process_poll(void);

/* The same until it found nothing more to do. */
void in_process_settle(void);

/*
 * From now on the target has done all that there is to do whenever a send was posted: the completions are there when posting
 * returns, as from a device and a controller that take no time. For qpairs that connect afterwards.
 */
void in_process_answer_at_once(void);

/* Ends that for a while, or goes on with it. */
void in_process_hold(bool hold);

/* Misbehaves after so many more I/O responses (REJECT: connect requests). */
void in_process_misbehave(enum misbehaviour how, uint64_t after);

/* Ends the lasting ones, SILENT and REJECT. */
void in_process_behave(enum misbehaviour how);

/* Ends the target and gives back all it had. */
void in_process_stop(void);

#endif
