/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The program's own books on its I/O, kept to find out whether the host keeps its first promise: a request that
 * was accepted is called back exactly once, one that was refused never.
 *
 * Each I/O slot of a program owns an `enum io_state`. It is marked before the request is handed over, since the
 * callback may come from inside that call, and unmarked when the host refuses. A callback for a slot that has nothing
 * in flight is a stray: it came twice, or for a request that was refused. A slot that is reused between the two calls
 * of one request shows up as well: the second call ends the new request, whose own callback is then the stray.
 */
#ifndef LEDGER_H
#define LEDGER_H

#include <stdbool.h>
#include <stdint.h>

#include "spdk/nvme.h"

enum io_state {
	IO_IDLE,
	IO_IN_FLIGHT,
};

struct ledger {
	uint64_t submitted; /* accepted by the host */
	uint64_t refused;   /* not accepted: the submit call returned an error */
	uint64_t completed; /* called back with success */
	uint64_t aborted;   /* called back with "aborted, submission queue deleted": the host gave it up */
	uint64_t failed;    /* called back with any other error status */
	uint64_t stray;     /* callbacks that nobody was waiting for; anything but 0 is a fault of the host */
};

/* How a request came back. */
enum io_end {
	IO_COMPLETED,
	IO_ABORTED,
	IO_FAILED,
	IO_STRAY,
};

/* Right before the submit call. */
void ledger_begin(struct ledger *ledger, enum io_state *slot);

/* The submit call returned an error: there must be no callback. */
void ledger_refuse(struct ledger *ledger, enum io_state *slot);

/* First thing in the callback. On IO_STRAY the slot is not the caller's to touch. */
enum io_end ledger_end(struct ledger *ledger, enum io_state *slot, const struct spdk_nvme_cpl *cpl);

/* Requests that are still with the host. */
uint64_t ledger_in_flight(const struct ledger *ledger);

/* Everything that was accepted came back, once. */
bool ledger_balanced(const struct ledger *ledger);

#endif
