/* SPDX-License-Identifier: BSD-3-Clause */

/* See target.h. */

#include "target.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "spdk/nvme.h"

#include "messages.h"
#include "progress.h"
#include "text.h"

/* Many queues come at once, and a target in an emulated machine is slow to answer: the library's half a second is short for it. */
#define FABRICS_CONNECT_SECONDS 30
/* Between two attempts to reach a target that is gone. */
#define RETRY_SECONDS 0.1

const char *target_name(const struct target *target)
{
	static char text[640];

	snprintf(text, sizeof(text), "%s at %s port %s", target->trid->subnqn, target->trid->traddr, target->trid->trsvcid);
	return text;
}

bool is_lack(int error)
{
	return error == ENODEV || error == ENOMEM || error == EMFILE || error == ENFILE;
}

enum ending target_connect(struct target *target, uint32_t index, const struct options *options, FILE *out)
{
	const struct spdk_nvme_ctrlr_data *data;
	struct spdk_nvme_ctrlr_opts opts;

	target->trid = &options->trids[index];
	target->options = options;
	target->out = out;
	atomic_store(&target->generation, 1);
	spdk_nvme_ctrlr_get_default_ctrlr_opts(&opts, sizeof(opts));
	opts.fabrics_connect_timeout_us = FABRICS_CONNECT_SECONDS * 1000 * 1000;
	/* While other targets are connected nobody polls this one's Admin Queue. */
	opts.keep_alive_timeout_ms = 2 * FABRICS_CONNECT_SECONDS * 1000;
	if (options->hostnqns[index][0] != '\0') {
		snprintf(opts.hostnqn, sizeof(opts.hostnqn), "%s", options->hostnqns[index]);
	}
	errno = 0;
	target->ctrlr = spdk_nvme_connect(target->trid, &opts, sizeof(opts));
	if (target->ctrlr == NULL) {
		int error = errno;

		return complain(is_lack(error) ? ENDED_MACHINE : ENDED_CONNECT, "cannot connect to %s: %s", target_name(target),
				error == ENODEV ? "there is no RDMA device here (softverbs-run does without)" : strerror(error));
	}
	data = spdk_nvme_ctrlr_get_data(target->ctrlr);
	memcpy(target->model, data->mn, sizeof(target->model));
	memcpy(target->serial_number, data->sn, sizeof(target->serial_number));
	memcpy(target->firmware, data->fr, sizeof(target->firmware));
	return ENDED_WELL;
}

/* Identify strings are padded with spaces and have no terminator; and a peer wrote them, so a terminal gets only what is printable. */
static void print_field(FILE *out, const char *name, const void *text, size_t size)
{
	const char *characters = text;
	size_t index;

	while (size > 0 && (characters[size - 1] == ' ' || characters[size - 1] == '\0')) {
		size--;
	}
	fprintf(out, "  %-14s ", name);
	for (index = 0; index < size; index++) {
		fputc(characters[index] >= ' ' && characters[index] <= '~' ? characters[index] : '?', out);
	}
	fputc('\n', out);
}

void target_describe(const struct target *target)
{
	const struct spdk_nvme_ctrlr_data *data = spdk_nvme_ctrlr_get_data(target->ctrlr);
	FILE *out = target->out;
	uint32_t nsid;

	fprintf(out, "Controller of %s\n", target_name(target));
	print_field(out, "model", target->model, sizeof(target->model));
	print_field(out, "serial number", target->serial_number, sizeof(target->serial_number));
	print_field(out, "firmware", target->firmware, sizeof(target->firmware));
	fprintf(out, "  %-14s %u.%u.%u, controller id %u\n", "NVMe version", (unsigned)data->ver.bits.mjr, (unsigned)data->ver.bits.mnr,
		(unsigned)data->ver.bits.ter, (unsigned)data->cntlid);
	fprintf(out, "  %-14s %s\n", "max transfer", binary_size((double)spdk_nvme_ctrlr_get_max_xfer_size(target->ctrlr)));
	for (nsid = spdk_nvme_ctrlr_get_first_active_ns(target->ctrlr); nsid != 0;
	     nsid = spdk_nvme_ctrlr_get_next_active_ns(target->ctrlr, nsid)) {
		struct spdk_nvme_ns *ns = spdk_nvme_ctrlr_get_ns(target->ctrlr, nsid);

		fprintf(out, "  namespace %-4u %s, %s sectors of %u bytes\n", nsid, binary_size((double)spdk_nvme_ns_get_size(ns)),
			digits(spdk_nvme_ns_get_num_sectors(ns)), spdk_nvme_ns_get_sector_size(ns));
	}
}

