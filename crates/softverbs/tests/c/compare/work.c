/* SPDX-License-Identifier: BSD-3-Clause */
/* One side's work: requests posted, completions and events taken. */
#define _GNU_SOURCE
#include "compare.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#define COMPLETION_MS 10000
#define EVENT_MS 5000

/* ---- posting ---- */

static int wr_opcode(struct arguments args)
{
	static const struct {
		const char *name;
		enum ibv_wr_opcode opcode;
	} names[] = {
		{"SEND", IBV_WR_SEND}, {"SEND_IMM", IBV_WR_SEND_WITH_IMM}, {"SEND_INV", IBV_WR_SEND_WITH_INV},
		{"WRITE", IBV_WR_RDMA_WRITE}, {"WRITE_IMM", IBV_WR_RDMA_WRITE_WITH_IMM}, {"READ", IBV_WR_RDMA_READ},
	};
	char name[16];

	text(args, "op", name, sizeof(name));
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcmp(names[i].name, name) == 0)
			return names[i].opcode;
	}
	return IBV_WR_SEND;
}

/* `len` bytes from `at`, in `pieces` of equal length with holes of that length between them. `key=bad` is a key of nothing. */
static int lay_out(struct side *side, struct arguments args, struct ibv_sge *sges, uint32_t granted)
{
	const struct region *region = &side->regions[number(args, "mr", 0)];
	long length = number(args, "len", 0), pieces = number(args, "pieces", length > 0 ? 1 : 0);
	uint32_t key = flag_in(args, "key", 'b') ? region->lkey ^ 0x00f0f000 : region->lkey;

	if (number(args, "too_many", 0) != 0)
		length = pieces = granted + 1;
	for (long i = 0; i < pieces && i < PIECES; i++) {
		sges[i] = (struct ibv_sge){
			.addr = (uintptr_t)side->memory + number(args, "at", 0) + 2 * i * (length / pieces),
			.length = length / pieces,
			.lkey = key,
		};
	}
	return pieces;
}

/* How many times the request is posted: `again`, or with `overfill` more often than any device has room for. */
static int repetitions(struct side *side, struct arguments args)
{
	long count = number(args, "overfill", 0) != 0 ? CHAIN : number(args, "again", 1);

	return count > CHAIN - side->chained ? CHAIN - side->chained : count;
}

/* Where a list was refused, in words that do not depend on how much a device grants. */
static void say_posted(struct arguments args, struct answer *answer, const char *what, int result, long bad, uint32_t granted)
{
	if (result == 0 && number(args, "say", 0) != 0)
		say(answer, "post %s: ok", what);
	else if (result != 0 && bad >= (long)granted)
		say(answer, "post %s: %s after all that was granted", what, error_name(result));
	else if (result != 0)
		say(answer, "post %s: %s at request %ld of the list", what, error_name(result), bad + 1);
}

static void post_send(struct side *side, struct arguments args, struct answer *answer)
{
	const struct region *peer = &side->regions[number(args, "peer", 0)];
	struct ibv_send_wr *bad = NULL;
	int count = repetitions(side, args), result;

	for (int i = 0; i < count; i++, side->chained++) {
		struct ibv_send_wr *wr = &side->sends[side->chained];
		struct ibv_sge *sges = side->pieces[side->chained];

		memset(wr, 0, sizeof(*wr));
		wr->wr_id = number(args, "id", 0) + i;
		wr->sg_list = sges;
		wr->num_sge = lay_out(side, args, sges, side->cap.max_send_sge);
		wr->opcode = wr_opcode(args);
		wr->send_flags = (flag_in(args, "flags", 'u') ? 0 : IBV_SEND_SIGNALED) |
				 (flag_in(args, "flags", 'i') ? IBV_SEND_INLINE : 0) |
				 (flag_in(args, "flags", 'f') ? IBV_SEND_FENCE : 0) |
				 (flag_in(args, "flags", 's') ? IBV_SEND_SOLICITED : 0);
		if (number(args, "too_long", 0) != 0)
			sges[0].length = side->cap.max_inline_data + 1;
		if (wr->opcode == IBV_WR_SEND_WITH_INV)
			wr->invalidate_rkey = flag_in(args, "rkey", 'b') ? peer->peer_rkey ^ 0x00f0f000 : peer->peer_rkey;
		else
			wr->imm_data = htonl(number(args, "imm", 0));
		if (wr->opcode == IBV_WR_RDMA_WRITE || wr->opcode == IBV_WR_RDMA_WRITE_WITH_IMM || wr->opcode == IBV_WR_RDMA_READ) {
			wr->wr.rdma.remote_addr = peer->peer_address + number(args, "to", 0);
			wr->wr.rdma.rkey = flag_in(args, "rkey", 'b') ? peer->peer_rkey ^ 0x00f0f000 : peer->peer_rkey;
		}
		if (side->chained > 0)
			side->sends[side->chained - 1].next = wr;
	}
	if (number(args, "chain", 0) != 0)
		return;
	side->chained = 0;
	result = ibv_post_send(side->qp, side->sends, &bad);
	say_posted(args, answer, "send", result, bad != NULL ? bad - side->sends : 0, side->cap.max_send_wr);
}

