/* SPDX-License-Identifier: BSD-3-Clause */
/* What the cases are written in and what is printed: arguments, and names that are the same on every device. */
#define _GNU_SOURCE
#include "compare.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define NAME_OF(prefix, name) \
	case prefix##name: \
		return #name

void say(struct answer *answer, const char *format, ...)
{
	size_t room = sizeof(answer->text) - answer->length;
	va_list list;
	int length;

	va_start(list, format);
	length = vsnprintf(answer->text + answer->length, room, format, list);
	va_end(list);
	/* One byte more, for the end of the line. */
	if (length < 0 || (size_t)length + 1 >= room) {
		answer->text[answer->length] = 0;
		return;
	}
	answer->length += length;
	answer->text[answer->length++] = '\n';
	answer->text[answer->length] = 0;
}

/* Where the value of a key begins, or NULL. */
static const char *find(struct arguments args, const char *key)
{
	char own[64], plain[64];
	const char *at;

	snprintf(own, sizeof(own), " %s.%s=", args.side, key);
	snprintf(plain, sizeof(plain), " %s=", key);
	if ((at = strstr(args.text, own)) != NULL)
		return at + strlen(own);
	if ((at = strstr(args.text, plain)) != NULL)
		return at + strlen(plain);
	return NULL;
}

long number(struct arguments args, const char *key, long otherwise)
{
	const char *at = find(args, key);

	return at == NULL ? otherwise : strtol(at, NULL, 0);
}

bool text(struct arguments args, const char *key, char *out, size_t room)
{
	const char *at = find(args, key);
	size_t length;

	out[0] = 0;
	if (at == NULL)
		return false;
	length = strcspn(at, " ");
	if (length >= room)
		length = room - 1;
	memcpy(out, at, length);
	out[length] = 0;
	return true;
}

bool flag_in(struct arguments args, const char *key, char flag)
{
	char value[32];

	return text(args, key, value, sizeof(value)) && strchr(value, flag) != NULL;
}

const char *error_name(int error)
{
	static char other[32];

	switch (error) {
	case 0:
		return "ok";
	NAME_OF(, EINVAL);
	NAME_OF(, ENOMEM);
	NAME_OF(, EBUSY);
	NAME_OF(, EAGAIN);
	NAME_OF(, ENOENT);
	NAME_OF(, ENODEV);
	NAME_OF(, ENOSYS);
	NAME_OF(, EPERM);
	NAME_OF(, EACCES);
	NAME_OF(, EFAULT);
	NAME_OF(, ENOTCONN);
	NAME_OF(, ETIMEDOUT);
	NAME_OF(, EADDRINUSE);
	NAME_OF(, EADDRNOTAVAIL);
	NAME_OF(, ENOTSUP);
	NAME_OF(, EOVERFLOW);
	default:
		snprintf(other, sizeof(other), "errno %d", error);
		return other;
	}
}

const char *status_name(enum ibv_wc_status status)
{
	switch (status) {
	NAME_OF(IBV_WC_, SUCCESS);
	NAME_OF(IBV_WC_, LOC_LEN_ERR);
	NAME_OF(IBV_WC_, LOC_QP_OP_ERR);
	NAME_OF(IBV_WC_, LOC_PROT_ERR);
	NAME_OF(IBV_WC_, WR_FLUSH_ERR);
	NAME_OF(IBV_WC_, MW_BIND_ERR);
	NAME_OF(IBV_WC_, BAD_RESP_ERR);
	NAME_OF(IBV_WC_, LOC_ACCESS_ERR);
	NAME_OF(IBV_WC_, REM_INV_REQ_ERR);
	NAME_OF(IBV_WC_, REM_ACCESS_ERR);
	NAME_OF(IBV_WC_, REM_OP_ERR);
	NAME_OF(IBV_WC_, RETRY_EXC_ERR);
	NAME_OF(IBV_WC_, RNR_RETRY_EXC_ERR);
	NAME_OF(IBV_WC_, REM_ABORT_ERR);
	NAME_OF(IBV_WC_, FATAL_ERR);
	NAME_OF(IBV_WC_, RESP_TIMEOUT_ERR);
	NAME_OF(IBV_WC_, GENERAL_ERR);
	default:
		return "another status";
	}
}

const char *opcode_name(enum ibv_wc_opcode opcode)
{
	switch ((int)opcode) {
	NAME_OF(IBV_WC_, SEND);
	NAME_OF(IBV_WC_, RDMA_WRITE);
	NAME_OF(IBV_WC_, RDMA_READ);
	NAME_OF(IBV_WC_, RECV);
	NAME_OF(IBV_WC_, RECV_RDMA_WITH_IMM);
	default:
		return "another opcode";
	}
}

const char *event_name(enum rdma_cm_event_type event)
{
	/* Without the prefix that all have. */
	const char *name = rdma_event_str(event), *prefix = "RDMA_CM_EVENT_";

	return strncmp(name, prefix, strlen(prefix)) == 0 ? name + strlen(prefix) : name;
}

const char *async_name(enum ibv_event_type event)
{
	switch (event) {
	NAME_OF(IBV_EVENT_, CQ_ERR);
	NAME_OF(IBV_EVENT_, QP_FATAL);
	NAME_OF(IBV_EVENT_, QP_REQ_ERR);
	NAME_OF(IBV_EVENT_, QP_ACCESS_ERR);
	NAME_OF(IBV_EVENT_, COMM_EST);
	NAME_OF(IBV_EVENT_, SQ_DRAINED);
	NAME_OF(IBV_EVENT_, SRQ_ERR);
	NAME_OF(IBV_EVENT_, SRQ_LIMIT_REACHED);
	NAME_OF(IBV_EVENT_, QP_LAST_WQE_REACHED);
	default:
		return "another event";
	}
}

const char *state_name(enum ibv_qp_state state)
{
	switch (state) {
	NAME_OF(IBV_QPS_, RESET);
	NAME_OF(IBV_QPS_, INIT);
	NAME_OF(IBV_QPS_, RTR);
	NAME_OF(IBV_QPS_, RTS);
	NAME_OF(IBV_QPS_, SQD);
	NAME_OF(IBV_QPS_, SQE);
	NAME_OF(IBV_QPS_, ERR);
	default:
		return "another state";
	}
}

void report(struct answer *answer, const char *what, int result)
{
	say(answer, "%s: %s", what, error_name(result < 0 ? errno : result));
}

bool failed(struct answer *answer, const char *what, int result)
{
	if (result != 0)
		report(answer, what, result);
	return result != 0;
}

long now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

void pause_briefly(void)
{
	nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}