uint32_t target_queue_requests(const struct target *target)
{
	return spdk_nvme_ctrlr_get_regs_cap(target->ctrlr).bits.mqes;
}

void target_lose(struct target *target, unsigned generation)
{
	unsigned known = atomic_load(&target->lost);

	while (known < generation && !atomic_compare_exchange_weak(&target->lost, &known, generation)) {
	}
}

/* The first word of it. */
static void begin_outage(struct target *target)
{
	spdk_nvme_qp_failure_reason reason = spdk_nvme_ctrlr_get_admin_qp_failure_reason(target->ctrlr);
	bool waits = target->options->reconnect > 0;

	target->lost_at = now();
	target->outages++;
	target->attempts = 0;
	target->attempting = false;
	target->next_attempt = 0;
	progress_clear();
	fprintf(target->out, "The connection to %s was lost (%s).%s\n", target_name(target),
		reason == SPDK_NVME_QPAIR_FAILURE_REMOTE  ? "the target closed it"
		: reason == SPDK_NVME_QPAIR_FAILURE_LOCAL ? "this host closed it"
							  : "no reason is known",
		waits ? " Waiting for the target ..." : "");
	if (waits) {
		atomic_store(&target->state, TARGET_AWAY);
		return;
	}
	/* Whichever queue it was that failed, all others end as well. */
	spdk_nvme_ctrlr_fail(target->ctrlr);
	atomic_store(&target->state, TARGET_GONE);
}

/* One step towards the controller's return. */
static void bring_back(struct target *target)
{
	double time = now();
	int rc;

	if (!target->attempting) {
		if (time < target->next_attempt) {
			return;
		}
		target->attempting = true;
		target->attempts++;
		spdk_nvme_ctrlr_reconnect_async(target->ctrlr);
	}
	rc = spdk_nvme_ctrlr_reconnect_poll_async(target->ctrlr);
	if (rc == -EAGAIN) {
		return;
	}
	target->attempting = false;
	if (rc == 0) {
		target->away += time - target->lost_at;
		/* The generation first: whoever sees LIVE has to see it. */
		atomic_fetch_add(&target->generation, 1);
		atomic_store(&target->state, TARGET_LIVE);
		progress_clear();
		fprintf(target->out, "Connected again to %s after %.1f ms, at attempt %u, with the same controller and qpairs.\n",
			target_name(target), (time - target->lost_at) * 1000.0, target->attempts);
		return;
	}
	target->next_attempt = time + RETRY_SECONDS;
	if (time - target->lost_at >= target->options->reconnect) {
		target->away += time - target->lost_at;
		progress_clear();
		fprintf(target->out, "%s did not come back in %.0f s.\n", target_name(target), time - target->lost_at);
		atomic_store(&target->state, TARGET_GONE);
	}
}

bool target_poll(struct target *target)
{
	unsigned generation = atomic_load(&target->generation);

	switch (atomic_load(&target->state)) {
	case TARGET_LIVE:
		if (spdk_nvme_ctrlr_process_admin_completions(target->ctrlr) < 0) {
			target_lose(target, generation);
		}
		if (atomic_load(&target->lost) >= generation) {
			begin_outage(target);
		}
		return false;
	case TARGET_AWAY:
		bring_back(target);
		return true;
	default:
		/* Its Admin Queue has callbacks to bring, too. */
		spdk_nvme_ctrlr_process_admin_completions(target->ctrlr);
		return false;
	}
}

unsigned target_returns(const struct target *target)
{
	return atomic_load(&target->generation) - 1;
}

bool targets_detach(struct target *targets, uint32_t count)
{
	struct spdk_nvme_detach_ctx *context = NULL;
	bool good = true;
	uint32_t index;

	for (index = 0; index < count; index++) {
		int rc;

		if (targets[index].ctrlr == NULL) {
			continue;
		}
		rc = spdk_nvme_detach_async(targets[index].ctrlr, &context);
		if (rc != 0) {
			complain(ENDED_BROKEN, "detaching %s: %s", target_name(&targets[index]), strerror(abs(rc)));
			good = false;
		}
	}
	if (context != NULL) {
		spdk_nvme_detach_poll(context);
	}
	return good;
}
