/* SPDX-License-Identifier: BSD-3-Clause */

/* See report.h. */

#include "report.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "spdk/env.h"

#include "messages.h"
#include "text.h"

#ifndef NVME_RDMA_VERSION
#define NVME_RDMA_VERSION "unknown"
#endif

#define BAR_WIDTH 50
/* A drawing has two rows for each power of two, or one if that were too many rows. */
#define MOST_ROWS 32

static const struct {
	double percent;
	const char *name;
} percentiles[] = {
	{50, "p50"}, {90, "p90"}, {99, "p99"}, {99.9, "p99.9"}, {99.99, "p99.99"},
};
#define PERCENTILES (sizeof(percentiles) / sizeof(percentiles[0]))

static double microseconds(double ticks)
{
	/* Without an environment there may be no clock either, and no ticks. */
	return ticks <= 0 ? 0 : ticks * 1e6 / (double)spdk_get_ticks_hz();
}

static void direction_add(struct direction *sum, const struct direction *direction)
{
	sum->bytes += direction->bytes;
	histogram_add(&sum->latency, &direction->latency);
}

void books_collect(struct books *books, const struct run *run, const struct target *target)
{
	uint32_t index, number;

	for (index = 0; index < run->started; index++) {
		for (number = 0; run->workers[index].lanes != NULL && number < run->options->target_count; number++) {
			const struct lane *lane = &run->workers[index].lanes[number];

			if (target != NULL && target != &run->targets[number]) {
				continue;
			}
			books->submitted += lane->submitted;
			books->completed += lane->completed;
			books->aborted += lane->aborted;
			books->failed += lane->failed;
			books->stray += lane->stray;
			books->lost += lane_in_flight(lane);
			books->mismatches += lane->mismatches;
			direction_add(&books->reads, &lane->reads);
			direction_add(&books->writes, &lane->writes);
		}
	}
}

/* As text ------------------------------------------------------------------------------------------------------------ */

void report_intent(FILE *out, const struct run *run)
{
	const struct options *options = run->options;
	uint32_t index;

	fprintf(out, "Load: %s", options->pattern_name);
	if (options->pattern == PATTERN_RW || options->pattern == PATTERN_RANDRW) {
		fprintf(out, ", %u %% reads", options->read_mix);
	}
	fprintf(out, ", %u byte requests, %u thread%s, %u qpair%s of depth %u each", options->io_size, options->thread_count,
		options->thread_count == 1 ? "" : "s", options->qpairs, options->qpairs == 1 ? "" : "s", options->depth);
	if (options->target_count > 1) {
		fprintf(out, " to each of %u targets", options->target_count);
	}
	if (options->count != 0) {
		fprintf(out, ", %s requests each", digits(options->count));
	}
	if (options->seconds > 0) {
		fprintf(out, ", %.0f s", options->seconds);
	}
	fputc('\n', out);
	for (index = 0; index < options->target_count; index++) {
		uint32_t most = target_queue_requests(&run->targets[index]);

		if (options->depth > most) {
			fprintf(out, "A queue of %s holds %u requests: the others wait in this host, and their latency with them\n",
				target_name(&run->targets[index]), most);
		}
	}
}

static void print_direction(FILE *out, const char *name, const struct direction *direction, double seconds)
{
	const struct histogram *latency = &direction->latency;
	size_t index;

	if (latency->count == 0) {
		return;
	}
	fprintf(out, "  %-6s %s requests, %s in %.2f s: %s IOPS, %.1f MiB/s\n", name, digits(latency->count),
		binary_size((double)direction->bytes), seconds, digits((uint64_t)((double)latency->count / seconds)),
		(double)direction->bytes / seconds / (1 << 20));
	fprintf(out, "         latency avg %s", duration(microseconds(histogram_mean(latency))));
	for (index = 0; index < PERCENTILES; index++) {
		fprintf(out, ", %s %s", percentiles[index].name,
			duration(microseconds((double)histogram_percentile(latency, percentiles[index].percent))));
	}
	fprintf(out, ", max %s\n", duration(microseconds((double)latency->maximum)));
}

/* Reads, writes, and both together if there are both. */
static void print_directions(FILE *out, const struct books *books, double seconds)
{
	static struct direction both;

	print_direction(out, "read", &books->reads, seconds);
	print_direction(out, "write", &books->writes, seconds);
	if (books->reads.latency.count != 0 && books->writes.latency.count != 0) {
		memset(&both, 0, sizeof(both));
		direction_add(&both, &books->reads);
		direction_add(&both, &books->writes);
		print_direction(out, "both", &both, seconds);
	}
}

