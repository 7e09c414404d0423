/* SPDX-License-Identifier: BSD-3-Clause */

/* See progress.h. Whether the line is drawn is guarded by the lock of the standard error, which messages of any thread go to. */

#include "progress.h"

#include <stdio.h>
#include <unistd.h>

#include "text.h"

#define BAR_WIDTH 24

static const struct options *g_options;
static uint64_t g_all_requests;
static double g_began;
static double g_shown_at;
static uint64_t g_shown;
static bool g_terminal;
static bool g_drawn;

void progress_begin(const struct options *options, uint64_t all_requests)
{
	g_options = options;
	g_all_requests = all_requests;
	g_began = g_shown_at = now();
	g_shown = 0;
	g_terminal = isatty(STDERR_FILENO) != 0;
}

/* How much of it is done, 0 to 1: by requests or by time, whichever comes first. */
static double share_done(double time, uint64_t completed)
{
	double share = 0;

	if (g_all_requests != 0) {
		share = (double)completed / (double)g_all_requests;
	}
	if (g_options->seconds > 0 && (time - g_began) / g_options->seconds > share) {
		share = (time - g_began) / g_options->seconds;
	}
	return share < 1 ? share : 1;
}

void progress_show(double time, uint64_t completed, unsigned away)
{
	double share, rate;
	char bar[BAR_WIDTH + 1];
	unsigned index;

	if (!g_terminal || time - g_shown_at < PROGRESS_SECONDS) {
		return;
	}
	share = share_done(time, completed);
	rate = (double)(completed - g_shown) / (time - g_shown_at);
	for (index = 0; index < BAR_WIDTH; index++) {
		bar[index] = index < share * BAR_WIDTH ? '#' : '.';
	}
	bar[BAR_WIDTH] = '\0';
	flockfile(stderr);
	fprintf(stderr, "\r  %s %3.0f %%  %5.0f s  %s IOPS  %s/s", bar, share * 100, time - g_began, digits((uint64_t)rate),
		binary_size(rate * g_options->io_size));
	if (away != 0) {
		fprintf(stderr, "  %u away", away);
	}
	fputs("\033[K", stderr);
	fflush(stderr);
	g_shown_at = time;
	g_shown = completed;
	g_drawn = true;
	funlockfile(stderr);
}

void progress_clear(void)
{
	flockfile(stderr);
	if (g_drawn) {
		fputs("\r\033[K", stderr);
		fflush(stderr);
		g_drawn = false;
	}
	funlockfile(stderr);
}
