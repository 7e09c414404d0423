/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A plain verbs program, compiled against rdma-core's headers: what their inline functions and macros need must be there.
 *
 *   verbs_program check        one process talks to itself through the connection manager; exit 0 if all went well
 *   verbs_program pairs N      the same, then N times a SEND of 64 bytes and its RECV, both completions polled
 *   verbs_program leak         leaves objects behind
 *   verbs_program unacked      destroys an identifier whose event it did not acknowledge
 *   verbs_program server ADDR PORT     serves one connection until it is disconnected: answers nothing, polls nothing
 *   verbs_program client ADDR PORT     writes, reads and verifies through a server that does not poll
 *   verbs_program late-server ADDR PORT     has much to read, and no receive until it is asked for a second connection
 *   verbs_program late-client ADDR PORT     reads much, sends behind that, and asks for a second connection once it has read
 */
#include <arpa/inet.h>
#include <errno.h>
#include <infiniband/verbs.h>
#include <rdma/rdma_cma.h>
#include <rdma/rdma_verbs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHECK(condition)                                                                                                        \
	do {                                                                                                                    \
		if (!(condition)) {                                                                                             \
			fprintf(stderr, "%s:%d: %s: errno %d\n", __FILE__, __LINE__, #condition, errno);                         \
			exit(1);                                                                                                \
		}                                                                                                               \
	} while (0)

#define LENGTH (1 << 20)
#define ALL (IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_READ | IBV_ACCESS_REMOTE_WRITE)

struct target {
	uint64_t address;
	uint32_t rkey;
};

static struct rdma_cm_event *expect(struct rdma_event_channel *channel, enum rdma_cm_event_type type)
{
	struct rdma_cm_event *event;

	CHECK(rdma_get_cm_event(channel, &event) == 0);
	if (event->event != type) {
		fprintf(stderr, "%s instead of %s, status %d\n", rdma_event_str(event->event), rdma_event_str(type),
			event->status);
		exit(1);
	}
	return event;
}

static struct sockaddr_in address_of(const char *text, int port)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};

	CHECK(inet_pton(AF_INET, text, &address.sin_addr) == 1);
	return address;
}

static struct rdma_cm_id *resolve(struct rdma_event_channel *channel, struct sockaddr_in *to)
{
	struct rdma_cm_id *id;

	CHECK(rdma_create_id(channel, &id, NULL, RDMA_PS_TCP) == 0);
	CHECK(rdma_resolve_addr(id, NULL, (struct sockaddr *)to, 2000) == 0);
	rdma_ack_cm_event(expect(channel, RDMA_CM_EVENT_ADDR_RESOLVED));
	CHECK(rdma_resolve_route(id, 2000) == 0);
	rdma_ack_cm_event(expect(channel, RDMA_CM_EVENT_ROUTE_RESOLVED));
	return id;
}

static void make_qp(struct rdma_cm_id *id)
{
	struct ibv_qp_init_attr attr = {
		.cap = {.max_send_wr = 8, .max_recv_wr = 8, .max_send_sge = 2, .max_recv_sge = 2, .max_inline_data = 16},
		.qp_type = IBV_QPT_RC,
		.sq_sig_all = 1,
	};

	CHECK(rdma_create_qp(id, NULL, &attr) == 0);
	CHECK(id->send_cq && id->recv_cq && id->pd);
}

