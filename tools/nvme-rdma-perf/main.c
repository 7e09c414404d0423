/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * nvme-rdma-perf: keeps NVMe/RDMA targets busy, says how fast they are, and survives that they go away.
 *
 * It is a complete program over the public API, and it knows nothing about which RDMA it runs on. The main thread connects, watches over the
 * targets (target.h) and reports (report.h); the threads of workload.h submit and poll. It needs libspdk_nvme_rdma and an environment.
 */

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "spdk/env.h"

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

static void on_signal(int number)
{
	(void)number;
	g_signalled = 1;
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
		fprintf(stderr, PROGRAM ": the environment did not start: %s\n", strerror(abs(rc)));
		return false;
	}
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
			progress_clear();
			fprintf(stderr, PROGRAM ": nothing came back for %.0f s\n", STALL_SECONDS);
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
	}
	if (books.failed != 0 || !answered) {
		ending = ENDED_ERRORS;
	}
	for (index = 0; index < run->options->target_count; index++) {
		/* One that was lost at the very end, by a queue that was freed with requests in flight, nobody has looked at since. */
		if (atomic_load(&run->targets[index].state) != TARGET_LIVE ||
		    atomic_load(&run->targets[index].lost) >= atomic_load(&run->targets[index].generation)) {
			ending = ENDED_ERRORS;
		}
	}
	if (books.lost != 0 || books.stray != 0) {
		fprintf(stderr, PROGRAM ": the host broke its promise: %s requests lost, %s came twice\n", digits(books.lost),
			digits(books.stray));
		ending = ENDED_BROKEN;
	}
	if (books.mismatches != 0) {
		fprintf(stderr, PROGRAM ": %s words differ from what was written\n", digits(books.mismatches));
		ending = ENDED_BROKEN;
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
		workers_begin(run); /* which is their end as well */
		workers_join(run);
		return ending;
	}
	report_intent(out, options);
	progress_begin(options, workers_all_requests(run));
	began = ended = now();
	workers_begin(run);
	answered = watch(run, out, began);
	workers_join(run);
	for (index = 0; index < run->started; index++) {
		ended = run->workers[index].ended_at > ended ? run->workers[index].ended_at : ended;
	}
	*seconds = ended - began;
	return judge(run, answered);
}

static enum ending run_all(const struct options *options, FILE *out)
{
	struct run run = {.options = options};
	enum ending ending = ENDED_WELL;
	double seconds = 0;
	uint32_t index;

	run.targets = calloc(options->target_count, sizeof(*run.targets));
	if (run.targets == NULL) {
		fprintf(stderr, PROGRAM ": no memory\n");
		return ENDED_USAGE;
	}
	for (index = 0; index < options->target_count; index++) {
		run.targets[index].trid = &options->trids[index];
	}
	for (index = 0; index < options->target_count && ending == ENDED_WELL; index++) {
		if (g_signalled) {
			ending = ENDED_INTERRUPTED;
		} else if (!target_connect(&run.targets[index], index, options, out)) {
			ending = ENDED_CONNECT;
		} else {
			target_describe(&run.targets[index]);
		}
	}
	if (ending == ENDED_WELL) {
		ending = load(&run, out, &seconds);
		if (seconds > 0) {
			report_text(out, &run, seconds, options->histogram || isatty(fileno(out)));
		}
		if (seconds > 0 && options->pattern == PATTERN_VERIFY && ending == ENDED_WELL) {
			fputs("Every byte was read back as it was written.\n", out);
		}
	}
	if (!targets_detach(run.targets, options->target_count)) {
		ending = ENDED_BROKEN;
	}
	if (options->json && !report_json(stdout, &run, seconds, ending)) {
		fprintf(stderr, PROGRAM ": the report could not be written: %s\n", strerror(errno));
		ending = ENDED_BROKEN;
	}
	workers_free(&run);
	free(run.targets);
	return ending;
}

int main(int argc, char **argv)
{
	struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESETHAND};
	static struct options options;
	enum ending ending;

	/* Line by line, also into a pipe, so that the library's own lines come in between where they belong. */
	setvbuf(stdout, NULL, _IOLBF, 0);
	/* Reading a transport id already needs the library, but no environment. */
	if (!options_read(&options, argc, argv, &ending)) {
		return ending;
	}
	if (!environment_start()) {
		return ENDED_CONNECT;
	}
	/* The second one ends the program as if it had no handler. */
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	ending = run_all(&options, options.json ? stderr : stdout);
	spdk_env_fini();
	return ending;
}
