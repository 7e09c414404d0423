/* SPDX-License-Identifier: BSD-3-Clause */
/* One side's objects: made, changed, looked at, destroyed; and its memory. */
#define _GNU_SOURCE
#include "compare.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ALL (IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_READ | IBV_ACCESS_REMOTE_WRITE)

static void describe_region(struct answer *answer, int which, const struct region *region)
{
	say(answer, "@peer mr=%d address=%llu rkey=%u", which, (unsigned long long)region->address, region->rkey);
}

static void register_region(struct side *side, struct arguments args, struct answer *answer)
{
	int which = number(args, "mr", 0);
	struct region *region = &side->regions[which];
	char *at = side->memory + number(args, "at", 0);

	region->mr = ibv_reg_mr(side->pd, at, number(args, "len", MEMORY_BYTES), number(args, "rights", ALL));
	if (region->mr == NULL) {
		report(answer, "register", -1);
		return;
	}
	region->address = (uintptr_t)at;
	region->lkey = region->mr->lkey;
	region->rkey = region->mr->rkey;
	describe_region(answer, which, region);
}

static struct ibv_srq *make_srq(struct side *side, struct arguments args)
{
	struct ibv_srq_init_attr attr = {.attr = {.max_wr = number(args, "recv", 8), .max_sge = number(args, "sge", 4)}};
	struct ibv_srq *srq = ibv_create_srq(side->pd, &attr);
	struct ibv_srq_attr granted;

	if (srq != NULL && ibv_query_srq(srq, &granted) == 0)
		side->srq_wr = granted.max_wr;
	return srq;
}

/* All that one end of a connection needs. With `raw`, the queue pair is not the identifier's. */
static void make_objects(struct side *side, struct arguments args, struct answer *answer)
{
	struct ibv_qp_init_attr attr = {
		.qp_type = IBV_QPT_RC,
		.sq_sig_all = number(args, "sigall", 1),
		.cap = {
			.max_send_wr = number(args, "send", 8),
			.max_recv_wr = number(args, "recv", 8),
			.max_send_sge = number(args, "sge", 4),
			.max_recv_sge = number(args, "sge", 4),
			.max_inline_data = number(args, "inline", 32),
		},
	};
	int cqe = number(args, "cqe", 64);
	struct ibv_context *context;

	if (side->id == NULL || (context = side->id->verbs) == NULL) {
		say(answer, "there is no device");
		return;
	}
	fcntl(context->async_fd, F_SETFL, O_NONBLOCK);
	side->pd = ibv_alloc_pd(context);
	side->channel = ibv_create_comp_channel(context);
	if (side->pd == NULL || side->channel == NULL) {
		report(answer, "protection domain and channel", -1);
		return;
	}
	fcntl(side->channel->fd, F_SETFL, O_NONBLOCK);
	side->send_cq = ibv_create_cq(context, number(args, "send_cqe", cqe), NULL, side->channel, 0);
	side->recv_cq = ibv_create_cq(context, cqe, NULL, side->channel, 0);
	if (side->send_cq == NULL || side->recv_cq == NULL) {
		report(answer, "completion queues", -1);
		return;
	}
	attr.send_cq = side->send_cq;
	attr.recv_cq = side->recv_cq;
	if (number(args, "srq", 0) != 0 && (attr.srq = side->srq = make_srq(side, args)) == NULL) {
		report(answer, "shared receive queue", -1);
		return;
	}
	if (number(args, "raw", 0) != 0)
		side->qp = ibv_create_qp(side->pd, &attr);
	else if (rdma_create_qp(side->id, side->pd, &attr) == 0)
		side->qp = side->id->qp;
	if (side->qp == NULL) {
		report(answer, "queue pair", -1);
		return;
	}
	side->cap = attr.cap;
	if (side->cap.max_send_wr < (uint32_t)number(args, "send", 8) || side->cap.max_inline_data < (uint32_t)number(args, "inline", 32))
		say(answer, "less was granted than asked for");
	side->memory = calloc(1, MEMORY_BYTES + 1);
	register_region(side, (struct arguments){args.text, side->name}, answer);
}

static enum ibv_qp_state query_state(struct side *side)
{
	struct ibv_qp_attr attr;
	struct ibv_qp_init_attr init;

	return ibv_query_qp(side->qp, &attr, IBV_QP_STATE, &init) == 0 ? attr.qp_state : IBV_QPS_UNKNOWN;
}

/* With `want`: that state, if it is reached soon; a device may say that a request failed before it says that its QP is in error. */
static void say_state(struct side *side, struct arguments args, struct answer *answer)
{
	char want[16];
	bool wanted = text(args, "want", want, sizeof(want));
	long end = now() + 2000;

	while (wanted && strcmp(state_name(query_state(side)), want) != 0 && now() < end)
		pause_briefly();
	say(answer, "state %s", state_name(query_state(side)));
}

