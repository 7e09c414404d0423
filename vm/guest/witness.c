/*
 * witness SECONDS PREFIX PROGRAM [ARGUMENT...]
 *
 * Runs PROGRAM and looks at the RDMA objects that it holds at the moment of its exit. Afterwards would be too late: the kernel takes
 * away what a dead process leaves, so a program that releases nothing looks the same as one that releases everything. The program
 * is traced for its exec and its exit only (PTRACE_EVENT_EXIT: its files are still open), so it runs at full speed and unmodified.
 *
 * Leaves three files, each there in whole or not at all:
 *   PREFIX.watched  the program's pid, as soon as it runs and its exit cannot be missed any more. Who means to kill it waits for this
 *   PREFIX.left     the lines of `rdma resource show` with the program's pid, at its exit
 *   PREFIX.status   one line, "exit N", "signal N" or "timeout"; the last of the three
 *
 * After SECONDS the program is killed; SIGTERM and SIGINT are passed on to it, however early they come. The exit status is the
 * program's, 128 + N after a signal, 124 after the time-out, 125 for own errors.
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
static const char *prefix;

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

/* A file that is being written has another name, so that nobody reads half of it. */
static void path_of(char *path, size_t room, const char *suffix, const char *more)
{
	if ((size_t)snprintf(path, room, "%s.%s%s", prefix, suffix, more) >= room) {
		errno = ENAMETOOLONG;
		fail(prefix);
	}
}

static FILE *file_begin(const char *suffix)
{
	char path[4096];
	FILE *out;

	path_of(path, sizeof(path), suffix, ".new");
	out = fopen(path, "w");
	if (out == NULL)
		fail(path);
	return out;
}

static void file_end(FILE *out, const char *suffix)
{
	char from[4096], to[4096];

	path_of(from, sizeof(from), suffix, ".new");
	path_of(to, sizeof(to), suffix, "");
	if (fclose(out) != 0 || rename(from, to) != 0)
		fail(to);
}

static void say_watched(void)
{
	FILE *out = file_begin("watched");

	fprintf(out, "%d\n", (int)program);
	file_end(out, "watched");
}

/* Copies the lines about the program's objects of each kind to the file. */
static void list_objects(void)
{
	static const char *const kinds[] = { "qp", "cm_id", "mr", "pd", "cq" };
	char wanted[32], command[64], line[512];
	FILE *out = file_begin("left");

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
	file_end(out, "left");
}

static int finish(const char *word, int number, int code)
{
	FILE *out = file_begin("status");

	if (number >= 0)
		fprintf(out, "%s %d\n", word, number);
	else
		fprintf(out, "%s\n", word);
	file_end(out, "status");
	return code;
}

/* The program waits at the pipe until it is traced, so that no exit can be missed. `unblocked` is the signal mask it runs with. */
static void start(char **arguments, const sigset_t *unblocked)
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
		sigprocmask(SIG_SETMASK, unblocked, NULL);
		execvp(arguments[0], arguments);
		fprintf(stderr, "witness: %s: %s\n", arguments[0], strerror(errno));
		_exit(127);
	}
	close(gate[0]);
	if (ptrace(PTRACE_SEIZE, program, NULL,
		   (void *)(long)(PTRACE_O_TRACEEXEC | PTRACE_O_TRACEEXIT | PTRACE_O_EXITKILL)) != 0)
		fail("ptrace");
	if (write(gate[1], &byte, 1) != 1)
		fail("pipe");
	close(gate[1]);
}

int main(int argc, char **argv)
{
	struct sigaction alarm_action = { .sa_handler = on_alarm }, pass_on_action = { .sa_handler = pass_on };
	sigset_t passed_on, unblocked;
	int status;

	if (argc < 4 || atoi(argv[1]) <= 0) {
		fprintf(stderr, "usage: witness SECONDS PREFIX PROGRAM [ARGUMENT...]\n");
		return 125;
	}
	prefix = argv[2];
	/* What comes before there is a program waits until there is one. */
	sigemptyset(&passed_on);
	sigaddset(&passed_on, SIGTERM);
	sigaddset(&passed_on, SIGINT);
	sigprocmask(SIG_BLOCK, &passed_on, &unblocked);
	start(argv + 3, &unblocked);
	sigaction(SIGALRM, &alarm_action, NULL);
	sigaction(SIGTERM, &pass_on_action, NULL);
	sigaction(SIGINT, &pass_on_action, NULL);
	sigprocmask(SIG_SETMASK, &unblocked, NULL);
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
			list_objects();
		else if (status >> 16 == PTRACE_EVENT_EXEC)
			say_watched();
		else if (status >> 16 == PTRACE_EVENT_STOP)
			number = 0;
		else
			number = WSTOPSIG(status);
		/* ESRCH: killed meanwhile; the next wait tells. */
		if (ptrace(PTRACE_CONT, program, NULL, (void *)(long)number) != 0 && errno != ESRCH)
			fail("ptrace");
	}
	if (timed_out)
		return finish("timeout", -1, 124);
	if (WIFSIGNALED(status))
		return finish("signal", WTERMSIG(status), 128 + WTERMSIG(status));
	return finish("exit", WEXITSTATUS(status), WEXITSTATUS(status));
}
