/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * What a message costs on a verbs provider, seen by a program that knows nothing of it.
 *
 *   pair       both ends in this process: each turn posts a receive and a send and polls both completions
 *   messages   the receiver is another process
 *
 * Either goes round over a number of connections.
 *
 * scripts/bench-softverbs.sh runs it on softverbs, under callgrind with N and 2N messages: the difference is what N messages
 * cost. Callgrind counts while bench_pair() runs.
 */

#include <arpa/inet.h>
#include <errno.h>
#include <infiniband/verbs.h>
#include <poll.h>
#include <rdma/rdma_cma.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define BYTES 64u
#define WINDOW 32u
#define MAX_QPS 1024u
#define PATIENCE_SECONDS 120

struct end {
	struct rdma_cm_id *id;
	struct ibv_qp *qp;
};

static struct rdma_event_channel *g_events;
static struct ibv_pd *g_pd;
static struct ibv_cq *g_send_cq, *g_recv_cq;
static struct ibv_mr *g_mr;
static uint8_t g_memory[4096];

static void fail(const char *what)
{
	fprintf(stderr, "verbs-bench: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* The next event, which must be of this kind. The caller acknowledges it. */
static struct rdma_cm_event *expect(enum rdma_cm_event_type kind)
{
	struct pollfd fd = {.fd = g_events->fd, .events = POLLIN};
	struct rdma_cm_event *event;

	if (poll(&fd, 1, PATIENCE_SECONDS * 1000) != 1 || rdma_get_cm_event(g_events, &event) != 0) {
		fail(rdma_event_str(kind));
	}
	if (event->event != kind) {
		fprintf(stderr, "verbs-bench: expected %s, found %s, status %d\n", rdma_event_str(kind),
			rdma_event_str(event->event), event->status);
		exit(1);
	}
	return event;
}

static struct rdma_cm_id *expect_id(enum rdma_cm_event_type kind)
{
	struct rdma_cm_event *event = expect(kind);
	struct rdma_cm_id *id = event->id;

	rdma_ack_cm_event(event);
	return id;
}

static void make_common(struct ibv_context *context, unsigned int qps)
{
	if (g_pd != NULL) {
		return;
	}
	g_pd = ibv_alloc_pd(context);
	g_send_cq = ibv_create_cq(context, (int)(qps * WINDOW), NULL, NULL, 0);
	g_recv_cq = ibv_create_cq(context, (int)(qps * WINDOW), NULL, NULL, 0);
	if (g_pd == NULL || g_send_cq == NULL || g_recv_cq == NULL) {
		fail("domain and completion queues");
	}
	g_mr = ibv_reg_mr(g_pd, g_memory, sizeof(g_memory), IBV_ACCESS_LOCAL_WRITE);
	if (g_mr == NULL) {
		fail("memory region");
	}
}

static struct end make_end(struct rdma_cm_id *id, unsigned int qps)
{
	struct ibv_qp_init_attr attr = {
		.cap = {.max_send_wr = WINDOW, .max_recv_wr = WINDOW, .max_send_sge = 1, .max_recv_sge = 1},
		.qp_type = IBV_QPT_RC,
		.sq_sig_all = 1,
	};

	make_common(id->verbs, qps);
	attr.send_cq = g_send_cq;
	attr.recv_cq = g_recv_cq;
	if (rdma_create_qp(id, g_pd, &attr) != 0) {
		fail("queue pair");
	}
	return (struct end){.id = id, .qp = id->qp};
}

static void receive(struct ibv_qp *qp, uint64_t wr_id)
{
	struct ibv_sge sge = {.addr = (uintptr_t)g_memory, .length = BYTES, .lkey = g_mr->lkey};
	struct ibv_recv_wr wr = {.wr_id = wr_id, .sg_list = &sge, .num_sge = 1}, *bad;

	if (ibv_post_recv(qp, &wr, &bad) != 0) {
		fail("receive");
	}
}

static void send_message(struct ibv_qp *qp, uint64_t wr_id)
{
	struct ibv_sge sge = {.addr = (uintptr_t)g_memory + 1024, .length = BYTES, .lkey = g_mr->lkey};
	struct ibv_send_wr wr = {.wr_id = wr_id, .sg_list = &sge, .num_sge = 1, .opcode = IBV_WR_SEND}, *bad;

	if (ibv_post_send(qp, &wr, &bad) != 0) {
		fail("send");
	}
}

/* Takes one completion if there is one. It must be good. */
static bool completed(struct ibv_cq *cq, struct ibv_wc *wc)
{
	int got = ibv_poll_cq(cq, 1, wc);

	if (got < 0 || (got == 1 && wc->status != IBV_WC_SUCCESS)) {
		fprintf(stderr, "verbs-bench: polled %d, status %s\n", got,
			got == 1 ? ibv_wc_status_str(wc->status) : "none");
		exit(1);
	}
	return got == 1;
}

static struct rdma_cm_id *make_id(void)
{
	struct rdma_cm_id *id;

	if (rdma_create_id(g_events, &id, NULL, RDMA_PS_TCP) != 0) {
		fail("identifier");
	}
	return id;
}

static struct rdma_cm_id *listen_on(struct sockaddr_in *address, unsigned int qps)
{
	struct rdma_cm_id *id = make_id();

	if (rdma_bind_addr(id, (struct sockaddr *)address) != 0 || rdma_listen(id, (int)qps) != 0) {
		fail("listen");
	}
	address->sin_port = rdma_get_src_port(id);
	return id;
}

static struct end dial(struct sockaddr_in *address, unsigned int qps)
{
	struct rdma_conn_param param = {.retry_count = 7, .rnr_retry_count = 7};
	struct rdma_cm_id *id = make_id();
	struct end end;

	if (rdma_resolve_addr(id, NULL, (struct sockaddr *)address, 5000) != 0) {
		fail("address");
	}
	expect_id(RDMA_CM_EVENT_ADDR_RESOLVED);
	if (rdma_resolve_route(id, 5000) != 0) {
		fail("route");
	}
	expect_id(RDMA_CM_EVENT_ROUTE_RESOLVED);
	end = make_end(id, qps);
	if (rdma_connect(id, &param) != 0) {
		fail("connect");
	}
	return end;
}

static struct end take(unsigned int qps)
{
	struct rdma_conn_param param = {.retry_count = 7, .rnr_retry_count = 7};
	struct end end = make_end(expect_id(RDMA_CM_EVENT_CONNECT_REQUEST), qps);

	if (rdma_accept(end.id, &param) != 0) {
		fail("accept");
	}
	return end;
}

static void drop(struct end end)
{
	rdma_disconnect(end.id);
	rdma_destroy_qp(end.id);
	rdma_destroy_id(end.id);
}

static void drop_common(void)
{
	ibv_dereg_mr(g_mr);
	ibv_destroy_cq(g_send_cq);
	ibv_destroy_cq(g_recv_cq);
	ibv_dealloc_pd(g_pd);
	rdma_destroy_event_channel(g_events);
}

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

void bench_pair(struct end *from, struct end *to, unsigned int qps, uint64_t count);

__attribute__((noinline)) void bench_pair(struct end *from, struct end *to, unsigned int qps, uint64_t count)
{
	unsigned int at = 0;
	struct ibv_wc wc;
	uint64_t i;

	for (i = 0; i < count; i++) {
		receive(to[at].qp, i);
		send_message(from[at].qp, i);
		if (!completed(g_send_cq, &wc) || !completed(g_recv_cq, &wc) || wc.byte_len != BYTES) {
			fail("a message did not complete at once");
		}
		if (++at == qps) {
			at = 0;
		}
	}
}

static void pair(uint64_t count, unsigned int qps)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	static struct end from[MAX_QPS], to[MAX_QPS];
	struct rdma_cm_id *listener;
	unsigned int i;
	double begin;

	g_events = rdma_create_event_channel();
	listener = listen_on(&address, 1);
	for (i = 0; i < qps; i++) {
		from[i] = dial(&address, qps);
		to[i] = take(qps);
		expect_id(RDMA_CM_EVENT_ESTABLISHED);
		expect_id(RDMA_CM_EVENT_ESTABLISHED);
	}
	begin = seconds();
	bench_pair(from, to, qps, count);
	printf("%.0f\n", (seconds() - begin) * 1e9 / (double)count);
	for (i = 0; i < qps; i++) {
		drop(from[i]);
		drop(to[i]);
	}
	rdma_destroy_id(listener);
	drop_common();
}

/* `window`: messages on the way at once. */
static void bench_messages(struct end *ends, unsigned int qps, uint64_t count, unsigned int window)
{
	uint64_t sent = 0, done = 0;
	struct ibv_wc wc;

	while (done < count) {
		while (sent < count && sent - done < window) {
			send_message(ends[sent % qps].qp, sent);
			sent++;
		}
		while (completed(g_send_cq, &wc)) {
			done++;
		}
	}
}

/* The receiving process: takes what comes until the peer leaves. */
static void serve(int port_pipe, unsigned int qps)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct rdma_cm_id *listener;
	struct rdma_cm_event *event;
	static struct end ends[MAX_QPS];
	struct ibv_wc wc;
	unsigned int i, j, left = qps;

	alarm(PATIENCE_SECONDS);
	g_events = rdma_create_event_channel();
	listener = listen_on(&address, qps);
	if (write(port_pipe, &address.sin_port, sizeof(address.sin_port)) != sizeof(address.sin_port)) {
		fail("pipe");
	}
	for (i = 0; i < qps; i++) {
		ends[i] = take(qps);
		ends[i].qp->qp_context = &ends[i];
		for (j = 0; j < WINDOW; j++) {
			receive(ends[i].qp, i);
		}
		expect_id(RDMA_CM_EVENT_ESTABLISHED);
	}
	while (left > 0) {
		struct pollfd fd = {.fd = g_events->fd, .events = POLLIN};

		for (i = 0; i < 1000 && ibv_poll_cq(g_recv_cq, 1, &wc) == 1; i++) {
			if (wc.status == IBV_WC_SUCCESS) {
				receive(ends[wc.wr_id].qp, wc.wr_id);
			}
		}
		if (i > 0 || poll(&fd, 1, 0) != 1) {
			continue;
		}
		if (rdma_get_cm_event(g_events, &event) != 0) {
			fail("event");
		}
		left -= event->event == RDMA_CM_EVENT_DISCONNECTED;
		rdma_ack_cm_event(event);
	}
	for (i = 0; i < qps; i++) {
		drop(ends[i]);
	}
	rdma_destroy_id(listener);
	drop_common();
}