static void post_recv(struct side *side, struct arguments args, struct answer *answer)
{
	struct ibv_recv_wr *bad = NULL;
	uint32_t granted = side->srq != NULL ? side->srq_wr : side->cap.max_recv_wr;
	int count = repetitions(side, args), result;

	for (int i = 0; i < count; i++) {
		side->recvs[i] = (struct ibv_recv_wr){
			.wr_id = number(args, "id", 0) + i,
			.sg_list = side->pieces[i],
			.num_sge = lay_out(side, args, side->pieces[i], side->cap.max_recv_sge),
			.next = i + 1 < count ? &side->recvs[i + 1] : NULL,
		};
	}
	if (side->srq != NULL && number(args, "own", 0) == 0)
		result = ibv_post_srq_recv(side->srq, side->recvs, &bad);
	else
		result = ibv_post_recv(side->qp, side->recvs, &bad);
	say_posted(args, answer, "recv", result, bad != NULL ? bad - side->recvs : 0, granted);
}

/* ---- completions ---- */

/* An error completion has no more than its status, its request and its queue pair. */
static void say_completion(struct side *side, struct answer *answer, const struct ibv_wc *wc)
{
	char line[160] = "";
	int at = 0;

	if (wc->status == IBV_WC_SUCCESS) {
		at += snprintf(line, sizeof(line), " %s", opcode_name(wc->opcode));
		if ((wc->opcode & IBV_WC_RECV) != 0 || wc->opcode == IBV_WC_RDMA_READ)
			at += snprintf(line + at, sizeof(line) - at, " len=%u", wc->byte_len);
		if ((wc->opcode & IBV_WC_RECV) != 0 && (wc->wc_flags & IBV_WC_WITH_IMM) != 0)
			at += snprintf(line + at, sizeof(line) - at, " imm=%u", ntohl(wc->imm_data));
		if ((wc->opcode & IBV_WC_RECV) != 0 && (wc->wc_flags & IBV_WC_WITH_INV) != 0)
			at += snprintf(line + at, sizeof(line) - at, " invalidated=%s",
				       wc->invalidated_rkey == side->regions[1].rkey ? "region 1" : "something else");
	}
	if (side->qp != NULL && wc->qp_num != side->qp->qp_num)
		snprintf(line + at, sizeof(line) - at, " of another queue pair");
	say(answer, "wc %llu %s%s", (unsigned long long)wc->wr_id, status_name(wc->status), line);
}

static void take_completions(struct side *side, struct ibv_cq *cq, const char *queue, struct arguments args, struct answer *answer)
{
	long end = now() + number(args, "ms", COMPLETION_MS), missing = number(args, "n", 1);
	struct ibv_wc wc;

	while (missing > 0) {
		int got = ibv_poll_cq(cq, 1, &wc);

		if (got < 0) {
			say(answer, "polling fails");
			return;
		}
		if (got == 1) {
			say_completion(side, answer, &wc);
			missing--;
			continue;
		}
		if (now() >= end) {
			say(answer, "no %s completion", queue);
			return;
		}
		pause_briefly();
	}
}

/* Nothing more completes, for a while. It is a wait by time because the device may be a real one, which does not say when it is
 * idle; a mark sent after would itself be one more thing that is compared. On a busy machine a wrong completion may be missed,
 * but nothing that is right fails. */
static void stay_quiet(struct side *side, struct arguments args, struct answer *answer)
{
	long end = now() + number(args, "ms", 100);
	struct ibv_wc wc;
	bool quiet = true;

	do {
		while (ibv_poll_cq(side->send_cq, 1, &wc) == 1 || ibv_poll_cq(side->recv_cq, 1, &wc) == 1) {
			say_completion(side, answer, &wc);
			quiet = false;
		}
		pause_briefly();
	} while (now() < end);
	if (quiet)
		say(answer, "nothing more completes");
}

