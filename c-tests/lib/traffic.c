/* SPDX-License-Identifier: BSD-3-Clause */

/* See traffic.h. */

#include "traffic.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common.h"
#include "in_process.h"
#include "spdk/env.h"

static void give_up(const struct traffic *traffic, const char *what, int rc)
{
	const struct ledger *ledger = &traffic->ledger;

	fprintf(stderr, "%s: %d; %llu submitted, %llu completed, %llu aborted, %llu failed, %llu stray, %llu under way\n", what, rc,
		(unsigned long long)ledger->submitted, (unsigned long long)ledger->completed, (unsigned long long)ledger->aborted,
		(unsigned long long)ledger->failed, (unsigned long long)ledger->stray,
		(unsigned long long)ledger_in_flight(ledger));
	exit(EXIT_WRONG);
}

static struct spdk_nvme_qpair *qpair_of(const struct traffic_slot *slot)
{
	return slot->traffic->qpairs[(size_t)(slot - slot->traffic->slots) % TRAFFIC_QPAIRS];
}

static bool in_group(unsigned qpair)
{
	return qpair < TRAFFIC_QPAIRS / 2;
}

static void on_disconnected(struct spdk_nvme_qpair *qpair, void *context)
{
	struct traffic *traffic = context;

	(void)qpair;
	traffic->lost = true;
}

static void on_complete(void *argument, const struct spdk_nvme_cpl *cpl)
{
	struct traffic_slot *slot = argument;
	struct traffic *traffic = slot->traffic;

	switch (ledger_end(&traffic->ledger, &slot->state, cpl)) {
	case IO_COMPLETED:
		slot->owed = false;
		if (slot->write) {
			memcpy(slot->copy, slot->buffer, TRAFFIC_BYTES);
		} else if (memcmp(slot->copy, slot->buffer, TRAFFIC_BYTES) != 0) {
			fprintf(stderr, "block %llu holds other data than were written\n", (unsigned long long)slot->lba);
			exit(EXIT_WRONG);
		}
		break;
	case IO_ABORTED:
		slot->owed = true;
		traffic->lost = true;
		break;
	default:
		fprintf(stderr, "block %llu: status type %u, code 0x%02x\n", (unsigned long long)slot->lba, cpl->status.sct,
			cpl->status.sc);
		give_up(traffic, "a request failed or came back twice", 0);
	}
}

/* As the slot says. False if it was refused. */
static bool submit(struct traffic_slot *slot)
{
	struct traffic *traffic = slot->traffic;
	struct spdk_nvme_ns *ns = traffic->session->ns;
	int rc;

	ledger_begin(&traffic->ledger, &slot->state);
	if (slot->write) {
		rc = spdk_nvme_ns_cmd_write(ns, qpair_of(slot), slot->buffer, slot->lba, traffic->blocks, on_complete, slot, 0);
	} else {
		memset(slot->buffer, 0x5a, TRAFFIC_BYTES);
		rc = spdk_nvme_ns_cmd_read(ns, qpair_of(slot), slot->buffer, slot->lba, traffic->blocks, on_complete, slot, 0);
	}
	if (rc == 0) {
		return true;
	}
	ledger_refuse(&traffic->ledger, &slot->state);
	if (rc != -ENXIO) {
		give_up(traffic, "a request was refused", rc);
	}
	slot->owed = true;
	traffic->lost = true;
	return false;
}

static void next(struct traffic_slot *slot)
{
	uint64_t *random = &slot->traffic->random;
	size_t byte;

	slot->write = random_next(random) % 2 == 0;
	if (slot->write) {
		uint64_t word = random_next(random);

		for (byte = 0; byte < TRAFFIC_BYTES; byte++) {
			slot->buffer[byte] = (uint8_t)(word >> 8 * (byte % 8)) ^ (uint8_t)(byte / 8);
		}
	}
	submit(slot);
}

void traffic_poll(struct traffic *traffic)
{
	unsigned index;

	in_process_poll();
	traffic->lost |= spdk_nvme_poll_group_process_completions(traffic->group, 0, on_disconnected) < 0;
	for (index = 0; index < TRAFFIC_QPAIRS; index++) {
		if (!in_group(index)) {
			traffic->lost |= spdk_nvme_qpair_process_completions(traffic->qpairs[index], 0) < 0;
		}
	}
	traffic->lost |= spdk_nvme_ctrlr_process_admin_completions(traffic->session->ctrlr) < 0;
}

void traffic_fill(struct traffic *traffic)
{
	unsigned index;

	for (index = 0; index < TRAFFIC_SLOTS && !traffic->lost; index++) {
		if (traffic->slots[index].state == IO_IDLE) {
			next(&traffic->slots[index]);
		}
	}
}

void traffic_run(struct traffic *traffic, uint64_t completed)
{
	uint64_t before = traffic->ledger.completed;
	double deadline = deadline_in(STEP_SECONDS);

	while (!traffic->lost && traffic->ledger.completed - before < completed) {
		traffic_fill(traffic);
		traffic_poll(traffic);
		if (deadline_passed(deadline)) {
			give_up(traffic, "the I/O stands still", 0);
		}
	}
}