static void modify(struct side *side, struct arguments args, struct answer *answer)
{
	static const char *const names[] = {"RESET", "INIT", "RTR", "RTS", "SQD", "SQE", "ERR"};
	struct ibv_qp_attr attr = {0};
	char to[16], what[64] = "modify";
	int mask = 0;

	if (text(args, "to", to, sizeof(to))) {
		for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
			if (strcmp(names[i], to) == 0)
				attr.qp_state = i;
		}
		mask |= IBV_QP_STATE;
		snprintf(what, sizeof(what), "modify to %s", to);
	}
#define TAKE(key, member, bit)                                  \
	if (number(args, key, -1) >= 0) {                       \
		attr.member = number(args, key, 0);             \
		mask |= bit;                                    \
	}
	TAKE("port", port_num, IBV_QP_PORT)
	TAKE("pkey", pkey_index, IBV_QP_PKEY_INDEX)
	TAKE("rights", qp_access_flags, IBV_QP_ACCESS_FLAGS)
	TAKE("rnr_timer", min_rnr_timer, IBV_QP_MIN_RNR_TIMER)
	TAKE("timeout", timeout, IBV_QP_TIMEOUT)
	TAKE("dest", dest_qp_num, IBV_QP_DEST_QPN)
#undef TAKE
	if (number(args, "quiet", 0) != 0)
		failed(answer, what, ibv_modify_qp(side->qp, &attr, mask));
	else
		report(answer, what, ibv_modify_qp(side->qp, &attr, mask));
}

static void say_if(struct answer *answer, const char *what, bool good)
{
	say(answer, "%s: %s", what, good ? "yes" : "no");
}

/* Not the values, which differ from device to device, but what programs rely on. */
static void say_device(struct side *side, struct answer *answer)
{
	struct ibv_context *context = side->id->verbs;
	struct ibv_device_attr device = {0};
	struct ibv_device_attr_ex extended = {0};
	struct ibv_port_attr port = {0}, none_such;
	struct ibv_gid_entry entry;
	union ibv_gid gid, none = {{0}};
	uint16_t pkey = 0;
	bool found = false;

	report(answer, "query device", ibv_query_device(context, &device));
	report(answer, "query extended", ibv_query_device_ex(context, NULL, &extended));
	say_if(answer, "the same limits in both", extended.orig_attr.max_qp == device.max_qp && extended.orig_attr.max_sge == device.max_sge);
	say_if(answer, "one port", device.phys_port_cnt == 1);
	say_if(answer, "a channel adapter over InfiniBand's transport",
	       context->device->node_type == IBV_NODE_CA && context->device->transport_type == IBV_TRANSPORT_IB);
	say_if(answer, "room for objects", device.max_qp > 100 && device.max_cq > 100 && device.max_mr > 100 && device.max_pd > 100);
	say_if(answer, "room for requests", device.max_qp_wr > 100 && device.max_cqe > 100 && device.max_sge > 1);
	say_if(answer, "shared receive queues", device.max_srq > 10 && device.max_srq_wr > 100 && device.max_srq_sge > 0);
	say_if(answer, "reads", device.max_qp_rd_atom > 1 && device.max_qp_init_rd_atom > 1);
	say_if(answer, "pages of 4 KiB", (device.page_size_cap & 4096) != 0);
	report(answer, "query port", ibv_query_port(context, 1, &port));
	say_if(answer, "active Ethernet port", port.state == IBV_PORT_ACTIVE && port.link_layer == IBV_LINK_LAYER_ETHERNET);
	say_if(answer, "an MTU", port.active_mtu >= IBV_MTU_256 && port.active_mtu <= port.max_mtu);
	say_if(answer, "long messages", port.max_msg_sz >= 1 << 20);
	say_if(answer, "a second port is refused", ibv_query_port(context, 2, &none_such) != 0);
	report(answer, "query pkey", ibv_query_pkey(context, 1, 0, &pkey));
	say_if(answer, "the default pkey", pkey == 0xffff);
	for (int i = 0; i < port.gid_tbl_len; i++) {
		if (ibv_query_gid_ex(context, 1, i, &entry, 0) == 0 && entry.gid_type == IBV_GID_TYPE_ROCE_V2 &&
		    ibv_query_gid(context, 1, i, &gid) == 0 && memcmp(&gid, &none, sizeof(gid)) != 0)
			found = found || memcmp(&gid, &entry.gid, sizeof(gid)) == 0;
	}
	say_if(answer, "a GID for RoCE v2", found);
	say_if(answer, "its own address among the identifier's", rdma_get_local_addr(side->id)->sa_family == AF_INET);
}

/* Destroys one thing, and says what came of it; what is gone is forgotten. */
static void destroy(struct side *side, struct arguments args, struct answer *answer)
{
	char what[16];
	int result = EINVAL;

	text(args, "what", what, sizeof(what));
#define DESTROY(name, member, call)                             \
	if (strcmp(what, name) == 0) {                          \
		result = call(side->member);                    \
		if (result == 0)                                \
			side->member = NULL;                    \
	}
	DESTROY("pd", pd, ibv_dealloc_pd)
	DESTROY("send_cq", send_cq, ibv_destroy_cq)
	DESTROY("recv_cq", recv_cq, ibv_destroy_cq)
	DESTROY("srq", srq, ibv_destroy_srq)
	DESTROY("channel", channel, ibv_destroy_comp_channel)
	DESTROY("raw-qp", qp, ibv_destroy_qp)
#undef DESTROY
	if (strcmp(what, "qp") == 0) {
		rdma_destroy_qp(side->id);
		side->qp = NULL;
		result = 0;
	}
	say(answer, "destroy %s: %s", what, error_name(result < 0 ? errno : result));
}

