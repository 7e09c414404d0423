/* SPDX-License-Identifier: BSD-3-Clause */
/* One side's dealings with the connection manager. */
#define _GNU_SOURCE
#include "compare.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define EVENT_MS 20000

/* The channel is made when it is first needed, and does not block: waiting is done here, with a deadline. */
static struct rdma_event_channel *channel_of(struct side *side)
{
	if (side->events == NULL && (side->events = rdma_create_event_channel()) != NULL)
		fcntl(side->events->fd, F_SETFL, O_NONBLOCK);
	return side->events;
}

static struct sockaddr_in address_of(struct side *side, int port)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};

	inet_pton(AF_INET, side->address, &address.sin_addr);
	return address;
}

/* The next event, or NULL if none comes in time. */
static struct rdma_cm_event *next_event(struct side *side, long milliseconds)
{
	long end = now() + milliseconds;
	struct rdma_cm_event *event;

	do {
		struct pollfd ready = {.fd = side->events->fd, .events = POLLIN};

		if (rdma_get_cm_event(side->events, &event) == 0)
			return event;
		if (errno != EAGAIN)
			return NULL;
		poll(&ready, 1, 10);
	} while (now() < end);
	return NULL;
}

/* Private data comes padded: what was sent, and how many zeros follow; a byte that is neither shows. */
static void describe_data(const struct rdma_conn_param *param, char *out, size_t room)
{
	const char *bytes = param->private_data;
	size_t length = param->private_data_len, used = 0, zeros = 0;

	out[0] = 0;
	if (bytes == NULL || length == 0)
		return;
	while (used < length && bytes[used] >= ' ' && bytes[used] <= '~')
		used++;
	while (used + zeros < length && bytes[used + zeros] == 0)
		zeros++;
	snprintf(out, room, " data=%zu '%.*s' and %zu zeros%s", length, (int)used, bytes, zeros,
		 used + zeros == length ? "" : " and something else");
}

static void say_event(struct answer *answer, const struct rdma_cm_event *event)
{
	const struct rdma_conn_param *param = &event->param.conn;
	char line[512] = "", data[384];
	int at = 0;

	if (event->status != 0)
		at += snprintf(line, sizeof(line), " status=%d", event->status);
	switch (event->event) {
	case RDMA_CM_EVENT_CONNECT_REQUEST:
		at += snprintf(line + at, sizeof(line) - at, " listener=%s responder=%d initiator=%d retry=%d rnr=%d",
			       event->listen_id != NULL ? "yes" : "no", param->responder_resources, param->initiator_depth,
			       param->retry_count, param->rnr_retry_count);
		break;
	case RDMA_CM_EVENT_ESTABLISHED:
		at += snprintf(line + at, sizeof(line) - at, " responder=%d initiator=%d", param->responder_resources,
			       param->initiator_depth);
		break;
	case RDMA_CM_EVENT_REJECTED:
		break;
	default:
		say(answer, "event %s%s", event_name(event->event), line);
		return;
	}
	describe_data(param, data, sizeof(data));
	say(answer, "event %s%s%s", event_name(event->event), line, data);
}

/* Waits for one event. With `want`, it is only printed if it is another one. */
static bool take_event(struct side *side, struct answer *answer, const char *want, long milliseconds)
{
	struct rdma_cm_event *event;
	bool good;

	if (channel_of(side) == NULL || (event = next_event(side, milliseconds)) == NULL) {
		say(answer, "no event%s%s", want != NULL ? " instead of " : "", want != NULL ? want : "");
		return false;
	}
	good = want == NULL || (strcmp(want, event_name(event->event)) == 0 && event->status == 0);
	if (want == NULL || !good)
		say_event(answer, event);
	if (event->event == RDMA_CM_EVENT_CONNECT_REQUEST) {
		/* A second one would lose the first: no case makes two. */
		side->id = event->id;
	} else if (event->id != side->id) {
		say(answer, "that event names another identifier");
	}
	rdma_ack_cm_event(event);
	return good;
}

