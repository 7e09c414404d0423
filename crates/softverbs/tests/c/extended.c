/* The extended interfaces as verbs.h's inline functions call them: ibv_create_cq_ex with its reading functions, and
 * posting by ibv_wr_*. Two queue pairs of one process, told of each other by GID and number. */

#define _GNU_SOURCE /* gettid */

#include <errno.h>
#include <infiniband/verbs.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define CHECK(what) \
	do { \
		if (!(what)) { \
			fprintf(stderr, "%s:%d: %s (errno %d)\n", __FILE__, __LINE__, #what, errno); \
			exit(1); \
		} \
	} while (0)

#define ROOM 4096

static struct ibv_context *context;
static struct ibv_pd *pd;
static struct ibv_mr *mr;
static char memory[2 * ROOM];
static struct ibv_cq_ex *cq[2];
static struct ibv_qp *qp[2];

enum { ALL_OPS = IBV_QP_EX_WITH_SEND | IBV_QP_EX_WITH_SEND_WITH_IMM | IBV_QP_EX_WITH_SEND_WITH_INV |
	IBV_QP_EX_WITH_RDMA_WRITE | IBV_QP_EX_WITH_RDMA_WRITE_WITH_IMM | IBV_QP_EX_WITH_RDMA_READ };

static struct ibv_qp *make_qp(struct ibv_cq_ex *on, uint64_t ops)
{
	struct ibv_qp_init_attr_ex attr = {
		.send_cq = ibv_cq_ex_to_cq(on), .recv_cq = ibv_cq_ex_to_cq(on),
		.cap = {.max_send_wr = 4, .max_recv_wr = 8, .max_send_sge = 2, .max_recv_sge = 2, .max_inline_data = 64},
		.qp_type = IBV_QPT_RC, .comp_mask = IBV_QP_INIT_ATTR_PD | IBV_QP_INIT_ATTR_SEND_OPS_FLAGS,
		.pd = pd, .send_ops_flags = ops,
	};

	return ibv_create_qp_ex(context, &attr);
}

static void connect_to(struct ibv_qp *from, struct ibv_qp *to)
{
	struct ibv_qp_attr attr = {
		.qp_state = IBV_QPS_INIT, .port_num = 1,
		.qp_access_flags = IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_READ,
	};

	CHECK(ibv_modify_qp(from, &attr, IBV_QP_STATE | IBV_QP_PKEY_INDEX | IBV_QP_PORT | IBV_QP_ACCESS_FLAGS) == 0);
	attr.qp_state = IBV_QPS_RTR;
	attr.path_mtu = IBV_MTU_1024;
	attr.dest_qp_num = to->qp_num;
	attr.max_dest_rd_atomic = 4;
	attr.ah_attr.is_global = 1;
	attr.ah_attr.port_num = 1;
	CHECK(ibv_query_gid(context, 1, 0, &attr.ah_attr.grh.dgid) == 0);
	CHECK(ibv_modify_qp(from, &attr, IBV_QP_STATE | IBV_QP_AV | IBV_QP_PATH_MTU | IBV_QP_DEST_QPN | IBV_QP_RQ_PSN |
		IBV_QP_MAX_DEST_RD_ATOMIC | IBV_QP_MIN_RNR_TIMER) == 0);
	attr.qp_state = IBV_QPS_RTS;
	attr.timeout = 14;
	attr.retry_cnt = 7;
	attr.rnr_retry = 7;
	attr.max_rd_atomic = 4;
	CHECK(ibv_modify_qp(from, &attr, IBV_QP_STATE | IBV_QP_TIMEOUT | IBV_QP_RETRY_CNT | IBV_QP_RNR_RETRY |
		IBV_QP_SQ_PSN | IBV_QP_MAX_QP_RD_ATOMIC) == 0);
}

static void post_receive(uint64_t id)
{
	struct ibv_sge sge = {.addr = (uintptr_t)memory + ROOM, .length = 1000, .lkey = mr->lkey};
	struct ibv_recv_wr wr = {.wr_id = id, .sg_list = &sge, .num_sge = 1}, *bad;

	CHECK(ibv_post_recv(qp[1], &wr, &bad) == 0);
}

/* Starts to look at the next completion. */
static void expect(struct ibv_cq_ex *on, uint64_t id, enum ibv_wc_opcode opcode)
{
	struct ibv_poll_cq_attr attr = {};

	CHECK(ibv_start_poll(on, &attr) == 0);
	CHECK(on->status == IBV_WC_SUCCESS && on->wr_id == id);
	CHECK(ibv_wc_read_opcode(on) == opcode);
}

static void make(void)
{
	struct ibv_device **list = ibv_get_device_list(NULL);
	struct ibv_cq_init_attr_ex attr = {
		.cqe = 16,
		.wc_flags = IBV_WC_STANDARD_FLAGS | IBV_WC_EX_WITH_COMPLETION_TIMESTAMP |
			IBV_WC_EX_WITH_COMPLETION_TIMESTAMP_WALLCLOCK,
	};

	CHECK(list && (context = ibv_open_device(list[0])));
	ibv_free_device_list(list);
	CHECK((pd = ibv_alloc_pd(context)));
	mr = ibv_reg_mr(pd, memory, sizeof memory, IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_READ);
	CHECK(mr);
	for (int i = 0; i < 2; i++)
		CHECK((cq[i] = ibv_create_cq_ex(context, &attr)));
	for (int i = 0; i < 2; i++) {
		CHECK((qp[i] = make_qp(cq[i], ALL_OPS)));
		CHECK(ibv_qp_to_qp_ex(qp[i]));
	}
	connect_to(qp[0], qp[1]);
	connect_to(qp[1], qp[0]);
}

static void destroy(void)
{
	for (int i = 0; i < 2; i++) {
		CHECK(ibv_destroy_qp(qp[i]) == 0);
		CHECK(ibv_destroy_cq(ibv_cq_ex_to_cq(cq[i])) == 0);
	}
	CHECK(ibv_dereg_mr(mr) == 0 && ibv_dealloc_pd(pd) == 0 && ibv_close_device(context) == 0);
}

static void what_is_refused(void)
{
	struct ibv_cq_init_attr_ex flow = {.cqe = 4, .wc_flags = IBV_WC_EX_WITH_FLOW_TAG};
	struct ibv_cq_init_attr_ex overrun = {
		.cqe = 4, .comp_mask = IBV_CQ_INIT_ATTR_MASK_FLAGS, .flags = IBV_CREATE_CQ_ATTR_IGNORE_OVERRUN};
	struct ibv_cq_init_attr_ex none = {.cqe = 0};
	struct ibv_cq *plain = ibv_create_cq(context, 4, NULL, NULL, 0);
	struct ibv_qp_init_attr attr = {.send_cq = plain, .recv_cq = plain, .qp_type = IBV_QPT_RC};
	struct ibv_poll_cq_attr unknown = {.comp_mask = 1};
	struct ibv_qp *old = ibv_create_qp(pd, &attr);

	CHECK(!ibv_create_cq_ex(context, &flow) && errno == EOPNOTSUPP);
	CHECK(!ibv_create_cq_ex(context, &overrun) && errno == EOPNOTSUPP);
	CHECK(!ibv_create_cq_ex(context, &none) && errno == EINVAL);
	CHECK(!make_qp(cq[0], IBV_QP_EX_WITH_ATOMIC_FETCH_AND_ADD) && errno == EOPNOTSUPP);
	CHECK(!make_qp(cq[0], IBV_QP_EX_WITH_LOCAL_INV) && errno == EOPNOTSUPP);
	CHECK(ibv_start_poll(cq[0], &unknown) == EINVAL);
	CHECK(old && !ibv_qp_to_qp_ex(old));
	CHECK(ibv_destroy_qp(old) == 0 && ibv_destroy_cq(plain) == 0);
}

static void every_operation(void)
{
	struct ibv_qp_ex *x = ibv_qp_to_qp_ex(qp[0]);
	struct ibv_sge list[2] = {
		{.addr = (uintptr_t)memory, .length = 5, .lkey = mr->lkey},
		{.addr = (uintptr_t)memory + 5, .length = 6, .lkey = mr->lkey},
	};
	struct ibv_data_buf buffers[2] = {{.addr = "in", .length = 2}, {.addr = "line", .length = 4}};
	uint64_t there = (uintptr_t)memory + ROOM;
	struct ibv_mr *other = ibv_reg_mr(pd, memory, 10, IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE);
	uint64_t before, after;
	char passing[8] = "passing";

	CHECK(other);
	memcpy(memory, "hello world", 12);
	for (int i = 0; i < 4; i++)
		post_receive(100 + i);
	x->wr_flags = IBV_SEND_SIGNALED;
	ibv_wr_start(x);
	x->wr_id = 1;
	ibv_wr_send(x);
	ibv_wr_set_sge_list(x, 2, list);
	x->wr_id = 2;
	ibv_wr_send_imm(x, htobe32(0x01020304));
	ibv_wr_set_sge(x, mr->lkey, (uintptr_t)memory, 5);
	x->wr_id = 3;
	ibv_wr_send_inv(x, other->rkey);
	ibv_wr_set_inline_data(x, passing, sizeof passing);
	/* The bytes were taken when they were set. */
	memset(passing, 0, sizeof passing);
	x->wr_id = 4;
	ibv_wr_rdma_write_imm(x, mr->rkey, there + 2000, htobe32(7));
	ibv_wr_set_inline_data_list(x, 2, buffers);
	CHECK(memcmp(memory + ROOM, "hello", 5) != 0);
	CHECK(ibv_wr_complete(x) == 0);

	expect(cq[1], 100, IBV_WC_RECV);
	CHECK(ibv_wc_read_byte_len(cq[1]) == 11 && ibv_wc_read_wc_flags(cq[1]) == 0);
	CHECK(ibv_wc_read_qp_num(cq[1]) == qp[1]->qp_num && ibv_wc_read_src_qp(cq[1]) == 0);
	CHECK(ibv_wc_read_vendor_err(cq[1]) == 0 && ibv_wc_read_slid(cq[1]) == 0 && ibv_wc_read_sl(cq[1]) == 0);
	CHECK(ibv_wc_read_dlid_path_bits(cq[1]) == 0);
	before = ibv_wc_read_completion_ts(cq[1]);
	CHECK(ibv_wc_read_completion_wallclock_ns(cq[1]) / 1000000000 + 10 > (uint64_t)time(NULL));
	CHECK(ibv_next_poll(cq[1]) == 0 && cq[1]->wr_id == 101);
	CHECK(ibv_wc_read_wc_flags(cq[1]) == IBV_WC_WITH_IMM && ibv_wc_read_imm_data(cq[1]) == htobe32(0x01020304));
	CHECK(ibv_next_poll(cq[1]) == 0 && cq[1]->wr_id == 102 && ibv_wc_read_byte_len(cq[1]) == 8);
	CHECK(ibv_wc_read_wc_flags(cq[1]) == IBV_WC_WITH_INV && ibv_wc_read_invalidated_rkey(cq[1]) == other->rkey);
	CHECK(memcmp(memory + ROOM, "passing", 8) == 0);
	CHECK(ibv_next_poll(cq[1]) == 0 && cq[1]->wr_id == 103);
	CHECK(ibv_wc_read_opcode(cq[1]) == IBV_WC_RECV_RDMA_WITH_IMM && ibv_wc_read_byte_len(cq[1]) == 6);
	CHECK(memcmp(memory + ROOM + 2000, "inline", 6) == 0);
	after = ibv_wc_read_completion_ts(cq[1]);
	CHECK(before > 0 && after >= before);
	CHECK(ibv_next_poll(cq[1]) == ENOENT);
	ibv_end_poll(cq[1]);

	expect(cq[0], 1, IBV_WC_SEND);
	CHECK(ibv_next_poll(cq[0]) == 0 && cq[0]->wr_id == 2);
	CHECK(ibv_next_poll(cq[0]) == 0 && cq[0]->wr_id == 3);
	CHECK(ibv_next_poll(cq[0]) == 0 && cq[0]->wr_id == 4 && ibv_wc_read_opcode(cq[0]) == IBV_WC_RDMA_WRITE);
	ibv_end_poll(cq[0]);

	ibv_wr_start(x);
	x->wr_id = 5;
	ibv_wr_rdma_write(x, mr->rkey, there + 3000);
	ibv_wr_set_sge(x, mr->lkey, (uintptr_t)memory, 11);
	x->wr_id = 6;
	ibv_wr_rdma_read(x, mr->rkey, there + 3006);
	ibv_wr_set_sge(x, mr->lkey, (uintptr_t)memory + 500, 5);
	CHECK(ibv_wr_complete(x) == 0);
	expect(cq[0], 5, IBV_WC_RDMA_WRITE);
	CHECK(ibv_next_poll(cq[0]) == 0 && cq[0]->wr_id == 6);
	CHECK(ibv_wc_read_opcode(cq[0]) == IBV_WC_RDMA_READ && ibv_wc_read_byte_len(cq[0]) == 5);
	ibv_end_poll(cq[0]);
	CHECK(memcmp(memory + 500, "world", 5) == 0);
	CHECK(ibv_dereg_mr(other) == 0);
}

static void nothing_or_all(void)
{
	struct ibv_poll_cq_attr attr = {};
	struct ibv_qp *sends = make_qp(cq[0], IBV_QP_EX_WITH_SEND);
	struct ibv_qp_ex *x = ibv_qp_to_qp_ex(qp[0]), *only = ibv_qp_to_qp_ex(sends);
	char much[65] = "";

	x->wr_flags = IBV_SEND_SIGNALED;
	/* Given up. */
	ibv_wr_start(x);
	ibv_wr_send(x);
	ibv_wr_set_sge(x, mr->lkey, (uintptr_t)memory, 1);
	ibv_wr_abort(x);
	/* One of them too long. */
	ibv_wr_start(x);
	ibv_wr_send(x);
	ibv_wr_set_sge(x, mr->lkey, (uintptr_t)memory, 1);
	ibv_wr_send(x);
	ibv_wr_set_inline_data(x, much, sizeof much);
	CHECK(ibv_wr_complete(x) == EINVAL);
	/* More than the queue takes. */
	ibv_wr_start(x);
	for (int i = 0; i < 5; i++) {
		ibv_wr_send(x);
		ibv_wr_set_sge(x, mr->lkey, (uintptr_t)memory, 1);
	}
	CHECK(ibv_wr_complete(x) == ENOMEM);
	/* What the queue pair was not made for. */
	ibv_wr_start(only);
	ibv_wr_rdma_read(only, mr->rkey, (uintptr_t)memory);
	CHECK(ibv_wr_complete(only) == EINVAL);
	/* What is not offered. */
	ibv_wr_start(x);
	ibv_wr_local_inv(x, mr->rkey);
	CHECK(ibv_wr_complete(x) == EOPNOTSUPP);
	/* Not ready to send. */
	ibv_wr_start(only);
	ibv_wr_send(only);
	CHECK(ibv_wr_complete(only) == EINVAL);
	CHECK(ibv_start_poll(cq[0], &attr) == ENOENT && ibv_start_poll(cq[1], &attr) == ENOENT);
	CHECK(ibv_destroy_qp(sends) == 0);
}

static volatile int ended;
/* The other thread, once it is about to poll, and how often it had gone to sleep by then. */
static volatile pid_t other_thread;
static unsigned long sleeps_before;

/* Whether a thread of this process sleeps now, and how often it went to sleep so far. */
static bool sleeps(pid_t thread, unsigned long *times)
{
	char path[64], line[128], state = 0;
	FILE *status;

	*times = 0;
	snprintf(path, sizeof path, "/proc/self/task/%d/status", (int)thread);
	CHECK((status = fopen(path, "r")) != NULL);
	while (fgets(line, sizeof line, status) != NULL) {
		sscanf(line, "State: %c", &state);
		sscanf(line, "voluntary_ctxt_switches: %lu", times);
	}
	fclose(status);
	return state == 'S';
}

static void *polls_too(void *unused)
{
	struct ibv_poll_cq_attr attr = {};

	sleeps(gettid(), &sleeps_before);
	__atomic_store_n(&other_thread, gettid(), __ATOMIC_RELEASE);
	CHECK(ibv_start_poll(cq[0], &attr) == ENOENT);
	CHECK(ended);
	return unused;
}

/* While one thread looks at a completion, another waits for its turn. */
static void one_thread_at_a_time(void)
{
	struct ibv_qp_ex *x = ibv_qp_to_qp_ex(qp[0]);
	pthread_t other;

	ibv_wr_start(x);
	x->wr_id = 9;
	x->wr_flags = IBV_SEND_SIGNALED;
	ibv_wr_rdma_write(x, mr->rkey, (uintptr_t)memory + ROOM);
	ibv_wr_set_sge(x, mr->lkey, (uintptr_t)memory, 1);
	CHECK(ibv_wr_complete(x) == 0);
	expect(cq[0], 9, IBV_WC_RDMA_WRITE);
	CHECK(pthread_create(&other, NULL, polls_too, NULL) == 0);
	/* Until it is seen to wait; it is asleep in that most of the time. */
	for (time_t end = time(NULL) + 20;; sched_yield()) {
		pid_t thread = __atomic_load_n(&other_thread, __ATOMIC_ACQUIRE);
		unsigned long times;

		if (thread != 0 && sleeps(thread, &times) && times > sleeps_before)
			break;
		CHECK(time(NULL) < end);
	}
	ended = 1;
	ibv_end_poll(cq[0]);
	CHECK(pthread_join(other, NULL) == 0);
}

static long nanoseconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000L + now.tv_nsec;
}

static void clocks(void)
{
	struct ibv_device_attr_ex attr;
	long before, after, passed;
	struct ibv_values_ex first = {.comp_mask = IBV_VALUES_MASK_RAW_CLOCK}, second = first;

	CHECK(ibv_query_device_ex(context, NULL, &attr) == 0);
	CHECK(attr.completion_timestamp_mask == UINT64_MAX && attr.hca_core_clock == 1000000);
	/* It goes as the machine's does: what it says lies between what that says before and after. */
	before = nanoseconds();
	CHECK(ibv_query_rt_values_ex(context, &first) == 0);
	for (after = nanoseconds(); nanoseconds() < after + 1000000;)
		;
	CHECK(ibv_query_rt_values_ex(context, &second) == 0);
	passed = second.raw_clock.tv_nsec - first.raw_clock.tv_nsec;
	CHECK(passed >= 1000000 && passed <= nanoseconds() - before);
}

int main(void)
{
	make();
	what_is_refused();
	every_operation();
	nothing_or_all();
	one_thread_at_a_time();
	clocks();
	destroy();
	return 0;
}