static void check_device(struct ibv_context *context)
{
	struct ibv_device_attr device;
	struct ibv_device_attr_ex extended;
	struct ibv_port_attr port;
	struct ibv_gid_entry entry;
	union ibv_gid gid;
	struct ibv_qp_init_attr_ex init = {.qp_type = IBV_QPT_RC, .comp_mask = IBV_QP_INIT_ATTR_PD};
	struct ibv_pd *pd;
	struct ibv_cq *cq;
	struct ibv_qp *qp;

	CHECK(ibv_query_device(context, &device) == 0 && device.phys_port_cnt == 1 && device.max_qp > 1000);
	CHECK(ibv_query_device_ex(context, NULL, &extended) == 0 && extended.orig_attr.max_sge == device.max_sge);
	memset(&port, 0xff, sizeof(port));
	CHECK(ibv_query_port(context, 1, &port) == 0);
	CHECK(port.state == IBV_PORT_ACTIVE && port.port_cap_flags2 == 0 && port.link_layer == IBV_LINK_LAYER_ETHERNET);
	CHECK(ibv_query_port(context, 2, &port) != 0);
	CHECK(ibv_query_gid(context, 1, 0, &gid) == 0);
	CHECK(ibv_query_gid_ex(context, 1, 0, &entry, 0) == 0 && memcmp(&entry.gid, &gid, sizeof(gid)) == 0);
	CHECK(entry.gid_type == IBV_GID_TYPE_ROCE_V2);
	CHECK(strcmp(ibv_get_device_name(context->device), "softverbs0") == 0);
	CHECK((pd = ibv_alloc_pd(context)) != NULL);
	CHECK((cq = ibv_create_cq(context, 8, NULL, NULL, 0)) != NULL);
	init.pd = pd;
	init.send_cq = init.recv_cq = cq;
	init.cap.max_send_wr = init.cap.max_recv_wr = init.cap.max_send_sge = init.cap.max_recv_sge = 1;
	CHECK((qp = ibv_create_qp_ex(context, &init)) != NULL);
	CHECK(ibv_qp_to_qp_ex(qp) == NULL);
	CHECK(ibv_destroy_qp(qp) == 0);
	init.comp_mask |= IBV_QP_INIT_ATTR_XRCD;
	CHECK(ibv_create_qp_ex(context, &init) == NULL && errno == EOPNOTSUPP);
	struct ibv_cq_init_attr_ex cq_attr = {.cqe = 4, .wc_flags = IBV_WC_EX_WITH_FLOW_TAG};
	CHECK(ibv_create_cq_ex(context, &cq_attr) == NULL && errno == EOPNOTSUPP);
	CHECK(ibv_alloc_mw(pd, IBV_MW_TYPE_1) == NULL && errno == EOPNOTSUPP);
	CHECK(ibv_destroy_cq(cq) == 0);
	CHECK(ibv_dealloc_pd(pd) == 0);
}

static void finish(struct rdma_cm_id *id)
{
	rdma_destroy_qp(id);
	CHECK(rdma_destroy_id(id) == 0);
}

