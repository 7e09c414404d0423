/* Ends of a process: what is given back late, and what a forked child has. Each case is named by the first argument. */
#include <errno.h>
#include <infiniband/verbs.h>
#include <netinet/in.h>
#include <rdma/rdma_cma.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static struct ibv_context *g_context;
static struct ibv_pd *g_pd;
static int g_in_destructor;

static void
fail(const char *what)
{
	printf("%s: %s\n", what, strerror(errno));
	fflush(stdout);
	_exit(9);
}

static void
take(void)
{
	struct ibv_device **list = ibv_get_device_list(NULL);

	g_context = ibv_open_device(list[0]);
	ibv_free_device_list(list);
	g_pd = ibv_alloc_pd(g_context);
	if (g_pd == NULL) {
		fail("take");
	}
}

static void
give_back(void)
{
	if (ibv_dealloc_pd(g_pd) != 0 || ibv_close_device(g_context) != 0) {
		fail("give back");
	}
	fprintf(stderr, "given back\n");
}

static void
late(void)
{
	fprintf(stderr, "late handler\n");
}

__attribute__((destructor)) static void
destructor(void)
{
	if (g_in_destructor) {
		give_back();
	}
}

/* Runs a child and prints how it ended. */
static void
forked(void (*child)(void))
{
	int status = -1;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		child();
		exit(0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid) {
		fail("fork");
	}
	printf("child %d\n", WIFEXITED(status) ? WEXITSTATUS(status) : -1);
}

static void
nothing(void)
{
}

static void
take_and_give_back(void)
{
	take();
	give_back();
}

static void
use_the_parents(void)
{
	printf("the parent's: %d\n", ibv_dealloc_pd(g_pd));
	fflush(stdout);
}

static struct rdma_cm_event *
expect(struct rdma_event_channel *channel, enum rdma_cm_event_type type)
{
	struct rdma_cm_event *event;

	if (rdma_get_cm_event(channel, &event) != 0) {
		fail("event");
	}
	if (event->event != type) {
		printf("%s instead of %s\n", rdma_event_str(event->event), rdma_event_str(type));
		fflush(stdout);
		_exit(9);
	}
	return event;
}

static void
give_queue_pair(struct rdma_cm_id *id)
{
	struct ibv_qp_init_attr attr = { .qp_type = IBV_QPT_RC };

	attr.cap.max_send_wr = attr.cap.max_recv_wr = attr.cap.max_send_sge = attr.cap.max_recv_sge = 1;
	if (rdma_create_qp(id, NULL, &attr) != 0) {
		fail("rdma_create_qp");
	}
}

/* Accepts one connection and says when it ends. */
static void
serve(struct sockaddr_in *address)
{
	struct rdma_event_channel *channel = rdma_create_event_channel();
	struct rdma_conn_param param = { 0 };
	struct rdma_cm_id *listener, *id;

	if (rdma_create_id(channel, &listener, NULL, RDMA_PS_TCP) != 0 ||
	    rdma_bind_addr(listener, (struct sockaddr *)address) != 0 || rdma_listen(listener, 1) != 0) {
		fail("listen");
	}
	id = expect(channel, RDMA_CM_EVENT_CONNECT_REQUEST)->id;
	give_queue_pair(id);
	if (rdma_accept(id, &param) != 0) {
		fail("rdma_accept");
	}
	expect(channel, RDMA_CM_EVENT_ESTABLISHED);
	printf("established\n");
	fflush(stdout);
	expect(channel, RDMA_CM_EVENT_DISCONNECTED);
	printf("disconnected\n");
	fflush(stdout);
	_exit(0);
}

/* Connects, leaves a child behind, and is gone. */
static void
leave_a_child(struct sockaddr_in *address)
{
	struct rdma_event_channel *channel = rdma_create_event_channel();
	struct rdma_conn_param param = { .retry_count = 7 };
	struct rdma_cm_id *id;
	pid_t child;

	if (rdma_create_id(channel, &id, NULL, RDMA_PS_TCP) != 0 ||
	    rdma_resolve_addr(id, NULL, (struct sockaddr *)address, 2000) != 0) {
		fail("rdma_resolve_addr");
	}
	rdma_ack_cm_event(expect(channel, RDMA_CM_EVENT_ADDR_RESOLVED));
	if (rdma_resolve_route(id, 2000) != 0) {
		fail("rdma_resolve_route");
	}
	rdma_ack_cm_event(expect(channel, RDMA_CM_EVENT_ROUTE_RESOLVED));
	give_queue_pair(id);
	if (rdma_connect(id, &param) != 0) {
		fail("rdma_connect");
	}
	rdma_ack_cm_event(expect(channel, RDMA_CM_EVENT_ESTABLISHED));
	child = fork();
	if (child == 0) {
		/* Until the test takes its hand off. */
		char byte;
		ssize_t got = read(STDIN_FILENO, &byte, 1);

		_exit(got != 0);
	}
	_exit(child < 0);
}

int
main(int argc, char **argv)
{
	const char *which = argc > 1 ? argv[1] : "";
	struct sockaddr_in address = { .sin_family = AF_INET };

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	address.sin_port = htons(argc > 2 ? atoi(argv[2]) : 0);
	if (strcmp(which, "handler") == 0) {
		/* Registered before the library is heard of. */
		atexit(give_back);
		take();
	} else if (strcmp(which, "destructor") == 0) {
		g_in_destructor = 1;
		take();
	} else if (strcmp(which, "leave") == 0) {
		atexit(late);
		take();
	} else if (strcmp(which, "child") == 0) {
		take();
		forked(nothing);
		give_back();
	} else if (strcmp(which, "child takes") == 0) {
		take();
		forked(take_and_give_back);
		forked(take);
		give_back();
	} else if (strcmp(which, "child uses") == 0) {
		take();
		forked(use_the_parents);
		give_back();
	} else if (strcmp(which, "serve") == 0) {
		serve(&address);
	} else if (strcmp(which, "leave a child") == 0) {
		leave_a_child(&address);
	} else {
		return 2;
	}
	return 0;
}