static void take_notification(struct side *side, struct arguments args, struct answer *answer)
{
	struct pollfd ready = {.fd = side->channel->fd, .events = POLLIN};
	struct ibv_cq *cq = NULL;
	void *context;

	if (poll(&ready, 1, number(args, "ms", EVENT_MS)) != 1 || ibv_get_cq_event(side->channel, &cq, &context) != 0) {
		say(answer, "no notification");
		return;
	}
	ibv_ack_cq_events(cq, 1);
	say(answer, "notified of the %s queue", cq == side->recv_cq ? "receive" : cq == side->send_cq ? "send" : "wrong");
}

/* ---- asynchronous events: they come by context, which both sides may share ---- */

static struct {
	enum ibv_event_type type;
	const struct side *of;
} kept[64];
static size_t kept_count;

static const struct side *owner(const struct ibv_async_event *event)
{
	for (int i = 0; i < 2; i++) {
		const struct side *side = sides[i];

		if (side != NULL && ((side->qp != NULL && event->element.qp == side->qp) ||
				     (side->srq != NULL && event->element.srq == side->srq) ||
				     (side->send_cq != NULL && event->element.cq == side->send_cq) ||
				     (side->recv_cq != NULL && event->element.cq == side->recv_cq)))
			return side;
	}
	return NULL;
}

/* Communication established: whether that is told depends on who is faster. And a port's or a device's events are nobody's here. */
static bool counts(enum ibv_event_type type)
{
	switch (type) {
	case IBV_EVENT_CQ_ERR:
	case IBV_EVENT_QP_FATAL:
	case IBV_EVENT_QP_REQ_ERR:
	case IBV_EVENT_QP_ACCESS_ERR:
	case IBV_EVENT_SQ_DRAINED:
	case IBV_EVENT_SRQ_ERR:
	case IBV_EVENT_SRQ_LIMIT_REACHED:
	case IBV_EVENT_QP_LAST_WQE_REACHED:
		return true;
	default:
		return false;
	}
}

static void collect(const struct side *side)
{
	struct ibv_async_event event;

	if (side->id == NULL || side->id->verbs == NULL)
		return;
	while (kept_count < sizeof(kept) / sizeof(kept[0])) {
		struct pollfd ready = {.fd = side->id->verbs->async_fd, .events = POLLIN};

		if (poll(&ready, 1, 0) != 1 || ibv_get_async_event(side->id->verbs, &event) != 0)
			return;
		if (counts(event.event_type)) {
			kept[kept_count].type = event.event_type;
			kept[kept_count++].of = owner(&event);
		}
		ibv_ack_async_event(&event);
	}
}

static bool say_kept(struct side *side, struct answer *answer, const char *how)
{
	for (size_t i = 0; i < kept_count; i++) {
		if (kept[i].of == side) {
			say(answer, "%s %s", how, async_name(kept[i].type));
			memmove(&kept[i], &kept[i + 1], (--kept_count - i) * sizeof(kept[0]));
			return true;
		}
	}
	return false;
}

static void take_async(struct side *side, struct arguments args, struct answer *answer)
{
	long end = now() + number(args, "ms", EVENT_MS);

	do {
		collect(side);
		if (say_kept(side, answer, "async"))
			return;
		pause_briefly();
	} while (now() < end);
	say(answer, "async nothing");
}

void say_events_left(struct side *side, struct answer *answer)
{
	collect(side);
	while (say_kept(side, answer, "async, not asked for:")) {
	}
}

bool work_command(struct side *side, const char *word, struct arguments args, struct answer *answer)
{
	if (side->memory == NULL)
		return false;
	if (strcmp(word, "send") == 0 && side->qp != NULL)
		post_send(side, args, answer);
	else if (strcmp(word, "recv") == 0 && (side->qp != NULL || side->srq != NULL))
		post_recv(side, args, answer);
	else if (strcmp(word, "swc") == 0)
		take_completions(side, side->send_cq, "send", args, answer);
	else if (strcmp(word, "rwc") == 0)
		take_completions(side, side->recv_cq, "receive", args, answer);
	else if (strcmp(word, "quiet") == 0)
		stay_quiet(side, args, answer);
	else if (strcmp(word, "arm") == 0)
		failed(answer, "arm", ibv_req_notify_cq(flag_in(args, "queue", 's') ? side->send_cq : side->recv_cq, number(args, "solicited", 0)));
	else if (strcmp(word, "notified") == 0)
		take_notification(side, args, answer);
	else if (strcmp(word, "async") == 0)
		take_async(side, args, answer);
	else
		return false;
	return true;
}