static int check(long pairs)
{
	struct rdma_event_channel *channel = rdma_create_event_channel();
	struct sockaddr_in to = address_of("127.0.0.1", 0);
	struct rdma_cm_id *listener, *a, *b;
	struct rdma_conn_param param = {.responder_resources = 1, .initiator_depth = 1, .retry_count = 7, .rnr_retry_count = 7};
	struct rdma_cm_event *event;
	struct ibv_wc wc;
	char memory[128] = "there", inl[8] = "inline";
	struct ibv_mr *mr_a, *mr_b;

	CHECK(rdma_create_id(channel, &listener, NULL, RDMA_PS_TCP) == 0);
	CHECK(rdma_bind_addr(listener, (struct sockaddr *)&to) == 0);
	CHECK(rdma_listen(listener, 1) == 0);
	to.sin_port = rdma_get_src_port(listener);
	CHECK(to.sin_port != 0);
	a = resolve(channel, &to);
	check_device(a->verbs);
	make_qp(a);
	CHECK(rdma_connect(a, &param) == 0);
	event = expect(channel, RDMA_CM_EVENT_CONNECT_REQUEST);
	b = event->id;
	rdma_ack_cm_event(event);
	make_qp(b);
	mr_a = rdma_reg_msgs(a, memory, 64);
	mr_b = rdma_reg_msgs(b, memory + 64, 64);
	CHECK(mr_a && mr_b);
	CHECK(rdma_post_recv(b, NULL, memory + 64, 64, mr_b) == 0);
	CHECK(rdma_post_recv(b, NULL, memory + 96, 32, mr_b) == 0);
	CHECK(rdma_accept(b, &param) == 0);
	rdma_ack_cm_event(expect(channel, RDMA_CM_EVENT_ESTABLISHED));
	rdma_ack_cm_event(expect(channel, RDMA_CM_EVENT_ESTABLISHED));
	CHECK(rdma_post_send(a, NULL, memory, 6, mr_a, 0) == 0);
	CHECK(rdma_post_send(a, NULL, inl, 7, NULL, IBV_SEND_INLINE) == 0);
	CHECK(rdma_get_recv_comp(b, &wc) == 1 && wc.status == IBV_WC_SUCCESS && wc.byte_len == 6);
	CHECK(rdma_get_recv_comp(b, &wc) == 1 && wc.status == IBV_WC_SUCCESS && wc.byte_len == 7);
	CHECK(rdma_get_send_comp(a, &wc) == 1 && wc.status == IBV_WC_SUCCESS && wc.opcode == IBV_WC_SEND);
	CHECK(strcmp(memory + 64, "there") == 0 && strcmp(memory + 96, "inline") == 0);
	CHECK(strcmp(ibv_wc_status_str(IBV_WC_RETRY_EXC_ERR), "transport retry counter exceeded") == 0);
	for (long i = 0; i < pairs; i++) {
		struct ibv_sge from = {(uintptr_t)memory, 64, mr_a->lkey}, into = {(uintptr_t)memory + 64, 64, mr_b->lkey};
		struct ibv_recv_wr recv = {.wr_id = i, .sg_list = &into, .num_sge = 1}, *bad_recv;
		struct ibv_send_wr send = {.wr_id = i, .sg_list = &from, .num_sge = 1, .opcode = IBV_WR_SEND}, *bad_send;

		send.send_flags = IBV_SEND_SIGNALED;
		CHECK(ibv_post_recv(b->qp, &recv, &bad_recv) == 0);
		CHECK(ibv_post_send(a->qp, &send, &bad_send) == 0);
		while (ibv_poll_cq(b->recv_cq, 1, &wc) == 0) {
		}
		CHECK(wc.status == IBV_WC_SUCCESS && wc.byte_len == 64);
		while (ibv_poll_cq(a->send_cq, 1, &wc) == 0) {
		}
		CHECK(wc.status == IBV_WC_SUCCESS);
	}
	CHECK(rdma_disconnect(a) == 0);
	rdma_ack_cm_event(expect(channel, RDMA_CM_EVENT_DISCONNECTED));
	rdma_dereg_mr(mr_a);
	rdma_dereg_mr(mr_b);
	finish(a);
	finish(b);
	CHECK(rdma_destroy_id(listener) == 0);
	rdma_destroy_event_channel(channel);
	return 0;
}

/* Listens, says so, and accepts the first connection: `memory` is open to it, and it is told where that is. */
static struct rdma_cm_id *accept_one(struct rdma_event_channel *channel, const char *address, int port, char *memory, size_t length,
				     struct rdma_cm_id **listener, struct ibv_mr **mr)
{
	struct sockaddr_in at = address_of(address, port);
	struct rdma_conn_param param = {.responder_resources = 4, .initiator_depth = 4, .rnr_retry_count = 7};
	struct rdma_cm_event *event;
	struct rdma_cm_id *id;
	struct target target;

	CHECK(rdma_create_id(channel, listener, NULL, RDMA_PS_TCP) == 0);
	CHECK(rdma_bind_addr(*listener, (struct sockaddr *)&at) == 0);
	CHECK(rdma_listen(*listener, 2) == 0);
	printf("ready\n");
	fflush(stdout);
	event = expect(channel, RDMA_CM_EVENT_CONNECT_REQUEST);
	id = event->id;
	rdma_ack_cm_event(event);
	make_qp(id);
	CHECK((*mr = ibv_reg_mr(id->pd, memory, length, ALL)) != NULL);
	target.address = (uintptr_t)memory;
	target.rkey = (*mr)->rkey;
	param.private_data = &target;
	param.private_data_len = sizeof(target);
	CHECK(rdma_accept(id, &param) == 0);
	rdma_ack_cm_event(expect(channel, RDMA_CM_EVENT_ESTABLISHED));
	return id;
}

