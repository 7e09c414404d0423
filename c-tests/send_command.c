/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * send-command [--ask] SOCKET COMMAND...: sends each command as one datagram to a Unix socket: to softverbs in a running
 * process (SOFTVERBS_CONTROL_SOCKET) or to nvme-rdma-target (--control). With --ask it waits for the answer to each and prints
 * it, a line each; only the target answers. Needs nothing but libc.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

/* A target that does not answer for so long is a failure. */
#define ANSWER_SECONDS 60

static int fails(const char *what)
{
	perror(what);
	return EXIT_FAILURE;
}

int main(int argc, char **argv)
{
	/* Without a path: a name of the kernel's choice, to which the answer goes. */
	struct sockaddr_un address = {.sun_family = AF_UNIX}, own = {.sun_family = AF_UNIX};
	struct timeval most = {.tv_sec = ANSWER_SECONDS};
	bool ask = argc > 1 && strcmp(argv[1], "--ask") == 0;
	int fd, index;

	argv += ask;
	argc -= ask;
	if (argc < 3) {
		fprintf(stderr, "usage: send-command [--ask] SOCKET COMMAND...\n"
				"for example: send-command /run/host.sock 'delay data rx 60ms 59ms'\n");
		return EXIT_FAILURE;
	}
	if (strlen(argv[1]) >= sizeof(address.sun_path)) {
		fprintf(stderr, "send-command: the path of the socket is too long\n");
		return EXIT_FAILURE;
	}
	strcpy(address.sun_path, argv[1]);
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0) {
		return fails("send-command: socket");
	}
	if (ask && (bind(fd, (const struct sockaddr *)&own, offsetof(struct sockaddr_un, sun_path)) != 0 ||
		    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &most, sizeof(most)) != 0)) {
		return fails("send-command: a socket for the answer");
	}
	for (index = 2; index < argc; index++) {
		size_t length = strlen(argv[index]);
		char answer[1024];
		ssize_t answered;

		if (sendto(fd, argv[index], length, 0, (const struct sockaddr *)&address, sizeof(address)) !=
		    (ssize_t)length) {
			return fails("send-command: sendto");
		}
		if (!ask) {
			continue;
		}
		answered = recv(fd, answer, sizeof(answer), 0);
		if (answered < 0) {
			return fails("send-command: no answer");
		}
		printf("%.*s\n", (int)answered, answer);
	}
	close(fd);
	return EXIT_SUCCESS;
}
