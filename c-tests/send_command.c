/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * send-command SOCKET COMMAND...: sends each command as one datagram to a Unix socket: to softverbs in a running
 * process (SOFTVERBS_CONTROL_SOCKET) or to nvme-rdma-target (--control). Needs nothing but libc.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd, index;

	if (argc < 3) {
		fprintf(stderr, "usage: send-command SOCKET COMMAND...\n"
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
		perror("send-command: socket");
		return EXIT_FAILURE;
	}
	for (index = 2; index < argc; index++) {
		size_t length = strlen(argv[index]);

		if (sendto(fd, argv[index], length, 0, (const struct sockaddr *)&address, sizeof(address)) !=
		    (ssize_t)length) {
			perror("send-command: sendto");
			close(fd);
			return EXIT_FAILURE;
		}
	}
	close(fd);
	return EXIT_SUCCESS;
}