/* Connects to such a server, with memory of its own; `target` is where the server's is. */
static struct rdma_cm_id *connect_one(struct rdma_event_channel *channel, struct sockaddr_in *to, char *memory, size_t length,
				      struct ibv_mr **mr, struct target *target)
{
	struct rdma_conn_param param = {.responder_resources = 4, .initiator_depth = 4, .retry_count = 7, .rnr_retry_count = 7};
	struct rdma_cm_id *id = resolve(channel, to);
	struct rdma_cm_event *event;

	make_qp(id);
	CHECK((*mr = ibv_reg_mr(id->pd, memory, length, ALL)) != NULL);
	CHECK(rdma_connect(id, &param) == 0);
	event = expect(channel, RDMA_CM_EVENT_ESTABLISHED);
	memcpy(target, event->param.conn.private_data, sizeof(*target));
	rdma_ack_cm_event(event);
	return id;
}

/* The ends of both. */
static void end_of_server(struct rdma_event_channel *channel, struct rdma_cm_id *listener, struct rdma_cm_id *id, struct ibv_mr *mr)
{
	CHECK(rdma_disconnect(id) == 0);
	rdma_dereg_mr(mr);
	finish(id);
	CHECK(rdma_destroy_id(listener) == 0);
	rdma_destroy_event_channel(channel);
}

static void end_of_client(struct rdma_event_channel *channel, struct rdma_cm_id *id, struct ibv_mr *mr)
{
	CHECK(rdma_disconnect(id) == 0);
	rdma_ack_cm_event(expect(channel, RDMA_CM_EVENT_DISCONNECTED));
	rdma_dereg_mr(mr);
	finish(id);
	rdma_destroy_event_channel(channel);
}

static int serve(const char *address, int port)
{
	struct rdma_event_channel *channel = rdma_create_event_channel();
	struct rdma_cm_id *listener, *id;
	char *memory = calloc(1, LENGTH);
	struct ibv_mr *mr;

	id = accept_one(channel, address, port, memory, LENGTH, &listener, &mr);
	/* From here on this thread sleeps: whoever answers reads and writes is not this program. */
	rdma_ack_cm_event(expect(channel, RDMA_CM_EVENT_DISCONNECTED));
	CHECK(memory[5] == 5 && memory[LENGTH - 1] == (char)((LENGTH - 1) % 251));
	end_of_server(channel, listener, id, mr);
	free(memory);
	return 0;
}

static int client(const char *address, int port)
{
	struct rdma_event_channel *channel = rdma_create_event_channel();
	struct sockaddr_in to = address_of(address, port);
	struct target target;
	struct ibv_wc wc;
	char *memory = malloc(2 * LENGTH);
	struct ibv_mr *mr;
	struct rdma_cm_id *id = connect_one(channel, &to, memory, 2 * LENGTH, &mr, &target);

	for (int i = 0; i < LENGTH; i++) {
		memory[i] = i % 251;
	}
	for (int round = 0; round < 20; round++) {
		memset(memory + LENGTH, 0, LENGTH);
		CHECK(rdma_post_write(id, NULL, memory, LENGTH, mr, 0, target.address, target.rkey) == 0);
		CHECK(rdma_post_read(id, NULL, memory + LENGTH, LENGTH, mr, 0, target.address, target.rkey) == 0);
		CHECK(rdma_get_send_comp(id, &wc) == 1 && wc.status == IBV_WC_SUCCESS && wc.opcode == IBV_WC_RDMA_WRITE);
		CHECK(rdma_get_send_comp(id, &wc) == 1 && wc.status == IBV_WC_SUCCESS && wc.opcode == IBV_WC_RDMA_READ);
		CHECK(memcmp(memory, memory + LENGTH, LENGTH) == 0);
	}
	end_of_client(channel, id, mr);
	free(memory);
	return 0;
}

/* More than waits for a socket at a time. */
#define MUCH (8 << 20)

