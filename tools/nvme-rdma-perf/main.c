/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * nvme-rdma-perf: keeps NVMe/RDMA targets busy, says how fast they are, and survives that they go away.
 *
 * It is a complete program over the public API, and it knows nothing about which RDMA it runs on. The main thread connects, watches over the
 * targets (target.h) and reports (report.h); the threads of workload.h submit and poll. It needs libspdk_nvme_rdma and an environment.
 */

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "spdk/env.h"

#include "messages.h"
#include "options.h"
#include "progress.h"
#include "report.h"
#include "target.h"
#include "text.h"
#include "workload.h"

/* How often the main thread looks: at the targets, their keep-alive included, and, more often, at one that is to come back. */
#define LOOK_SECONDS 0.02
#define EAGER_SECONDS 0.001
/* Nothing came back for so long: the host should have noticed by itself, and the program says so. */
#define STALL_SECONDS 60.0

static volatile sig_atomic_t g_signalled;
static volatile sig_atomic_t g_connecting; /* inside of a call that ends in its own time */
static bool g_environment; /* is there */

static void on_signal(int number)
{
	static const char words[] = PROGRAM ": this ends with the attempt to connect; once more ends it at once\n";

	(void)number;
	g_signalled = 1;
	if (g_connecting && write(STDERR_FILENO, words, sizeof(words) - 1) < 0) {
		return; /* nobody to tell */
	}
}

static bool environment_start(void)
{
	struct spdk_env_opts opts;
	int rc;

	memset(&opts, 0, sizeof(opts));
	opts.opts_size = sizeof(opts);
	spdk_env_opts_init(&opts);
	opts.name = PROGRAM;
	rc = spdk_env_init(&opts);
	if (rc != 0) {
		complain(ENDED_MACHINE, "the environment did not start: %s", strerror(abs(rc)));
		return false;
	}
	g_environment = true;
	return true;
}

/* Polls all targets. Returns how many are away, and whether any is not lost for good. */
static unsigned look_at_targets(struct run *run, bool *any)
{
	unsigned away = 0;
	uint32_t index;

	*any = false;
	for (index = 0; index < run->options->target_count; index++) {
		away += target_poll(&run->targets[index]);
		*any = *any || atomic_load(&run->targets[index].state) != TARGET_GONE;
	}
	return away;
}

/* The main thread while the load runs. Returns false if it was ended because nothing came back. */
static bool watch(struct run *run, FILE *out, double began)
{
	const struct options *options = run->options;
	uint64_t announce = options->announce, seen = 0;
	double stalled = began + STALL_SECONDS;
	bool stopped = false, good = true;

	while (!workers_ended(run)) {
		bool any;
		unsigned away = look_at_targets(run, &any);
		uint64_t completed = workers_completed(run);
		double time = now();
		struct timespec pause = {.tv_nsec = (long)((away != 0 ? EAGER_SECONDS : LOOK_SECONDS) * 1e9)};

		if (announce != 0 && completed >= announce) {
			progress_clear();
			fprintf(out, "%llu requests came back\n", (unsigned long long)announce);
			announce = 0;
		}
		if (completed != seen || away != 0 || !any) {
			seen = completed;
			stalled = time + STALL_SECONDS;
		}
		if (!stopped && time >= stalled) {
			complain(ENDED_ERRORS, "nothing came back for %.0f s", STALL_SECONDS);
			good = false;
		}
		if (!stopped && (g_signalled || !good || (options->seconds > 0 && time - began >= options->seconds))) {
			stopped = true;
			atomic_store(&run->stop, true);
		}
		progress_show(time, completed, away);
		nanosleep(&pause, NULL);
	}
	progress_clear();
	return good;
}

/* How the load ended, by its books. */
static enum ending judge(const struct run *run, bool answered)
{
	static struct books books;
	enum ending ending = ENDED_WELL;
	uint32_t index;

	books_collect(&books, run, NULL);
	if (g_signalled) {
		ending = ENDED_INTERRUPTED;
		remember(ending, "interrupted by a signal");
	}
	if (books.failed != 0 || !answered) {
		ending = ENDED_ERRORS;
	}
	for (index = 0; index < run->options->target_count; index++) {
		/* One that was lost at the very end, by a queue that was freed with requests in flight, nobody has looked at since. */
		if (atomic_load(&run->targets[index].state) != TARGET_LIVE ||
		    atomic_load(&run->targets[index].lost) >= atomic_load(&run->targets[index].generation)) {
			ending = ENDED_ERRORS;
			remember(ending, "the connection to %s was lost", target_name(&run->targets[index]));
		}
	}
	if (books.lost != 0 || books.stray != 0) {
		ending = complain(ENDED_BROKEN, "the host broke its promise: %s requests lost, %s came twice", digits(books.lost),
				  digits(books.stray));
	}
	if (books.mismatches != 0) {
		ending = complain(ENDED_BROKEN, "%s words differ from what was written", digits(books.mismatches));
	}
	for (index = 0; index < run->started; index++) {
		if (!run->workers[index].released) {
			ending = ENDED_BROKEN;
		}
	}
	return ending;
}