/* Gives everything back; it must be possible. */
static void clean_up(struct side *side, struct answer *answer)
{
	say_events_left(side, answer);
	if (side->qp != NULL && side->id != NULL && side->id->qp == side->qp)
		rdma_destroy_qp(side->id);
	else if (side->qp != NULL)
		failed(answer, "destroy qp", ibv_destroy_qp(side->qp));
	if (side->srq != NULL)
		failed(answer, "destroy srq", ibv_destroy_srq(side->srq));
	for (int i = 0; i < REGIONS; i++) {
		if (side->regions[i].mr != NULL)
			failed(answer, "deregister", ibv_dereg_mr(side->regions[i].mr));
	}
	if (side->send_cq != NULL)
		failed(answer, "destroy send cq", ibv_destroy_cq(side->send_cq));
	if (side->recv_cq != NULL)
		failed(answer, "destroy recv cq", ibv_destroy_cq(side->recv_cq));
	if (side->channel != NULL)
		failed(answer, "destroy channel", ibv_destroy_comp_channel(side->channel));
	if (side->pd != NULL)
		failed(answer, "destroy pd", ibv_dealloc_pd(side->pd));
	if (side->id != NULL)
		failed(answer, "destroy id", rdma_destroy_id(side->id));
	if (side->listener != NULL)
		failed(answer, "destroy listener", rdma_destroy_id(side->listener));
	if (side->events != NULL)
		rdma_destroy_event_channel(side->events);
	free(side->memory);
	*side = (struct side){.name = side->name, .address = side->address};
}

static uint8_t pattern(long with, long i)
{
	return (uint8_t)(with + i * 31);
}

static void fill_memory(struct side *side, struct arguments args)
{
	uint8_t *at = (uint8_t *)side->memory + number(args, "at", 0);
	long length = number(args, "len", 0), with = number(args, "with", 1);

	for (long i = 0; i < length; i++)
		at[i] = pattern(with, i);
}

static void check_memory(struct side *side, struct arguments args, struct answer *answer)
{
	const uint8_t *at = (uint8_t *)side->memory + number(args, "at", 0);
	long length = number(args, "len", 0), with = number(args, "with", 1);

	for (long i = 0; i < length; i++) {
		if (at[i] != pattern(with, i)) {
			say(answer, "data wrong at %ld", i);
			return;
		}
	}
	say(answer, "data good%s", at[length] == 0 || number(args, "more", 0) != 0 ? "" : ", but more was written");
}

bool object_command(struct side *side, const char *word, struct arguments args, struct answer *answer)
{
	int which = number(args, "mr", 0);

	if (strcmp(word, "objects") == 0) {
		make_objects(side, args, answer);
		return true;
	}
	if (strcmp(word, "cleanup") == 0) {
		clean_up(side, answer);
		return true;
	}
	if (strcmp(word, "peer") == 0) {
		side->regions[which].peer_address = strtoull(strstr(args.text, " address=") + strlen(" address="), NULL, 0);
		side->regions[which].peer_rkey = number(args, "rkey", 0);
		return true;
	}
	if (strcmp(word, "device") == 0 && side->id != NULL) {
		say_device(side, answer);
		return true;
	}
	if (strcmp(word, "destroy") == 0) {
		destroy(side, args, answer);
		return true;
	}
	if (side->memory == NULL)
		return false;
	if (strcmp(word, "register") == 0) {
		register_region(side, args, answer);
	} else if (strcmp(word, "deregister") == 0) {
		failed(answer, "deregister", ibv_dereg_mr(side->regions[which].mr));
		side->regions[which].mr = NULL;
	} else if (strcmp(word, "fill") == 0) {
		fill_memory(side, args);
	} else if (strcmp(word, "check") == 0) {
		check_memory(side, args, answer);
	} else if (strcmp(word, "limit") == 0) {
		struct ibv_srq_attr attr = {.srq_limit = number(args, "is", 0)};

		report(answer, "limit", ibv_modify_srq(side->srq, &attr, IBV_SRQ_LIMIT));
	} else if (strcmp(word, "resize") == 0) {
		report(answer, "resize", ibv_resize_cq(side->recv_cq, number(args, "cqe", 64)));
		say_if(answer, "as large as asked for", side->recv_cq->cqe >= number(args, "cqe", 64));
	} else if (side->qp != NULL && strcmp(word, "modify") == 0) {
		modify(side, args, answer);
	} else if (side->qp != NULL && strcmp(word, "state") == 0) {
		say_state(side, args, answer);
	} else {
		return false;
	}
	return true;
}