void traffic_settle(struct traffic *traffic)
{
	double deadline = deadline_in(STEP_SECONDS);

	while (ledger_in_flight(&traffic->ledger) != 0) {
		traffic_poll(traffic);
		if (deadline_passed(deadline)) {
			give_up(traffic, "requests that do not come back", 0);
		}
	}
}

void traffic_compare(struct traffic *traffic)
{
	unsigned index;

	traffic_settle(traffic);
	for (index = 0; index < TRAFFIC_SLOTS; index++) {
		traffic->slots[index].write = false;
		submit(&traffic->slots[index]);
	}
	traffic_settle(traffic);
	if (traffic->lost) {
		give_up(traffic, "the connection was lost while data were compared", 0);
	}
}

int traffic_reset(struct traffic *traffic, bool in_steps)
{
	struct spdk_nvme_ctrlr *ctrlr = traffic->session->ctrlr;
	double deadline = deadline_in(STEP_SECONDS);
	int rc;

	if (!in_steps) {
		return spdk_nvme_ctrlr_reset(ctrlr);
	}
	rc = spdk_nvme_ctrlr_disconnect(ctrlr);
	if (rc != 0) {
		give_up(traffic, "spdk_nvme_ctrlr_disconnect", rc);
	}
	do {
		traffic_poll(traffic);
		rc = spdk_nvme_ctrlr_process_admin_completions(ctrlr);
		if (deadline_passed(deadline)) {
			give_up(traffic, "a controller that does not disconnect", rc);
		}
	} while (rc != -ENXIO);
	spdk_nvme_ctrlr_reconnect_async(ctrlr);
	do {
		traffic_poll(traffic);
		rc = spdk_nvme_ctrlr_reconnect_poll_async(ctrlr);
		if (deadline_passed(deadline)) {
			give_up(traffic, "a controller that does not connect again", rc);
		}
	} while (rc == -EAGAIN);
	return rc;
}

void traffic_resume(struct traffic *traffic, bool empty)
{
	double deadline = deadline_in(STEP_SECONDS);
	unsigned index;
	int rc;

	traffic_settle(traffic);
	for (index = 0; index < TRAFFIC_QPAIRS; index++) {
		do {
			traffic_poll(traffic);
			rc = spdk_nvme_ctrlr_reconnect_io_qpair(traffic->qpairs[index]);
			if ((rc != 0 && rc != -EAGAIN) || deadline_passed(deadline)) {
				give_up(traffic, "a qpair does not connect again", rc);
			}
		} while (rc != 0 || !spdk_nvme_qpair_is_connected(traffic->qpairs[index]));
	}
	traffic->lost = false;
	for (index = 0; index < TRAFFIC_SLOTS; index++) {
		struct traffic_slot *slot = &traffic->slots[index];

		if (empty) {
			memset(slot->copy, 0, TRAFFIC_BYTES);
		}
		if (slot->owed && submit(slot)) {
			traffic->resubmitted++;
		}
	}
	traffic_compare(traffic);
}

void traffic_open(struct traffic *traffic, struct session *session)
{
	unsigned index;

	memset(traffic, 0, sizeof(*traffic));
	traffic->session = session;
	traffic->random = 0x9e3779b97f4a7c15ull;
	traffic->blocks = TRAFFIC_BYTES / session->sector_size;
	traffic->buffers = spdk_dma_zmalloc((size_t)2 * TRAFFIC_SLOTS * TRAFFIC_BYTES, 4096, NULL);
	traffic->group = spdk_nvme_poll_group_create(traffic, NULL);
	if (traffic->buffers == NULL || traffic->group == NULL || traffic->blocks == 0 ||
	    session->sectors < (uint64_t)TRAFFIC_SLOTS * traffic->blocks) {
		give_up(traffic, "no memory, or too small a namespace", 0);
	}
	for (index = 0; index < TRAFFIC_QPAIRS; index++) {
		traffic->qpairs[index] = qpair_open(session, in_group(index) ? traffic->group : NULL, index % 2 == 1);
	}
	for (index = 0; index < TRAFFIC_SLOTS; index++) {
		struct traffic_slot *slot = &traffic->slots[index];

		slot->traffic = traffic;
		slot->lba = (uint64_t)index * traffic->blocks;
		slot->buffer = traffic->buffers + (size_t)2 * index * TRAFFIC_BYTES;
		slot->copy = slot->buffer + TRAFFIC_BYTES;
		slot->write = true;
		submit(slot);
	}
	traffic_compare(traffic);
}

void traffic_close(struct traffic *traffic)
{
	unsigned index;
	int rc;

	traffic_settle(traffic);
	for (index = 0; index < TRAFFIC_QPAIRS; index++) {
		rc = spdk_nvme_ctrlr_free_io_qpair(traffic->qpairs[index]);
		if (rc != 0) {
			give_up(traffic, "freeing a qpair", rc);
		}
	}
	rc = spdk_nvme_poll_group_destroy(traffic->group);
	if (rc != 0 || !ledger_balanced(&traffic->ledger) || traffic->ledger.failed != 0) {
		give_up(traffic, "the end of the poll group, or requests that are not accounted for", rc);
	}
	spdk_dma_free(traffic->buffers);
}
