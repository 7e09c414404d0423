/*
 * witness SECONDS STATUS-FILE LEFT-FILE PROGRAM [ARGUMENT...]
 *
 * Runs PROGRAM and looks at the RDMA objects that it holds at the moment of its exit. Afterwards would be too late: the kernel takes
 * away what a dead process leaves, so a program that releases nothing looks the same as one that releases everything. The program
 * is traced for this one event only (PTRACE_EVENT_EXIT: its files are still open), so it runs at full speed and unmodified.
 *
 * STATUS-FILE gets one line, "exit N", "signal N" or "timeout"; LEFT-FILE the lines of `rdma resource show` with the program's pid. After
 * SECONDS the program is killed; SIGTERM and SIGINT are passed on to it. The exit status is the program's, 128 + N after a signal, 124 after the time-out, 125 for own errors.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile sig_atomic_t timed_out;
static pid_t program;

static void on_alarm(int number)
{
	(void)number;
	timed_out = 1;
	kill(program, SIGKILL);
}

/* Who stops the witness means the program. */
static void pass_on(int number)
{
	kill(program, number);
}

static void fail(const char *what)
{
	fprintf(stderr, "witness: %s: %s\n", what, strerror(errno));
	if (program > 0)
		kill(program, SIGKILL);
	exit(125);
}

/* Copies the lines about the program's objects of each kind to the file. */
static void list_objects(const char *path)
{
	static const char *const kinds[] = { "qp", "cm_id", "mr", "pd", "cq" };
	char wanted[32], command[64], line[512];
	FILE *out = fopen(path, "w");

	if (out == NULL)
		fail(path);
	snprintf(wanted, sizeof(wanted), " pid %d ", (int)program);
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		FILE *list;

		snprintf(command, sizeof(command), "rdma resource show %s", kinds[i]);
		list = popen(command, "r");
		if (list == NULL)
			fail(command);
		while (fgets(line, sizeof(line), list) != NULL) {
			if (strstr(line, wanted) != NULL)
				fprintf(out, "%s: %s", kinds[i], line);
		}
		/* An empty list because `rdma` failed would read as "all released". */
		if (pclose(list) != 0)
			fail(command);
	}
	fclose(out);
}

static int finish(const char *path, const char *word, int number, int code)
{
	FILE *out = fopen(path, "w");

	if (out == NULL)
		fail(path);
	if (number >= 0)
		fprintf(out, "%s %d\n", word, number);
	else
		fprintf(out, "%s\n", word);
	fclose(out);
	return code;
}

/* The program waits at the pipe until it is traced, so that no exit can be missed. */
static void start(char **arguments)
{
	int gate[2];
	char byte = 0;

	if (pipe(gate) != 0)
		fail("pipe");
	program = fork();
	if (program < 0)
		fail("fork");
	if (program == 0) {
		close(gate[1]);
		if (read(gate[0], &byte, 1) != 1)
			_exit(125);
		close(gate[0]);
		execvp(arguments[0], arguments);
		fprintf(stderr, "witness: %s: %s\n", arguments[0], strerror(errno));
		_exit(127);
	}
	close(gate[0]);
	if (ptrace(PTRACE_SEIZE, program, NULL, (void *)(long)(PTRACE_O_TRACEEXIT | PTRACE_O_EXITKILL)) != 0)
		fail("ptrace");
	if (write(gate[1], &byte, 1) != 1)
		fail("pipe");
	close(gate[1]);
}

int main(int argc, char **argv)
{
	struct sigaction alarm_action = { .sa_handler = on_alarm }, pass_on_action = { .sa_handler = pass_on };
	int status;

	if (argc < 5 || atoi(argv[1]) <= 0) {
		fprintf(stderr, "usage: witness SECONDS STATUS-FILE LEFT-FILE PROGRAM [ARGUMENT...]\n");
		return 125;
	}
	start(argv + 4);
	sigaction(SIGALRM, &alarm_action, NULL);
	sigaction(SIGTERM, &pass_on_action, NULL);
	sigaction(SIGINT, &pass_on_action, NULL);
	alarm((unsigned int)atoi(argv[1]));

	for (;;) {
		int number = 0;

		if (waitpid(program, &status, __WALL) < 0) {
			if (errno == EINTR)
				continue;
			fail("waitpid");
		}
		if (!WIFSTOPPED(status))
			break;
		if (status >> 16 == PTRACE_EVENT_EXIT)
			list_objects(argv[3]);
		else if (status >> 16 == PTRACE_EVENT_STOP)
			number = 0;
		else
			number = WSTOPSIG(status);
		/* ESRCH: killed meanwhile; the next wait tells. */
		if (ptrace(PTRACE_CONT, program, NULL, (void *)(long)number) != 0 && errno != ESRCH)
			fail("ptrace");
	}
	if (timed_out)
		return finish(argv[2], "timeout", -1, 124);
	if (WIFSIGNALED(status))
		return finish(argv[2], "signal", WTERMSIG(status), 128 + WTERMSIG(status));
	return finish(argv[2], "exit", WEXITSTATUS(status), WEXITSTATUS(status));
}