static void messages(uint64_t count, unsigned int qps, unsigned int window)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	static struct end ends[MAX_QPS];
	int ports[2], status;
	unsigned int i;
	double begin;
	pid_t child;

	/* Before the first verbs call: a process that forks keeps its device in the parent. */
	if (pipe(ports) != 0 || (child = fork()) < 0) {
		fail("child");
	}
	if (child == 0) {
		serve(ports[1], qps);
		exit(0);
	}
	if (read(ports[0], &address.sin_port, sizeof(address.sin_port)) != sizeof(address.sin_port)) {
		fail("port");
	}
	g_events = rdma_create_event_channel();
	for (i = 0; i < qps; i++) {
		ends[i] = dial(&address, qps);
		expect_id(RDMA_CM_EVENT_ESTABLISHED);
	}
	bench_messages(ends, qps, qps, 1);
	begin = seconds();
	bench_messages(ends, qps, count, window);
	printf("%.0f\n", (seconds() - begin) * 1e9 / (double)count);
	for (i = 0; i < qps; i++) {
		drop(ends[i]);
	}
	drop_common();
	if (waitpid(child, &status, 0) != child || status != 0) {
		fail("the receiver ended badly");
	}
}

int main(int argc, char **argv)
{
	uint64_t count = argc > 2 ? strtoull(argv[2], NULL, 10) : 0;
	uint64_t qps = argc > 3 ? strtoull(argv[3], NULL, 10) : 1;
	uint64_t window = argc > 4 ? strtoull(argv[4], NULL, 10) : 1;
	bool sane = count > 0 && qps > 0 && qps <= MAX_QPS && window > 0 && window <= WINDOW;

	if (sane && strcmp(argv[1], "pair") == 0) {
		pair(count, (unsigned int)qps);
	} else if (sane && strcmp(argv[1], "messages") == 0) {
		messages(count, (unsigned int)qps, (unsigned int)window);
	} else {
		fprintf(stderr, "usage: verbs-bench pair|messages COUNT [CONNECTIONS [WINDOW]]\nPrints nanoseconds per message.\n");
		return 2;
	}
	return 0;
}
