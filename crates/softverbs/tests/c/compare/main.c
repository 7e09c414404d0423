/* SPDX-License-Identifier: BSD-3-Clause */
/*
 *   verbs-compare ADDRESS [CASE...]        both sides in this process
 *   verbs-compare -2 ADDRESS [CASE...]     the server in a process of its own
 *
 * Runs all cases, or those named, over the RDMA device that ADDRESS belongs to, and prints `CASE: SIDE: WHAT WAS SEEN`, one line for
 * each completion, event and refusal. Both ways print the same, and so should every device; see compare.h and cases.c.
 *
 * Exit status 0 when all cases came to their end, whatever was seen; 3 when a case hangs, with a line that names it.
 */
#define _GNU_SOURCE
#include "compare.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* No single case takes this long, even on an emulated machine. */
#define CASE_SECONDS 60

/* A side as the case sees it: here, or at the other end of a socket. */
struct player {
	const char *name;
	struct side *side;
	int socket;
};

struct side *sides[2];
static char doing[COMMAND_BYTES + 128];

static void on_alarm(int signal)
{
	static const char text[] = "verbs-compare hangs in: ";

	(void)signal;
	if (write(STDOUT_FILENO, text, sizeof(text) - 1) < 0 || write(STDOUT_FILENO, doing, strlen(doing)) < 0 ||
	    write(STDOUT_FILENO, "\n", 1) < 0)
		_exit(4);
	_exit(3);
}

/* A command begins with a space, and so has every argument one before it. */
void perform(struct side *side, const char *command, struct answer *answer)
{
	char word[32];
	struct arguments args = {.text = command + strcspn(command, " "), .side = side->name};

	snprintf(word, sizeof(word), "%.*s", (int)(args.text - command), command);
	answer->length = 0;
	answer->text[0] = 0;
	if (!connection_command(side, word, args, answer) && !object_command(side, word, args, answer) &&
	    !work_command(side, word, args, answer))
		say(answer, "cannot %s", word);
}

static void ask(struct player *player, const char *command, struct answer *answer)
{
	ssize_t got;

	if (player->side != NULL) {
		perform(player->side, command, answer);
		return;
	}
	if (send(player->socket, command, strlen(command) + 1, MSG_NOSIGNAL) < 0 ||
	    (got = recv(player->socket, answer->text, sizeof(answer->text), 0)) <= 0) {
		printf("the server's process is gone while it was to: %s\n", command);
		exit(4);
	}
	answer->length = strlen(answer->text);
}

/* The process that is the server: carries out what it is told, until nobody tells it any more. */
static int serve(int socket, struct side *side)
{
	static struct answer answer;
	char command[COMMAND_BYTES];

	while (recv(socket, command, sizeof(command), 0) > 0) {
		perform(side, command, &answer);
		if (send(socket, answer.text, strlen(answer.text) + 1, MSG_NOSIGNAL) < 0)
			return 1;
	}
	return 0;
}

/* Carries out one command of a case; whether it said nothing that is to be printed. */
static bool act(const char *name, struct player *player, struct player *other, const char *command)
{
	static struct answer answer, ignored;
	char lines[ANSWER_BYTES], *next = lines, *line;
	bool quiet = true;

	snprintf(doing, sizeof(doing), "case %s, %s: %s", name, player->name, command);
	ask(player, command, &answer);
	memcpy(lines, answer.text, answer.length + 1);
	while ((line = strsep(&next, "\n")) != NULL) {
		if (line[0] == '@') {
			ask(other, line + 1, &ignored);
		} else if (line[0] != 0) {
			printf("%s: %s: %s\n", name, player->name, line);
			quiet = false;
		}
	}
	fflush(stdout);
	return quiet;
}

/* A connection, with nothing to say about it unless it fails. */
static bool make_pair(const char *name, struct player *client, struct player *server, const char *args)
{
	const struct {
		struct player *who;
		const char *what;
	} steps[] = {
		{server, "listen"}, {client, "resolve quiet=1"}, {client, "objects"}, {client, "connect"},
		{server, "event want=CONNECT_REQUEST"}, {server, "objects"}, {server, "accept"},
		{client, "event want=ESTABLISHED"}, {server, "event want=ESTABLISHED"},
	};

	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		char command[COMMAND_BYTES];

		snprintf(command, sizeof(command), "%s%s", steps[i].what, args);
		if (!act(name, steps[i].who, steps[i].who == client ? server : client, command))
			return false;
	}
	return true;
}