static int serve_late(const char *address, int port)
{
	struct rdma_event_channel *channel = rdma_create_event_channel();
	struct rdma_cm_id *listener, *id, *second;
	struct rdma_cm_event *event;
	char *memory = malloc(MUCH);
	struct ibv_mr *mr;
	struct ibv_wc wc;

	for (int i = 0; i < MUCH; i++) {
		memory[i] = i % 251;
	}
	id = accept_one(channel, address, port, memory, MUCH, &listener, &mr);
	event = expect(channel, RDMA_CM_EVENT_CONNECT_REQUEST);
	second = event->id;
	rdma_ack_cm_event(event);
	CHECK(rdma_post_recv(id, NULL, memory, 64, mr) == 0);
	CHECK(rdma_reject(second, NULL, 0) == 0);
	CHECK(rdma_destroy_id(second) == 0);
	CHECK(rdma_get_recv_comp(id, &wc) == 1 && wc.status == IBV_WC_SUCCESS && wc.byte_len == 64);
	rdma_ack_cm_event(expect(channel, RDMA_CM_EVENT_DISCONNECTED));
	end_of_server(channel, listener, id, mr);
	free(memory);
	return 0;
}

static int client_of_late(const char *address, int port)
{
	struct rdma_event_channel *channel = rdma_create_event_channel();
	struct sockaddr_in to = address_of(address, port);
	struct rdma_conn_param asking = {.qp_num = 5};
	struct rdma_cm_id *id, *second;
	struct target target;
	struct ibv_wc wc;
	char *memory = malloc(MUCH + 64);
	struct ibv_mr *mr;

	memset(memory, 0xff, MUCH + 64);
	id = connect_one(channel, &to, memory, MUCH + 64, &mr, &target);
	struct ibv_sge from = {(uintptr_t)memory + MUCH, 64, mr->lkey}, into = {(uintptr_t)memory, MUCH, mr->lkey};
	struct ibv_send_wr send = {.sg_list = &from, .num_sge = 1, .opcode = IBV_WR_SEND}, *bad;
	struct ibv_send_wr read = {.next = &send, .sg_list = &into, .num_sge = 1, .opcode = IBV_WR_RDMA_READ};
	read.wr.rdma.remote_addr = target.address;
	read.wr.rdma.rkey = target.rkey;
	CHECK(ibv_post_send(id->qp, &read, &bad) == 0);
	CHECK(rdma_get_send_comp(id, &wc) == 1 && wc.status == IBV_WC_SUCCESS && wc.opcode == IBV_WC_RDMA_READ);
	for (int i = 0; i < MUCH; i++) {
		CHECK(memory[i] == (char)(i % 251));
	}
	second = resolve(channel, &to);
	CHECK(rdma_connect(second, &asking) == 0);
	rdma_ack_cm_event(expect(channel, RDMA_CM_EVENT_REJECTED));
	CHECK(rdma_destroy_id(second) == 0);
	CHECK(rdma_get_send_comp(id, &wc) == 1 && wc.status == IBV_WC_SUCCESS && wc.opcode == IBV_WC_SEND);
	end_of_client(channel, id, mr);
	free(memory);
	return 0;
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "check";

	if (strcmp(what, "server") == 0 && argc == 4) {
		return serve(argv[2], atoi(argv[3]));
	}
	if (strcmp(what, "client") == 0 && argc == 4) {
		return client(argv[2], atoi(argv[3]));
	}
	if (strcmp(what, "late-server") == 0 && argc == 4) {
		return serve_late(argv[2], atoi(argv[3]));
	}
	if (strcmp(what, "late-client") == 0 && argc == 4) {
		return client_of_late(argv[2], atoi(argv[3]));
	}
	if (strcmp(what, "pairs") == 0 && argc == 3) {
		return check(atol(argv[2]));
	}
	if (strcmp(what, "leak") == 0) {
		struct rdma_event_channel *channel = rdma_create_event_channel();
		struct sockaddr_in to = address_of("127.0.0.1", 4420);

		make_qp(resolve(channel, &to));
		printf("left behind\n");
		return 0;
	}
	if (strcmp(what, "unacked") == 0) {
		struct rdma_event_channel *channel = rdma_create_event_channel();
		struct sockaddr_in to = address_of("127.0.0.1", 4420);
		struct rdma_cm_id *id = resolve(channel, &to);
		struct rdma_conn_param param = {.qp_num = 5};

		CHECK(rdma_connect(id, &param) == 0);
		expect(channel, RDMA_CM_EVENT_REJECTED);
		rdma_destroy_id(id);
		return 0;
	}
	return check(0);
}
