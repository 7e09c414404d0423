/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A program that does one wrong thing, named by its argument, each step in a function of its own: ledger.rs reads in what the
 * library says about it where each step was done.
 */
#include <dlfcn.h>
#include <errno.h>
#include <infiniband/verbs.h>
#include <rdma/rdma_cma.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(what) \
	do { \
		if (!(what)) { \
			fprintf(stderr, "%s:%d: %s failed, errno %d\n", __FILE__, __LINE__, #what, errno); \
			exit(1); \
		} \
	} while (0)

static char memory[65536];
static struct ibv_context *context;
static struct ibv_pd *pd;
static struct ibv_mr *mr;
static struct ibv_comp_channel *channel;
static struct ibv_cq *cq;
static struct ibv_qp *qp[2];

__attribute__((noinline)) void open_the_device(void)
{
	struct ibv_device **list = ibv_get_device_list(NULL);

	CHECK(list && list[0]);
	context = ibv_open_device(list[0]);
	CHECK(context);
	ibv_free_device_list(list);
}

__attribute__((noinline)) void make_the_domain(void)
{
	pd = ibv_alloc_pd(context);
	CHECK(pd);
}

__attribute__((noinline)) void destroy_the_domain(void)
{
	CHECK(ibv_dealloc_pd(pd) == 0);
}

__attribute__((noinline)) void use_the_domain(void)
{
	CHECK(ibv_reg_mr(pd, memory, 64, 0) == NULL && errno == EINVAL);
}

__attribute__((noinline)) void destroy_the_domain_again(void)
{
	CHECK(ibv_dealloc_pd(pd) == EINVAL);
}

__attribute__((noinline)) void make_the_region(void)
{
	mr = ibv_reg_mr(pd, memory, sizeof(memory),
			IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_READ);
	CHECK(mr);
}

__attribute__((noinline)) void deregister_the_region(void)
{
	CHECK(ibv_dereg_mr(mr) == 0);
}

__attribute__((noinline)) void make_the_queues(void)
{
	channel = ibv_create_comp_channel(context);
	CHECK(channel);
	cq = ibv_create_cq(context, 16, NULL, channel, 0);
	CHECK(cq);
}

__attribute__((noinline)) void make_the_pairs(void)
{
	struct ibv_qp_init_attr init = { .send_cq = cq, .recv_cq = cq, .qp_type = IBV_QPT_RC, .sq_sig_all = 1 };
	union ibv_gid gid;
	int i;

	init.cap.max_send_wr = init.cap.max_recv_wr = 4;
	init.cap.max_send_sge = init.cap.max_recv_sge = 1;
	for (i = 0; i < 2; i++)
		CHECK((qp[i] = ibv_create_qp(pd, &init)));
	CHECK(ibv_query_gid(context, 1, 0, &gid) == 0);
	for (i = 0; i < 2; i++) {
		struct ibv_qp_attr attr = { .qp_state = IBV_QPS_INIT, .port_num = 1 };

		attr.qp_access_flags = IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_READ;
		CHECK(ibv_modify_qp(qp[i], &attr, IBV_QP_STATE | IBV_QP_PKEY_INDEX | IBV_QP_PORT | IBV_QP_ACCESS_FLAGS) == 0);
		attr.qp_state = IBV_QPS_RTR;
		attr.path_mtu = IBV_MTU_1024;
		attr.dest_qp_num = qp[!i]->qp_num;
		attr.max_dest_rd_atomic = 1;
		attr.ah_attr.is_global = 1;
		attr.ah_attr.grh.dgid = gid;
		attr.ah_attr.port_num = 1;
		CHECK(ibv_modify_qp(qp[i], &attr, IBV_QP_STATE | IBV_QP_AV | IBV_QP_PATH_MTU | IBV_QP_DEST_QPN |
				    IBV_QP_RQ_PSN | IBV_QP_MAX_DEST_RD_ATOMIC | IBV_QP_MIN_RNR_TIMER) == 0);
		attr.qp_state = IBV_QPS_RTS;
		attr.timeout = 8;
		attr.max_rd_atomic = 1;
		CHECK(ibv_modify_qp(qp[i], &attr, IBV_QP_STATE | IBV_QP_TIMEOUT | IBV_QP_RETRY_CNT | IBV_QP_RNR_RETRY |
				    IBV_QP_SQ_PSN | IBV_QP_MAX_QP_RD_ATOMIC) == 0);
	}
}

static inline __attribute__((always_inline)) int post(enum ibv_wr_opcode opcode, uint32_t lkey, uint32_t rkey)
{
	struct ibv_sge sge = { .addr = (uintptr_t)memory, .length = 8, .lkey = lkey };
	struct ibv_send_wr wr = { .wr_id = 1, .sg_list = &sge, .num_sge = 1, .opcode = opcode }, *bad;

	wr.wr.rdma.remote_addr = (uintptr_t)memory;
	wr.wr.rdma.rkey = rkey;
	return ibv_post_send(qp[0], &wr, &bad);
}

static enum ibv_wc_status poll(void)
{
	struct ibv_wc wc;

	CHECK(ibv_poll_cq(cq, 1, &wc) == 1);
	return wc.status;
}

__attribute__((noinline)) void destroy_the_pairs(void)
{
	CHECK(ibv_destroy_qp(qp[0]) == 0 && ibv_destroy_qp(qp[1]) == 0);
}

__attribute__((noinline)) void use_the_pair(void)
{
	CHECK(post(IBV_WR_SEND, mr->lkey, 0) == EINVAL);
}

static void destroy_the_rest(void)
{
	CHECK(ibv_destroy_cq(cq) == 0 && ibv_destroy_comp_channel(channel) == 0);
	destroy_the_domain();
	CHECK(ibv_close_device(context) == 0);
}

static void use_after_destroy(void)
{
	open_the_device();
	make_the_domain();
	destroy_the_domain();
	use_the_domain();
}

static void double_destroy(void)
{
	open_the_device();
	make_the_domain();
	destroy_the_domain();
	destroy_the_domain_again();
}

static void post_after_destroy(void)
{
	open_the_device();
	make_the_domain();
	make_the_region();
	make_the_queues();
	make_the_pairs();
	destroy_the_pairs();
	use_the_pair();
}

static void local_access(void)
{
	uint32_t lkey, rkey;
	struct ibv_mr *other;

	open_the_device();
	make_the_domain();
	make_the_queues();
	make_the_pairs();
	make_the_region();
	lkey = mr->lkey;
	deregister_the_region();
	other = ibv_reg_mr(pd, memory, sizeof(memory), IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE);
	CHECK(other);
	rkey = other->rkey;
	CHECK(post(IBV_WR_RDMA_WRITE, lkey, rkey) == 0);
	CHECK(poll() == IBV_WC_LOC_PROT_ERR);
	CHECK(ibv_dereg_mr(other) == 0);
	destroy_the_pairs();
	destroy_the_rest();
}

static void remote_access(void)
{
	uint32_t rkey;
	struct ibv_mr *other;

	open_the_device();
	make_the_domain();
	make_the_queues();
	make_the_pairs();
	make_the_region();
	rkey = mr->rkey;
	deregister_the_region();
	other = ibv_reg_mr(pd, memory, sizeof(memory), 0);
	CHECK(other);
	CHECK(post(IBV_WR_RDMA_WRITE, other->lkey, rkey) == 0);
	CHECK(poll() == IBV_WC_REM_ACCESS_ERR);
	CHECK(ibv_dereg_mr(other) == 0);
	destroy_the_pairs();
	destroy_the_rest();
}

static void leak(void)
{
	open_the_device();
	make_the_domain();
	make_the_region();
	make_the_queues();
	CHECK(ibv_alloc_pd(context));
}

__attribute__((noinline)) void close_the_device_too_soon(void)
{
	/* The kernel takes what is left with it. */
	CHECK(ibv_close_device(context) == 0);
}

static void close_early(void)
{
	open_the_device();
	make_the_domain();
	close_the_device_too_soon();
}

__attribute__((noinline)) void destroy_the_channel_too_soon(struct rdma_event_channel *events)
{
	rdma_destroy_event_channel(events);
}

static void channel_early(void)
{
	struct rdma_event_channel *events = rdma_create_event_channel();
	struct rdma_cm_id *id;

	CHECK(events && rdma_create_id(events, &id, NULL, RDMA_PS_TCP) == 0);
	destroy_the_channel_too_soon(events);
	CHECK(rdma_destroy_id(id) == 0);
}

__attribute__((noinline)) void destroy_the_queue_too_soon(void)
{
	CHECK(ibv_destroy_cq(cq) == 0);
}

static void unacked_notification(void)
{
	struct ibv_cq *which;
	void *given;

	open_the_device();
	make_the_domain();
	make_the_region();
	make_the_queues();
	make_the_pairs();
	CHECK(ibv_req_notify_cq(cq, 0) == 0);
	CHECK(post(IBV_WR_RDMA_WRITE, mr->lkey, mr->rkey) == 0);
	CHECK(ibv_get_cq_event(channel, &which, &given) == 0 && which == cq);
	destroy_the_pairs();
	deregister_the_region();
	destroy_the_queue_too_soon();
	CHECK(ibv_destroy_comp_channel(channel) == 0);
	destroy_the_domain();
	CHECK(ibv_close_device(context) == 0);
}

static void count(void)
{
	int (*alive)(void) = (int (*)(void))dlsym(RTLD_DEFAULT, "softverbs_alive");
	int (*violations)(void) = (int (*)(void))dlsym(RTLD_DEFAULT, "softverbs_violations");
	int (*control)(const char *) = (int (*)(const char *))dlsym(RTLD_DEFAULT, "softverbs_control");

	CHECK(alive && violations && control);
	CHECK(alive() == 0);
	open_the_device();
	make_the_domain();
	make_the_region();
	CHECK(alive() == 3 && violations() == 0);
	CHECK(control("ledger") == 0);
	CHECK(ibv_dealloc_pd((struct ibv_pd *)memory) == EINVAL);
	CHECK(violations() == 1);
	deregister_the_region();
	destroy_the_domain();
	CHECK(ibv_close_device(context) == 0);
	CHECK(alive() == 0);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(void);
	} cases[] = {
		{ "use-after-destroy", use_after_destroy },
		{ "double-destroy", double_destroy },
		{ "post-after-destroy", post_after_destroy },
		{ "local-access", local_access },
		{ "remote-access", remote_access },
		{ "leak", leak },
		{ "close-early", close_early },
		{ "channel-early", channel_early },
		{ "unacked-notification", unacked_notification },
		{ "count", count },
	};
	size_t i;

	for (i = 0; argc == 2 && i < sizeof(cases) / sizeof(cases[0]); i++) {
		if (strcmp(argv[1], cases[i].name) == 0) {
			cases[i].run();
			printf("done\n");
			return 0;
		}
	}
	fprintf(stderr, "one of the cases is to be named\n");
	return 2;
}