/* From the connected targets to the end of the load. `*seconds` is how long it took. */
static enum ending load(struct run *run, FILE *out, double *seconds)
{
	const struct options *options = run->options;
	enum ending ending = workers_open(run);
	double began, ended;
	bool answered;
	uint32_t index;

	if (ending != ENDED_WELL) {
		workers_let_go(run, false);
		workers_join(run);
		return ending;
	}
	report_intent(out, run);
	progress_begin(options, workers_all_requests(run));
	began = ended = now();
	workers_let_go(run, true);
	answered = watch(run, out, began);
	workers_join(run);
	for (index = 0; index < run->started; index++) {
		ended = run->workers[index].ended_at > ended ? run->workers[index].ended_at : ended;
	}
	*seconds = ended - began;
	return judge(run, answered);
}

/* From the options to the end of the load, text report included. `*seconds` is how long the load took; 0 if it did not come to it. */
static enum ending connect_and_load(struct run *run, FILE *out, double *seconds)
{
	const struct options *options = run->options;
	enum ending ending = ENDED_WELL;
	uint32_t index;

	for (index = 0; index < options->target_count && ending == ENDED_WELL && !g_signalled; index++) {
		g_connecting = 1;
		ending = target_connect(&run->targets[index], index, options, out);
		g_connecting = 0;
		if (ending == ENDED_WELL) {
			target_describe(&run->targets[index]);
		}
	}
	if (ending == ENDED_WELL && g_signalled) {
		ending = complain(ENDED_INTERRUPTED, "interrupted before the load began");
	}
	if (ending != ENDED_WELL) {
		return ending;
	}
	ending = load(run, out, seconds);
	if (*seconds > 0) {
		report_text(out, run, *seconds, options->histogram || isatty(fileno(out)));
		if (options->pattern == PATTERN_VERIFY && ending == ENDED_WELL) {
			fputs("Every byte was read back as it was written.\n", out);
		}
	}
	return ending;
}

static enum ending run_all(struct run *run, FILE *out, double *seconds)
{
	const struct options *options = run->options;
	enum ending ending;
	uint32_t index;

	run->targets = calloc(options->target_count, sizeof(*run->targets));
	if (run->targets == NULL) {
		return complain(ENDED_MACHINE, "no memory for %u targets", options->target_count);
	}
	for (index = 0; index < options->target_count; index++) {
		run->targets[index].trid = &options->trids[index];
	}
	if (!environment_start()) {
		return ENDED_MACHINE;
	}
	ending = connect_and_load(run, out, seconds);
	if (!targets_detach(run->targets, options->target_count)) {
		ending = ENDED_BROKEN;
	}
	return ending;
}

/*
 * Whatever the program was started without: a file or socket of the library's must not become its standard output. What is written to what was
 * closed is an error still.
 */
static void occupy_standard_streams(void)
{
	int stream;

	for (stream = STDIN_FILENO; stream <= STDERR_FILENO; stream++) {
		if (fcntl(stream, F_GETFD) < 0 && open("/dev/null", stream == STDIN_FILENO ? O_WRONLY : O_RDONLY) < 0) {
			_exit(ENDED_MACHINE);
		}
	}
}

/* The last word: what was printed has arrived, or the program did not end well. */
static enum ending end_output(enum ending ending)
{
	if (fflush(stdout) == 0 && !ferror(stdout)) {
		return ending;
	}
	complain(ENDED_MACHINE, "the standard output cannot be written to");
	return ending == ENDED_WELL ? ENDED_MACHINE : ending;
}

int main(int argc, char **argv)
{
	struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESETHAND};
	static struct options options;
	struct run run = {.options = &options, .gate = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
	enum ending ending;
	double seconds = 0;

	occupy_standard_streams();
	/* Line by line, also into a pipe, so that the library's own lines come in between where they belong. */
	setvbuf(stdout, NULL, _IOLBF, 0);
	/* The second one ends the program as if it had no handler. */
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	/* Reading a transport id already needs the library, but no environment. */
	if (options_read(&options, argc, argv, &ending)) {
		ending = run_all(&run, options.json ? stderr : stdout, &seconds);
	}
	if (options.json) {
		report_json(stdout, &run, seconds, ending);
	}
	workers_free(&run);
	free(run.targets);
	if (g_environment) {
		spdk_env_fini();
	}
	return end_output(ending);
}
