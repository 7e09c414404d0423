/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The comparison program: one list of cases, run on whatever device the machine has, printing what it saw of each completion and
 * event in words that are the same on every device. What two devices print can be compared line by line; see main.c.
 *
 * A case (cases.c) is a list of commands, each carried out by one of two sides, `client` and `server`. A side is the verbs objects
 * of one end of a connection. Both live in one process, or each in its own; the commands are the same.
 *
 * A command is a word and arguments `key=value`; what it answers are lines. An answered line that begins with `@` is not printed but
 * carried out by the other side (how an end learns the other's port and keys). Every wait has a deadline.
 */
#ifndef COMPARE_H
#define COMPARE_H

#include <infiniband/verbs.h>
#include <rdma/rdma_cma.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ANSWER_BYTES 4096
#define COMMAND_BYTES 512
#define REGIONS 4
#define MEMORY_BYTES (128 * 1024)
#define CHAIN 80
#define PIECES 64

/* What a side says: lines, as long as there is room. */
struct answer {
	char text[ANSWER_BYTES];
	size_t length;
};

/* The arguments of a command, as seen by one side: `client.key=` goes before `key=` there, and is not seen by the server. */
struct arguments {
	const char *text;
	const char *side;
};

struct region {
	struct ibv_mr *mr;
	uint64_t address;
	/* They outlive the region: cases use keys of regions that are gone. */
	uint32_t lkey, rkey;
	/* The other side's region of the same number. */
	uint64_t peer_address;
	uint32_t peer_rkey;
};

struct side {
	const char *name;
	const char *address;
	int port;
	char *memory;
	struct rdma_event_channel *events;
	struct rdma_cm_id *listener, *id;
	struct ibv_pd *pd;
	struct ibv_comp_channel *channel;
	struct ibv_cq *send_cq, *recv_cq;
	struct ibv_srq *srq;
	struct ibv_qp *qp;
	/* As granted. */
	struct ibv_qp_cap cap;
	uint32_t srq_wr;
	struct region regions[REGIONS];
	/* Posted, when the request comes that has no `chain`. */
	struct ibv_send_wr sends[CHAIN];
	struct ibv_recv_wr recvs[CHAIN];
	struct ibv_sge pieces[CHAIN][PIECES];
	int chained;
};

/* words.c */
void say(struct answer *answer, const char *format, ...) __attribute__((format(printf, 2, 3)));
long number(struct arguments args, const char *key, long otherwise);
bool text(struct arguments args, const char *key, char *out, size_t room);
bool flag_in(struct arguments args, const char *key, char flag);
const char *error_name(int error);
const char *status_name(enum ibv_wc_status status);
const char *opcode_name(enum ibv_wc_opcode opcode);
const char *event_name(enum rdma_cm_event_type event);
const char *async_name(enum ibv_event_type event);
const char *state_name(enum ibv_qp_state state);
/* What a call returned, whether it returns an errno or sets it: "modify: ok", "modify: EINVAL". */
void report(struct answer *answer, const char *what, int result);
/* The same, but only if it failed. */
bool failed(struct answer *answer, const char *what, int result);
/* Milliseconds of a clock that only goes forward. */
long now(void);
void pause_briefly(void);

/* connect.c: the connection manager */
bool connection_command(struct side *side, const char *word, struct arguments args, struct answer *answer);
/* objects.c: making, changing and destroying */
bool object_command(struct side *side, const char *word, struct arguments args, struct answer *answer);
/* work.c: work requests, completions, notifications, asynchronous events */
bool work_command(struct side *side, const char *word, struct arguments args, struct answer *answer);
/* Events of this side that no command asked for. */
void say_events_left(struct side *side, struct answer *answer);

/* main.c */
void perform(struct side *side, const char *command, struct answer *answer);
extern struct side *sides[2];

/* cases.c */
struct one_case {
	const char *name;
	const char *steps;
};
extern const struct one_case cases[];
extern const size_t case_count;
/* Those that need something done from outside, and run only if they are named. */
extern const struct one_case cases_with_help[];
extern const size_t case_with_help_count;

#endif