/* What a case cannot do by itself: a fault of the network. */
static void act_outside(const char *name, const char *command)
{
	const char *before = getenv("VERBS_OUTSIDE");
	char line[COMMAND_BYTES];

	snprintf(line, sizeof(line), "%s %s", before != NULL ? before : "", command);
	if (before == NULL || system(line) != 0)
		printf("%s: it could not be done: %s\n", name, command);
}

static void run(const struct one_case *what, struct player *client, struct player *server)
{
	char steps[4096], *next = steps, *step;

	alarm(CASE_SECONDS);
	snprintf(steps, sizeof(steps), "%s", what->steps);
	while ((step = strsep(&next, "\n")) != NULL) {
		if (strncmp(step, "pair", 4) == 0) {
			if (!make_pair(what->name, client, server, step + 4)) {
				printf("%s: there is no connection, so the rest of this case is missing\n", what->name);
				break;
			}
		} else if (strncmp(step, "client ", 7) == 0) {
			act(what->name, client, server, step + 7);
		} else if (strncmp(step, "server ", 7) == 0) {
			act(what->name, server, client, step + 7);
		} else if (strncmp(step, "outside ", 8) == 0) {
			act_outside(what->name, step + 8);
		} else if (step[0] != 0) {
			printf("%s: there is no command: %s\n", what->name, step);
		}
	}
	act(what->name, client, server, "cleanup");
	act(what->name, server, client, "cleanup");
	alarm(0);
}

/* Starts the server's process. It is a new program, not a copy of this one: libraries do not care for copies. */
static pid_t start_server(const char *address, int *socket)
{
	int ends[2];
	char number[16], self[4096];
	ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);
	pid_t child;

	if (length < 0 || socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends) != 0 || (child = fork()) < 0) {
		perror("verbs-compare");
		exit(4);
	}
	if (child == 0) {
		close(ends[0]);
		snprintf(number, sizeof(number), "%d", ends[1]);
		self[length] = 0;
		execl(self, "verbs-compare", "--server", number, address, (char *)NULL);
		_exit(127);
	}
	close(ends[1]);
	*socket = ends[0];
	return child;
}

static bool chosen(const char *name, char **names)
{
	for (; *names != NULL; names++) {
		if (strcmp(name, *names) == 0)
			return true;
	}
	return false;
}

static bool exists(const char *name)
{
	for (size_t i = 0; i < case_count; i++) {
		if (strcmp(name, cases[i].name) == 0)
			return true;
	}
	for (size_t i = 0; i < case_with_help_count; i++) {
		if (strcmp(name, cases_with_help[i].name) == 0)
			return true;
	}
	return false;
}

int main(int argc, char **argv)
{
	static struct side here[2] = {{.name = "client"}, {.name = "server"}};
	bool apart = argc > 1 && strcmp(argv[1], "-2") == 0;
	struct player client = {.name = "client"}, server = {.name = "server"};
	char **names = argv + (apart ? 3 : 2);
	pid_t child = 0;
	int status = 0;

	if (argc == 4 && strcmp(argv[1], "--server") == 0) {
		here[1].address = argv[3];
		sides[1] = &here[1];
		return serve(atoi(argv[2]), &here[1]);
	}
	if (argc < (apart ? 3 : 2)) {
		fprintf(stderr, "usage: verbs-compare [-2] ADDRESS [CASE...]\n");
		return 2;
	}
	for (char **name = names; *name != NULL; name++) {
		if (!exists(*name)) {
			fprintf(stderr, "verbs-compare: there is no case '%s'\n", *name);
			return 2;
		}
	}
	here[0].address = here[1].address = argv[apart ? 2 : 1];
	signal(SIGALRM, on_alarm);
	client.side = sides[0] = &here[0];
	if (apart)
		child = start_server(here[1].address, &server.socket);
	else
		server.side = sides[1] = &here[1];
	for (size_t i = 0; i < case_count; i++) {
		if (*names == NULL || chosen(cases[i].name, names))
			run(&cases[i], &client, &server);
	}
	for (size_t i = 0; i < case_with_help_count; i++) {
		if (chosen(cases_with_help[i].name, names))
			run(&cases_with_help[i], &client, &server);
	}
	if (apart) {
		alarm(CASE_SECONDS);
		close(server.socket);
		waitpid(child, &status, 0);
		if (status != 0)
			printf("the server's process ended with %d\n", WIFEXITED(status) ? WEXITSTATUS(status) : -1);
	}
	return status != 0;
}