static void draw_histogram(FILE *out, const struct histogram *latency)
{
	unsigned step = HISTOGRAM_STEPS / 2, first = HISTOGRAM_BUCKETS, last = 0, row, bucket;
	uint64_t rows[HISTOGRAM_BUCKETS / (HISTOGRAM_STEPS / 2)] = {0};
	uint64_t most = 0;

	for (bucket = 0; bucket < HISTOGRAM_BUCKETS; bucket++) {
		if (latency->buckets[bucket] != 0) {
			first = bucket < first ? bucket : first;
			last = bucket;
		}
	}
	if ((last - first) / step >= MOST_ROWS) {
		step = HISTOGRAM_STEPS;
	}
	for (bucket = first; bucket <= last; bucket++) {
		uint64_t *count = &rows[bucket / step];

		*count += latency->buckets[bucket];
		most = *count > most ? *count : most;
	}
	fprintf(out, "  %-10s %12s\n", "up to", "requests");
	for (row = first / step; row <= last / step; row++) {
		int width = (int)ceil((double)rows[row] * BAR_WIDTH / (double)most);

		fprintf(out, "  %-10s %12s  %5.1f %% ",
			duration(microseconds((double)histogram_upper_end(row * step + step - 1))), digits(rows[row]),
			(double)rows[row] * 100 / (double)latency->count);
		for (; width > 0; width--) {
			fputc('#', out);
		}
		fputc('\n', out);
	}
}

static void print_accounts(FILE *out, const struct books *books)
{
	fprintf(out, "  requests: submitted %s, completed %s, aborted %s, failed %s, lost %s, came twice %s\n", digits(books->submitted),
		digits(books->completed), digits(books->aborted), digits(books->failed), digits(books->lost), digits(books->stray));
}

void report_text(FILE *out, const struct run *run, double seconds, bool draw)
{
	/* The histograms make them too large for a stack. */
	static struct books all, one;
	uint32_t index;

	seconds = seconds > 0 ? seconds : 1e-9;
	for (index = 0; run->options->target_count > 1 && index < run->options->target_count; index++) {
		const struct target *target = &run->targets[index];

		memset(&one, 0, sizeof(one));
		books_collect(&one, run, target);
		fprintf(out, "%s\n", target_name(target));
		print_directions(out, &one, seconds);
		print_accounts(out, &one);
	}
	books_collect(&all, run, NULL);
	fputs(run->options->target_count > 1 ? "All targets\n" : "Result\n", out);
	print_directions(out, &all, seconds);
	print_accounts(out, &all);
	if (draw && all.reads.latency.count + all.writes.latency.count != 0) {
		direction_add(&all.reads, &all.writes);
		fputs("Latency of all requests\n", out);
		draw_histogram(out, &all.reads.latency);
	}
}

/* As JSON ------------------------------------------------------------------------------------------------------------ */

/* A string of `size` bytes at most, which may be anything: a peer wrote it. Spaces at its end are padding. */
static void json_string(FILE *out, const void *text, size_t size)
{
	const unsigned char *bytes = text;
	size_t length = strnlen(text, size), index;

	while (length > 0 && bytes[length - 1] == ' ') {
		length--;
	}
	fputc('"', out);
	for (index = 0; index < length; index++) {
		if (bytes[index] < 0x20 || bytes[index] > 0x7e) {
			fprintf(out, "\\u%04x", bytes[index]);
		} else {
			if (bytes[index] == '"' || bytes[index] == '\\') {
				fputc('\\', out);
			}
			fputc(bytes[index], out);
		}
	}
	fputc('"', out);
}

static void json_text(FILE *out, const char *name, const void *text, size_t size)
{
	fprintf(out, "\"%s\":", name);
	json_string(out, text, size);
	fputc(',', out);
}

