/* SPDX-License-Identifier: BSD-3-Clause */

/* See ledger.h. */

#include "ledger.h"

void ledger_begin(struct ledger *ledger, enum io_state *slot)
{
	ledger->submitted++;
	*slot = IO_IN_FLIGHT;
}

void ledger_refuse(struct ledger *ledger, enum io_state *slot)
{
	if (*slot == IO_IDLE) {
		/* Refused, and yet it was called back from inside the submit call. */
		ledger->stray++;
		return;
	}
	ledger->submitted--;
	ledger->refused++;
	*slot = IO_IDLE;
}

enum io_end ledger_end(struct ledger *ledger, enum io_state *slot, const struct spdk_nvme_cpl *cpl)
{
	if (*slot != IO_IN_FLIGHT) {
		ledger->stray++;
		return IO_STRAY;
	}
	*slot = IO_IDLE;

	if (!spdk_nvme_cpl_is_error(cpl)) {
		ledger->completed++;
		return IO_COMPLETED;
	}
	if (cpl->status.sct == SPDK_NVME_SCT_GENERIC && cpl->status.sc == SPDK_NVME_SC_ABORTED_SQ_DELETION) {
		ledger->aborted++;
		return IO_ABORTED;
	}
	ledger->failed++;
	return IO_FAILED;
}

uint64_t ledger_in_flight(const struct ledger *ledger)
{
	return ledger->submitted - ledger->completed - ledger->aborted - ledger->failed;
}

bool ledger_balanced(const struct ledger *ledger)
{
	return ledger->stray == 0 && ledger_in_flight(ledger) == 0;
}
