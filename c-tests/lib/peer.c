/* SPDX-License-Identifier: BSD-3-Clause */

/* See peer.h. */

#include "peer.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "common.h"
#include "in_process.h"
#include "session.h"

static bool g_in_process;
static int g_control = -1;
static FILE *g_asks, *g_answers;
static char g_answer[512], g_question[256];

static void give_up(const char *what)
{
	perror(what);
	exit(EXIT_WRONG);
}

/* A socket with a name of the kernel's choice, to which answers can be sent. */
static int control_open(const char *path)
{
	struct sockaddr_un own = {.sun_family = AF_UNIX}, target = {.sun_family = AF_UNIX};
	struct timeval most = {.tv_sec = (time_t)STEP_SECONDS};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (strlen(path) >= sizeof(target.sun_path)) {
		fprintf(stderr, "the path of the control socket is too long\n");
		exit(EXIT_WRONG);
	}
	strcpy(target.sun_path, path);
	if (fd < 0 || bind(fd, (const struct sockaddr *)&own, offsetof(struct sockaddr_un, sun_path)) != 0 ||
	    connect(fd, (const struct sockaddr *)&target, sizeof(target)) != 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &most, sizeof(most)) != 0) {
		give_up(path);
	}
	return fd;
}

void peer_begin(bool in_process)
{
	const char *control = getenv("PEER_CONTROL"), *asks = getenv("PEER_ASKS"), *answers = getenv("PEER_ANSWERS");

	g_in_process = in_process;
	if (in_process) {
		return;
	}
	if (control != NULL) {
		g_control = control_open(control);
	}
	if (asks != NULL && answers != NULL) {
		g_asks = fopen(asks, "we");
		g_answers = fopen(answers, "re");
		if (g_asks == NULL || g_answers == NULL) {
			give_up(asks);
		}
	}
}

void peer_end(void)
{
	if (g_control >= 0) {
		close(g_control);
		g_control = -1;
	}
	if (g_asks != NULL) {
		fclose(g_asks);
		fclose(g_answers);
		g_asks = NULL;
	}
}

bool peer_takes_commands(void)
{
	return g_in_process || g_control >= 0;
}

bool peer_has_hand(void)
{
	return g_in_process || g_asks != NULL;
}

/* Sends one and takes the answer. */
static const char *exchange(const char *command)
{
	ssize_t length;

	if (send(g_control, command, strlen(command), 0) < 0) {
		give_up(command);
	}
	length = recv(g_control, g_answer, sizeof(g_answer) - 1, 0);
	if (length < 0) {
		give_up(command);
	}
	g_answer[length] = '\0';
	return g_answer;
}

void peer_tell(const char *form, ...)
{
	char command[256];
	va_list arguments;

	va_start(arguments, form);
	vsnprintf(command, sizeof(command), form, arguments);
	va_end(arguments);
	if (g_in_process) {
		in_process_tell(command);
		in_process_settle();
	} else if (strcmp(exchange(command), "done") != 0) {
		fprintf(stderr, "the target was told '%s': %s\n", command, g_answer);
		exit(EXIT_WRONG);
	}
}

void peer_go_down(void)
{
	if (g_in_process) {
		in_process_down();
	} else {
		peer_begin_to_ask("down");
	}
}

bool peer_up(void)
{
	if (g_in_process) {
		in_process_up();
		return true;
	}
	return strcmp(peer_ask("up"), "empty") == 0;
}

static uint64_t number_behind(const char *text, const char *name)
{
	const char *place = strstr(text, name);

	if (place == NULL) {
		fprintf(stderr, "the target does not say %s but '%s'\n", name, text);
		exit(EXIT_WRONG);
	}
	return strtoull(place + strlen(name), NULL, 10);
}

struct peer_counts peer_count(void)
{
	struct in_process_counts counts;
	const char *text;

	if (g_in_process) {
		in_process_count(&counts);
		return (struct peer_counts){.connections = counts.connections, .keep_alives = counts.keep_alives};
	}
	text = exchange("counters");
	return (struct peer_counts){
		.connections = (unsigned)number_behind(text, "connections="),
		.keep_alives = number_behind(text, "keep-alives="),
	};
}

static void ask(const char *form, va_list arguments)
{
	vsnprintf(g_question, sizeof(g_question), form, arguments);
	fprintf(g_asks, "%s\n", g_question);
	if (fflush(g_asks) != 0) {
		give_up(g_question);
	}
}

void peer_begin_to_ask(const char *form, ...)
{
	va_list arguments;

	va_start(arguments, form);
	ask(form, arguments);
	va_end(arguments);
}

const char *peer_wait(void)
{
	if (g_question[0] == '\0') {
		return "";
	}
	if (fgets(g_answer, sizeof(g_answer), g_answers) == NULL) {
		give_up(g_question);
	}
	g_answer[strcspn(g_answer, "\n")] = '\0';
	if (strncmp(g_answer, "done", 4) != 0) {
		fprintf(stderr, "the hand was asked for '%s': %s\n", g_question, g_answer);
		exit(EXIT_WRONG);
	}
	g_question[0] = '\0';
	return g_answer[4] == ' ' ? g_answer + 5 : g_answer + 4;
}

const char *peer_ask(const char *form, ...)
{
	va_list arguments;

	va_start(arguments, form);
	ask(form, arguments);
	va_end(arguments);
	return peer_wait();
}