static void json_direction(FILE *out, const char *name, const struct direction *direction, double seconds)
{
	const struct histogram *latency = &direction->latency;
	const char *comma = "";
	size_t index;
	unsigned bucket;

	fprintf(out, "\"%s\":{\"requests\":%llu,\"bytes\":%llu,\"iops\":%.3f,\"mib_per_second\":%.3f,\"latency_us\":{\"mean\":%.3f", name,
		(unsigned long long)latency->count, (unsigned long long)direction->bytes,
		seconds > 0 ? (double)latency->count / seconds : 0, seconds > 0 ? (double)direction->bytes / seconds / (1 << 20) : 0,
		microseconds(histogram_mean(latency)));
	for (index = 0; index < PERCENTILES; index++) {
		fprintf(out, ",\"%s\":%.3f", percentiles[index].name,
			microseconds((double)histogram_percentile(latency, percentiles[index].percent)));
	}
	fprintf(out, ",\"max\":%.3f},\"histogram_us\":[", microseconds((double)latency->maximum));
	for (bucket = 0; bucket < HISTOGRAM_BUCKETS; bucket++) {
		if (latency->buckets[bucket] != 0) {
			fprintf(out, "%s[%.3f,%llu]", comma, microseconds((double)histogram_upper_end(bucket)),
				(unsigned long long)latency->buckets[bucket]);
			comma = ",";
		}
	}
	fputs("]}", out);
}

static void json_books(FILE *out, const struct books *books, double seconds)
{
	fprintf(out, "\"submitted\":%llu,\"completed\":%llu,\"aborted\":%llu,\"failed\":%llu,\"lost\":%llu,\"came_twice\":%llu,"
		"\"wrong_words\":%llu,",
		(unsigned long long)books->submitted, (unsigned long long)books->completed, (unsigned long long)books->aborted,
		(unsigned long long)books->failed, (unsigned long long)books->lost, (unsigned long long)books->stray,
		(unsigned long long)books->mismatches);
	json_direction(out, "read", &books->reads, seconds);
	fputc(',', out);
	json_direction(out, "write", &books->writes, seconds);
}

static void json_target(FILE *out, const struct run *run, const struct target *target, double seconds)
{
	static struct books books;
	const struct spdk_nvme_transport_id *trid = target->trid;

	memset(&books, 0, sizeof(books));
	books_collect(&books, run, target);
	fputc('{', out);
	json_text(out, "traddr", trid->traddr, sizeof(trid->traddr));
	json_text(out, "trsvcid", trid->trsvcid, sizeof(trid->trsvcid));
	json_text(out, "subnqn", trid->subnqn, sizeof(trid->subnqn));
	if (target->ctrlr != NULL) {
		json_text(out, "model", target->model, sizeof(target->model));
		json_text(out, "serial_number", target->serial_number, sizeof(target->serial_number));
		json_text(out, "firmware", target->firmware, sizeof(target->firmware));
	}
	fprintf(out, "\"connected\":%s,\"outages\":%u,\"reconnects\":%u,\"seconds_away\":%.6f,",
		target->ctrlr != NULL && atomic_load(&target->state) == TARGET_LIVE ? "true" : "false", target->outages,
		target->ctrlr != NULL ? target_returns(target) : 0, target->away);
	json_books(out, &books, seconds);
	fputc('}', out);
}

bool report_json(FILE *out, const struct run *run, double seconds, enum ending ending)
{
	static const char *const endings[ENDINGS] = {"well", "usage", "connect", "errors", "interrupted", "broken", "machine"};
	static struct books all;
	const struct options *options = run->options;
	const char *reason = reason_of(ending);
	uint32_t index;

	fprintf(out, "{\"program\":\"" PROGRAM "\",\"version\":\"" NVME_RDMA_VERSION "\",\"ended\":\"%s\",\"exit_status\":%d,\"error\":",
		endings[ending], (int)ending);
	if (reason == NULL) {
		fputs("null", out);
	} else {
		json_string(out, reason, strlen(reason));
	}
	if (run->targets == NULL) {
		/* It did not come to targets. */
		fputs("}\n", out);
		return fflush(out) == 0 && !ferror(out);
	}
	fprintf(out, ",\"seconds\":%.6f,", seconds);
	fprintf(out, "\"options\":{\"io_pattern\":\"%s\",\"rwmixread\":%u,\"io_depth\":%u,\"io_size\":%u,\"num_qpairs\":%u,\"threads\":%u,"
		"\"time\":%.0f,\"number_ios\":%llu,\"size\":%llu,\"reconnect\":%.0f},",
		options->pattern_name, options->read_mix, options->depth, options->io_size, options->qpairs, options->thread_count,
		options->seconds, (unsigned long long)options->count, (unsigned long long)options->limit, options->reconnect);
	fputs("\"targets\":[", out);
	for (index = 0; index < options->target_count; index++) {
		fputs(index == 0 ? "" : ",", out);
		json_target(out, run, &run->targets[index], seconds);
	}
	books_collect(&all, run, NULL);
	fputs("],\"total\":{", out);
	json_books(out, &all, seconds);
	fputs("}}\n", out);
	return fflush(out) == 0 && !ferror(out);
}