static void listen_here(struct side *side, struct answer *answer)
{
	struct sockaddr_in at = address_of(side, 0);

	if (channel_of(side) == NULL ||
	    failed(answer, "create id", rdma_create_id(side->events, &side->listener, NULL, RDMA_PS_TCP)) ||
	    failed(answer, "bind", rdma_bind_addr(side->listener, (struct sockaddr *)&at)) ||
	    failed(answer, "listen", rdma_listen(side->listener, 4)))
		return;
	side->port = ntohs(rdma_get_src_port(side->listener));
	say(answer, "@port is=%d", side->port);
}

static void resolve(struct side *side, struct arguments args, struct answer *answer)
{
	struct sockaddr_in to = address_of(side, side->port);
	bool quiet = number(args, "quiet", 0) != 0;

	if (channel_of(side) == NULL ||
	    failed(answer, "create id", rdma_create_id(side->events, &side->id, NULL, RDMA_PS_TCP)) ||
	    failed(answer, "resolve address", rdma_resolve_addr(side->id, NULL, (struct sockaddr *)&to, 5000)) ||
	    !take_event(side, answer, quiet ? "ADDR_RESOLVED" : NULL, EVENT_MS) ||
	    failed(answer, "resolve route", rdma_resolve_route(side->id, 5000)))
		return;
	take_event(side, answer, quiet ? "ROUTE_RESOLVED" : NULL, EVENT_MS);
}

static struct rdma_conn_param parameters(struct arguments args, char *data, size_t room)
{
	struct rdma_conn_param param = {
		.responder_resources = number(args, "responder", 4),
		.initiator_depth = number(args, "initiator", 4),
		.retry_count = number(args, "retry", 7),
		.rnr_retry_count = number(args, "rnr", 7),
	};

	if (text(args, "data", data, room)) {
		param.private_data = data;
		param.private_data_len = strlen(data);
	}
	return param;
}

static void option(struct side *side, struct arguments args, struct answer *answer)
{
	uint8_t timeout = number(args, "ack", 0);

	if (timeout != 0)
		failed(answer, "ack timeout",
		       rdma_set_option(side->id, RDMA_OPTION_ID, RDMA_OPTION_ID_ACK_TIMEOUT, &timeout, sizeof(timeout)));
}

bool connection_command(struct side *side, const char *word, struct arguments args, struct answer *answer)
{
	char data[256];
	struct rdma_conn_param param;

	if (strcmp(word, "listen") == 0) {
		listen_here(side, answer);
		return true;
	}
	if (strcmp(word, "port") == 0) {
		side->port = number(args, "is", 0);
		return true;
	}
	if (strcmp(word, "resolve") == 0) {
		resolve(side, args, answer);
		return true;
	}
	if (strcmp(word, "event") == 0) {
		char want[32];
		bool named = text(args, "want", want, sizeof(want));

		take_event(side, answer, named ? want : NULL, number(args, "ms", EVENT_MS));
		return true;
	}
	if (strcmp(word, "unlisten") == 0) {
		failed(answer, "destroy listener", rdma_destroy_id(side->listener));
		side->listener = NULL;
		return true;
	}
	if (strcmp(word, "connect") != 0 && strcmp(word, "accept") != 0 && strcmp(word, "reject") != 0 &&
	    strcmp(word, "disconnect") != 0 && strcmp(word, "destroy-id") != 0)
		return false;
	if (side->id == NULL) {
		say(answer, "there is no identifier to %s", word);
		return true;
	}
	param = parameters(args, data, sizeof(data));
	if (strcmp(word, "connect") == 0) {
		option(side, args, answer);
		failed(answer, "connect", rdma_connect(side->id, &param));
	} else if (strcmp(word, "accept") == 0) {
		option(side, args, answer);
		failed(answer, "accept", rdma_accept(side->id, &param));
	} else if (strcmp(word, "reject") == 0) {
		failed(answer, "reject", rdma_reject(side->id, param.private_data, param.private_data_len));
	} else if (strcmp(word, "disconnect") == 0) {
		report(answer, "disconnect", rdma_disconnect(side->id));
	} else {
		if (side->qp != NULL)
			rdma_destroy_qp(side->id);
		side->qp = NULL;
		report(answer, "destroy id", rdma_destroy_id(side->id));
		side->id = NULL;
	}
	return true;
}
