/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * See workload.h.
 *
 * What runs for each request is on_complete() and submit(): the clock is read once, at the completion, whose time is also the start of the
 * request that takes its place. All that is rare goes through `attention`, after a poll.
 *
 * A verification has more to do with its buffers than to move them. It does so outside of the callbacks and in small pieces, with a poll after each:
 * a latency is that of the I/O, and ends when the I/O does, however large the requests are and however many.
 */

#include "workload.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "spdk/env.h"
#include "spdk/nvme.h"

#include "messages.h"
#include "pattern.h"
#include "text.h"

/* After a failure, what is in flight may take so long to come back before the queues are freed, which brings it back as well. */
#define SETTLE_SECONDS 5.0
/* At the end of the load: an answer is late, and not lost, up to here. */
#define DRAIN_SECONDS 30.0
/* What a qpair may take to come to its end before it is connected again. */
#define REST_SECONDS 1.0
/* How much of a buffer is filled or compared between two polls: a microsecond or so. */
#define PIECE_BYTES 4096u

#define likely(condition) __builtin_expect(!!(condition), 1)
#define unlikely(condition) __builtin_expect(!!(condition), 0)

static void on_complete(void *argument, const struct spdk_nvme_cpl *cpl);

static void push(struct request **list, struct request *request)
{
	request->next = *list;
	*list = request;
}

static struct request *pop(struct request **list)
{
	struct request *request = *list;

	*list = request->next;
	return request;
}

static void put_idle(struct lane *lane, struct request *request)
{
	push(&lane->idle, request);
}

static void lane_lose(struct lane *lane)
{
	if (!lane->lost) {
		lane->lost = true;
		lane->submitting = false;
		lane->attention = true;
		target_lose(lane->target, lane->generation);
	}
}

/* A whole number below `bound` from 64 random bits, without a division. */
static uint64_t below(uint64_t bits, uint64_t bound)
{
	__extension__ typedef unsigned __int128 wide;

	return (uint64_t)((wide)bits * bound >> 64);
}

static bool next_of_verification(struct lane *lane, struct request *request)
{
	struct place *place = &lane->places[lane->turn];

	while (place->next >= place->end) {
		if (++lane->turn >= lane->place_count) {
			lane->turn = lane->place_count - 1;
			return false;
		}
		place = &lane->places[lane->turn];
	}
	request->place = place;
	request->lba = place->next;
	request->blocks = place->io_blocks;
	if (request->blocks > place->end - request->lba) {
		request->blocks = (uint32_t)(place->end - request->lba);
	}
	place->next += request->blocks;
	request->write = !lane->reading_back;
	return true;
}

/* Chooses what a request of any other pattern does next. False if there is nothing more to do. */
static bool next_work(struct lane *lane, struct request *request)
{
	struct place *place;
	unsigned mix = lane->options->read_mix;

	if (unlikely(lane->left == 0)) {
		return false;
	}
	lane->left--;
	place = &lane->places[lane->turn];
	if (lane->place_count > 1 && ++lane->turn == lane->place_count) {
		lane->turn = 0;
	}
	request->place = place;
	request->blocks = place->io_blocks;
	if (lane->options->random) {
		request->lba = below(random_next(&lane->random), place->io_count) * place->io_blocks;
	} else {
		request->lba = place->next;
		place->next += place->io_blocks;
		if (place->next + place->io_blocks > place->end) {
			place->next = place->first;
		}
	}
	request->write = mix == 0 || (mix < 100 && below(random_next(&lane->random), 100) >= mix);
	return true;
}

/* Gives a request to the host. False if that did not take it, and nothing comes back. `time` is now, in ticks. */
static bool send_to_host(struct lane *lane, struct request *request, uint64_t time)
{
	int rc;

	request->started = time;
	/* Before the call: should the callback come from inside of it, it is no stray. */
	request->in_flight = true;
	lane->submitted++;
	if (request->write) {
		rc = spdk_nvme_ns_cmd_write(request->place->ns, request->qpair, request->buffer, request->lba, request->blocks,
					    on_complete, request, 0);
	} else {
		rc = spdk_nvme_ns_cmd_read(request->place->ns, request->qpair, request->buffer, request->lba, request->blocks,
					   on_complete, request, 0);
	}
	if (likely(rc == 0)) {
		return true;
	}
	if (!request->in_flight) {
		/* Refused, and called back all the same. */
		lane->stray++;
		lane_lose(lane);
		return true;
	}
	request->in_flight = false;
	lane->submitted--;
	lane->attention = true;
	if (rc != -ENOMEM) { /* -ENOMEM: the queue is full, try again after the next poll */
		lane_lose(lane);
	}
	return false;
}

static void out_of_work(struct lane *lane, struct request *request)
{
	lane->submitting = false;
	lane->exhausted = true;
	lane->attention = true;
	put_idle(lane, request);
}

/* Sends a request on its next way, or puts it with the idle ones. `time` is now, in ticks. */
static void submit(struct lane *lane, struct request *request, uint64_t time)
{
	if (unlikely(!next_work(lane, request))) {
		out_of_work(lane, request);
	} else if (unlikely(!send_to_host(lane, request, time))) {
		/* Still to be done, except that a random place is as good as another. */
		if (lane->left != UINT64_MAX) {
			lane->left++;
		}
		put_idle(lane, request);
	}
}

static void on_error(struct lane *lane, struct request *request, const struct spdk_nvme_cpl *cpl)
{
	put_idle(lane, request);
	lane->attention = true;
	if (cpl->status.sct == SPDK_NVME_SCT_GENERIC && cpl->status.sc == SPDK_NVME_SC_ABORTED_SQ_DELETION) {
		lane->aborted++;
		if (lane->left != UINT64_MAX) {
			lane->left++;
		}
		lane_lose(lane);
		return;
	}
	if (lane->failed++ == 0) {
		complain(ENDED_ERRORS, "%s of %u blocks at %llu of namespace %u: %s (%02x/%02x)%s",
			 request->write ? "a write" : "a read", request->blocks, (unsigned long long)request->lba,
			 spdk_nvme_ns_get_id(request->place->ns), spdk_nvme_cpl_get_status_string(&cpl->status),
			 (unsigned)cpl->status.sct, (unsigned)cpl->status.sc,
			 lane->options->go_on ? "; further ones are only counted" : "; no more requests to this target");
	}
	if (!lane->options->go_on) {
		lane->submitting = false;
		lane->exhausted = true;
		lane->given_up = true;
	}
}

static void on_complete(void *argument, const struct spdk_nvme_cpl *cpl)
{
	struct request *request = argument;
	struct lane *lane = request->lane;
	struct direction *direction;
	uint64_t time;

	if (unlikely(!request->in_flight)) {
		lane->stray++;
		return;
	}
	request->in_flight = false;
	if (unlikely(spdk_nvme_cpl_is_error(cpl))) {
		on_error(lane, request, cpl);
		return;
	}
	time = spdk_get_ticks();
	lane->completed++;
	lane->worker->done++;
	direction = request->write ? &lane->writes : &lane->reads;
	histogram_record(&direction->latency, time - request->started);
	direction->bytes += (uint64_t)request->blocks * request->place->sector_size;
	if (unlikely(lane->options->pattern == PATTERN_VERIFY)) {
		push(request->write ? &lane->idle : &lane->unchecked, request);
		lane->attention = true;
	} else if (likely(lane->submitting)) {
		submit(lane, request, time);
	} else {
		put_idle(lane, request);
	}
}

/* Opening ------------------------------------------------------------------------------------------------------------ */

static bool place_open(struct lane *lane, struct place *place, struct spdk_nvme_ns *ns)
{
	const struct options *options = lane->options;
	uint32_t number = lane->worker->number;
	uint64_t sectors = spdk_nvme_ns_get_num_sectors(ns), share;

	place->ns = ns;
	place->sector_size = spdk_nvme_ns_get_sector_size(ns);
	if (place->sector_size == 0 || options->io_size % place->sector_size != 0) {
		complain(ENDED_USAGE, "requests of %u bytes do not fit sectors of %u, as namespace %u has them", options->io_size,
			 place->sector_size, spdk_nvme_ns_get_id(ns));
		return false;
	}
	if (spdk_nvme_ns_get_md_size(ns) != 0) {
		complain(ENDED_USAGE, "namespace %u has metadata, which this program does not transfer", spdk_nvme_ns_get_id(ns));
		return false;
	}
	place->io_blocks = options->io_size / place->sector_size;
	if (options->limit != 0 && options->limit / place->sector_size < sectors) {
		sectors = options->limit / place->sector_size;
	}
	place->io_count = sectors / place->io_blocks;
	if (place->io_count == 0) {
		complain(ENDED_USAGE, "namespace %u, or what is used of it, is smaller than one request", spdk_nvme_ns_get_id(ns));
		return false;
	}
	/* Each thread has a part of its own to verify; to go through in order, it has all, from the beginning of its part. */
	share = place->io_count / options->thread_count * place->io_blocks;
	if (options->pattern == PATTERN_VERIFY) {
		place->first = place->next = share * number;
		place->end = number + 1 == options->thread_count ? sectors : share * (number + 1);
	} else {
		place->next = share * number;
		place->end = sectors;
	}
	return true;
}

static enum ending places_open(struct lane *lane)
{
	struct spdk_nvme_ctrlr *ctrlr = lane->target->ctrlr;
	uint32_t nsid, count = 0;

	for (nsid = spdk_nvme_ctrlr_get_first_active_ns(ctrlr); nsid != 0; nsid = spdk_nvme_ctrlr_get_next_active_ns(ctrlr, nsid)) {
		count++;
	}
	if (count == 0) {
		return complain(ENDED_CONNECT, "a controller of %s has no active namespace", lane->target->trid->subnqn);
	}
	lane->places = calloc(count, sizeof(*lane->places));
	if (lane->places == NULL) {
		return complain(ENDED_MACHINE, "no memory for %u namespaces", count);
	}
	for (nsid = spdk_nvme_ctrlr_get_first_active_ns(ctrlr); nsid != 0 && lane->place_count < count;
	     nsid = spdk_nvme_ctrlr_get_next_active_ns(ctrlr, nsid)) {
		struct spdk_nvme_ns *ns = spdk_nvme_ctrlr_get_ns(ctrlr, nsid);

		if (ns == NULL || !spdk_nvme_ns_is_active(ns)) {
			continue; /* it went just now */
		}
		if (!place_open(lane, &lane->places[lane->place_count], ns)) {
			return ENDED_USAGE;
		}
		lane->place_count++;
	}
	if (lane->place_count == 0) {
		return complain(ENDED_CONNECT, "the namespaces of %s went away", lane->target->trid->subnqn);
	}
	return ENDED_WELL;
}

static enum ending qpairs_open(struct lane *lane)
{
	struct spdk_nvme_ctrlr *ctrlr = lane->target->ctrlr;
	const struct options *options = lane->options;
	struct spdk_nvme_io_qpair_opts opts;
	uint32_t index;

	spdk_nvme_ctrlr_get_default_io_qpair_opts(ctrlr, &opts, sizeof(opts));
	if (opts.io_queue_size <= options->depth) {
		/* A controller refuses more than it has; what does not fit then waits in the host. */
		uint32_t most = target_queue_requests(lane->target);

		opts.io_queue_size = (options->depth < most ? options->depth : most) + 1;
	}
	if (opts.io_queue_requests <= options->depth) {
		opts.io_queue_requests = options->depth + 1;
	}
	/* In a group: made first, added, then connected. */
	opts.create_only = true;
	for (index = 0; index < options->qpairs; index++) {
		struct spdk_nvme_qpair *qpair = spdk_nvme_ctrlr_alloc_io_qpair(ctrlr, &opts, sizeof(opts));
		int rc;

		if (qpair == NULL) {
			return complain(ENDED_CONNECT, "thread %u: qpair %u of %u was refused", lane->worker->number, index + 1,
					options->qpairs);
		}
		lane->qpairs[lane->qpair_count++] = qpair;
		rc = spdk_nvme_poll_group_add(lane->worker->group, qpair);
		if (rc == 0) {
			rc = spdk_nvme_ctrlr_connect_io_qpair(ctrlr, qpair);
		}
		if (rc != 0) {
			return complain(is_lack(-rc) ? ENDED_MACHINE : ENDED_CONNECT, "thread %u: qpair %u of %u did not connect: %s",
					lane->worker->number, index + 1, options->qpairs, strerror(abs(rc)));
		}
	}
	return ENDED_WELL;
}

static enum ending lane_open(struct lane *lane)
{
	const struct options *options = lane->options;
	size_t count = (size_t)options->depth * options->qpairs, index;
	enum ending ending;

	lane->random = 0x9e3779b97f4a7c15ull * (lane->worker->number + 1);
	lane->left = options->count != 0 ? options->count : UINT64_MAX;
	lane->generation = 1;
	ending = places_open(lane);
	if (ending != ENDED_WELL) {
		return ending;
	}
	lane->requests = calloc(count, sizeof(*lane->requests));
	lane->buffers = spdk_dma_zmalloc(count * options->io_size, 4096, NULL);
	if (lane->requests == NULL || lane->buffers == NULL) {
		return complain(ENDED_MACHINE, "no memory for %zu requests of %u bytes", count, options->io_size);
	}
	random_fill(lane->buffers, count * options->io_size, &lane->random);
	ending = qpairs_open(lane);
	if (ending != ENDED_WELL) {
		return ending;
	}
	for (index = 0; index < count; index++) {
		struct request *request = &lane->requests[index];

		request->lane = lane;
		request->qpair = lane->qpairs[index % lane->qpair_count];
		request->buffer = lane->buffers + index * options->io_size;
		put_idle(lane, request);
	}
	lane->submitting = true;
	lane->attention = true;
	return ENDED_WELL;
}

static enum ending worker_open(struct worker *worker)
{
	const struct options *options = worker->options;
	int core = options->cores[worker->number];
	uint32_t index;

	if (core >= 0) {
		cpu_set_t set;
		int rc;

		CPU_ZERO(&set);
		CPU_SET((size_t)core, &set);
		rc = pthread_setaffinity_np(pthread_self(), sizeof(set), &set);
		if (rc != 0) {
			return complain(ENDED_USAGE, "no thread on core %d: %s", core, strerror(rc));
		}
	}
	worker->group = spdk_nvme_poll_group_create(worker, NULL);
	worker->lanes = calloc(options->target_count, sizeof(*worker->lanes));
	if (worker->group == NULL || worker->lanes == NULL) {
		return complain(ENDED_MACHINE, "no memory for a thread's queues");
	}
	for (index = 0; index < options->target_count; index++) {
		struct lane *lane = &worker->lanes[index];
		enum ending ending;

		lane->worker = worker;
		lane->options = options;
		lane->target = &worker->run->targets[index];
		ending = lane_open(lane);
		if (ending != ENDED_WELL) {
			return ending;
		}
	}
	return ENDED_WELL;
}

/*
 * Gives back what the thread has. The qpairs go first: the callbacks of what they still have in flight come from inside the free, and the buffers
 * are the device's until then.
 */
static void worker_close(struct worker *worker)
{
	uint32_t index, number;
	int rc;

	worker->released = true;
	for (index = 0; worker->lanes != NULL && index < worker->options->target_count; index++) {
		struct lane *lane = &worker->lanes[index];

		lane->submitting = false;
		for (number = 0; number < lane->qpair_count; number++) {
			rc = spdk_nvme_ctrlr_free_io_qpair(lane->qpairs[number]);
			if (rc != 0) {
				complain(ENDED_BROKEN, "freeing a qpair: %s", strerror(abs(rc)));
				worker->released = false;
			}
		}
		/* Whoever still has a request might write to its buffer: better to leak it than to hand it out again. */
		if (lane_in_flight(lane) == 0) {
			spdk_dma_free(lane->buffers);
			free(lane->requests);
		}
	}
	if (worker->group != NULL) {
		rc = spdk_nvme_poll_group_destroy(worker->group);
		if (rc != 0) {
			complain(ENDED_BROKEN, "destroying a poll group: %s", strerror(abs(rc)));
			worker->released = false;
		}
	}
}

/* What is rare ------------------------------------------------------------------------------------------------------- */

static void submit_idle(struct lane *lane)
{
	struct request *request = lane->idle;

	/* Each once: one that the host does not take now is put back, and has to wait. */
	lane->idle = NULL;
	lane->attention = false;
	while (request != NULL) {
		struct request *next = request->next;

		if (lane->submitting && !lane->attention) {
			submit(lane, request, spdk_get_ticks());
		} else {
			put_idle(lane, request);
		}
		request = next;
	}
}

/* Whether no buffer is left that a verification has to do something with. */
static bool is_checked(const struct lane *lane)
{
	return lane->unchecked == NULL && lane->current == NULL;
}

/* The next piece of `current`'s buffer: compares what was read, or makes it ready for its next way. True at its end. */
static bool work_on_buffer(struct lane *lane, bool compare)
{
	struct request *request = lane->current;
	const struct place *place = request->place;
	uint32_t blocks = place->sector_size < PIECE_BYTES ? PIECE_BYTES / place->sector_size : 1;
	uint32_t left = request->blocks - request->worked, nsid = spdk_nvme_ns_get_id(place->ns);
	uint8_t *buffer = request->buffer + (size_t)request->worked * place->sector_size;
	uint64_t lba = request->lba + request->worked;

	blocks = blocks < left ? blocks : left;
	if (compare) {
		lane->mismatches += pattern_compare(buffer, nsid, lba, blocks, place->sector_size, lane->mismatches == 0);
	} else if (request->write) {
		pattern_fill(buffer, nsid, lba, blocks, place->sector_size);
	} else {
		/* What the read does not overwrite must not look like the pattern. */
		memset(buffer, 0, (size_t)blocks * place->sector_size);
	}
	request->worked += blocks;
	return request->worked == request->blocks;
}

/* One step of a verification, between two polls: what came back is compared before more is sent. Without effect while other patterns end. */
static void verify(struct lane *lane)
{
	lane->attention = false;
	if (lane->current == NULL) {
		if (lane->unchecked != NULL) {
			lane->current = pop(&lane->unchecked);
			lane->comparing = true;
		} else if (lane->submitting && lane->idle != NULL) {
			struct request *request = pop(&lane->idle);

			if (!next_of_verification(lane, request)) {
				out_of_work(lane, request);
				return;
			}
			lane->current = request;
			lane->comparing = false;
		} else {
			return;
		}
		lane->current->worked = 0;
	}
	/* One that the host had no room for is ready. */
	if (lane->current->worked < lane->current->blocks && !work_on_buffer(lane, lane->comparing)) {
		return;
	}
	if (lane->comparing || !lane->submitting) {
		put_idle(lane, lane->current);
		lane->current = NULL;
	} else if (send_to_host(lane, lane->current, spdk_get_ticks())) {
		lane->current = NULL;
	}
}

/* All was submitted, and all came back. */
static void lane_through(struct lane *lane)
{
	uint32_t index;

	if (lane->options->pattern != PATTERN_VERIFY || lane->reading_back || lane->given_up) {
		lane->state = LANE_ENDED;
		return;
	}
	for (index = 0; index < lane->place_count; index++) {
		lane->places[index].next = lane->places[index].first;
	}
	lane->turn = 0;
	lane->reading_back = true;
	lane->exhausted = false;
	lane->submitting = true;
}

/* One more qpair; in turns, since other lanes want to be polled in between. */
static void reconnect_next(struct lane *lane)
{
	int rc = spdk_nvme_ctrlr_reconnect_io_qpair(lane->qpairs[lane->reconnected]);

	if (rc == -EAGAIN && now() < lane->deadline) {
		return; /* its last connection may not have come to its end */
	}
	if (rc != 0) {
		target_lose(lane->target, lane->generation);
		lane->state = LANE_WAITING;
		return;
	}
	lane->deadline = now() + REST_SECONDS;
	if (++lane->reconnected == lane->qpair_count) {
		lane->lost = false;
		/* What was given up is to be done again. */
		lane->exhausted = lane->given_up;
		lane->submitting = !lane->exhausted;
		lane->state = LANE_RUNNING;
	}
}

/* Looks at a lane that wants attention. */
static void lane_step(struct lane *lane, bool stop)
{
	int target_state = atomic_load(&lane->target->state);
	unsigned generation;

	switch (lane->state) {
	case LANE_RUNNING:
		if (lane->lost) {
			lane->state = LANE_SETTLING;
			lane->deadline = now() + SETTLE_SECONDS;
		} else if (stop) {
			lane->submitting = false;
			lane->deadline = now() + DRAIN_SECONDS;
			lane->state = LANE_DRAINING;
		} else if (lane->exhausted) {
			verify(lane);
			if (lane_in_flight(lane) == 0 && is_checked(lane)) {
				lane_through(lane);
			}
		} else if (lane->options->pattern == PATTERN_VERIFY) {
			verify(lane);
		} else {
			submit_idle(lane);
		}
		break;
	case LANE_DRAINING:
		verify(lane);
		if ((lane_in_flight(lane) == 0 && is_checked(lane)) || now() >= lane->deadline) {
			lane->state = LANE_ENDED;
		}
		break;
	case LANE_SETTLING:
		verify(lane);
		if ((lane_in_flight(lane) == 0 && is_checked(lane)) || now() >= lane->deadline) {
			lane->state = lane->options->reconnect > 0 ? LANE_WAITING : LANE_ENDED;
		}
		break;
	case LANE_WAITING:
		generation = atomic_load(&lane->target->generation);
		if (stop || target_state == TARGET_GONE) {
			lane->state = LANE_ENDED;
		} else if (target_state == TARGET_LIVE && generation != lane->generation) {
			lane->generation = generation;
			lane->reconnected = 0;
			lane->deadline = now() + REST_SECONDS;
			lane->state = LANE_RECONNECTING;
		}
		break;
	case LANE_RECONNECTING:
		if (stop) {
			lane->state = LANE_ENDED;
		} else {
			reconnect_next(lane);
		}
		break;
	case LANE_ENDED:
		lane->attention = false;
		break;
	}
}

static void on_disconnected(struct spdk_nvme_qpair *qpair, void *context)
{
	struct worker *worker = context;
	uint32_t index, number;

	for (index = 0; index < worker->options->target_count; index++) {
		for (number = 0; number < worker->lanes[index].qpair_count; number++) {
			if (worker->lanes[index].qpairs[number] == qpair) {
				lane_lose(&worker->lanes[index]);
			}
		}
	}
}

/* A poll failed. Whose it was, the callback has said; should it not have been called, the qpairs say. */
static void find_the_lost(struct worker *worker)
{
	uint32_t index, number;

	for (index = 0; index < worker->options->target_count; index++) {
		struct lane *lane = &worker->lanes[index];

		for (number = 0; number < lane->qpair_count && !lane->lost; number++) {
			if (!spdk_nvme_qpair_is_connected(lane->qpairs[number])) {
				lane_lose(lane);
			}
		}
	}
}

static void worker_run(struct worker *worker)
{
	uint32_t count = worker->options->target_count, index, running = count;

	while (running != 0) {
		bool stop = atomic_load_explicit(&worker->run->stop, memory_order_relaxed);

		if (unlikely(spdk_nvme_poll_group_process_completions(worker->group, 0, on_disconnected) < 0)) {
			find_the_lost(worker);
		}
		running = 0;
		for (index = 0; index < count; index++) {
			struct lane *lane = &worker->lanes[index];

			if (unlikely(lane->attention || stop)) {
				lane_step(lane, stop);
				lane->attention = lane->attention || lane->lost || lane->exhausted || lane->idle != NULL || !is_checked(lane);
			}
			running += lane->state != LANE_ENDED;
		}
		atomic_store_explicit(&worker->completed, worker->done, memory_order_relaxed);
	}
}

static void *worker_main(void *argument)
{
	struct worker *worker = argument;

	struct run *run = worker->run;
	bool begun;

	worker->opened = worker_open(worker);
	pthread_mutex_lock(&run->gate);
	run->opened++;
	pthread_cond_broadcast(&run->changed);
	while (!run->let_go) {
		pthread_cond_wait(&run->changed, &run->gate);
	}
	begun = run->begun;
	pthread_mutex_unlock(&run->gate);
	if (begun) {
		worker_run(worker);
	}
	worker->ended_at = now();
	worker_close(worker);
	atomic_store(&worker->ended, true);
	return NULL;
}

/* For the main thread ------------------------------------------------------------------------------------------------ */

enum ending workers_open(struct run *run)
{
	const struct options *options = run->options;
	enum ending ending = ENDED_WELL;
	uint32_t index;

	run->workers = calloc(options->thread_count, sizeof(*run->workers));
	if (run->workers == NULL) {
		return complain(ENDED_MACHINE, "no memory for %u threads", options->thread_count);
	}
	for (index = 0; index < options->thread_count && ending == ENDED_WELL; index++) {
		struct worker *worker = &run->workers[index];
		int rc;

		worker->options = options;
		worker->run = run;
		worker->number = index;
		rc = pthread_create(&worker->thread, NULL, worker_main, worker);
		if (rc != 0) {
			ending = complain(ENDED_MACHINE, "no thread %u of %u: %s", index + 1, options->thread_count, strerror(rc));
		} else {
			run->started++;
		}
	}
	pthread_mutex_lock(&run->gate);
	while (run->opened < run->started) {
		pthread_cond_wait(&run->changed, &run->gate);
	}
	pthread_mutex_unlock(&run->gate);
	for (index = 0; index < run->started; index++) {
		if (ending == ENDED_WELL) {
			ending = run->workers[index].opened;
		}
	}
	return ending;
}

void workers_let_go(struct run *run, bool begin)
{
	pthread_mutex_lock(&run->gate);
	run->begun = begin;
	run->let_go = true;
	pthread_cond_broadcast(&run->changed);
	pthread_mutex_unlock(&run->gate);
}

uint64_t workers_completed(const struct run *run)
{
	uint64_t sum = 0;
	uint32_t index;

	for (index = 0; index < run->started; index++) {
		sum += atomic_load_explicit(&run->workers[index].completed, memory_order_relaxed);
	}
	return sum;
}

bool workers_ended(const struct run *run)
{
	uint32_t index;

	for (index = 0; index < run->started; index++) {
		if (!atomic_load(&run->workers[index].ended)) {
			return false;
		}
	}
	return true;
}

void workers_join(struct run *run)
{
	uint32_t index;

	for (index = 0; index < run->started; index++) {
		pthread_join(run->workers[index].thread, NULL);
	}
}

void workers_free(struct run *run)
{
	uint32_t index, number;

	for (index = 0; index < run->started; index++) {
		struct worker *worker = &run->workers[index];

		for (number = 0; worker->lanes != NULL && number < run->options->target_count; number++) {
			free(worker->lanes[number].places);
		}
		free(worker->lanes);
	}
	free(run->workers);
}

uint64_t workers_all_requests(const struct run *run)
{
	const struct options *options = run->options;
	uint64_t sum = 0;
	uint32_t index, number, place;

	if (options->pattern != PATTERN_VERIFY) {
		return options->count > UINT64_MAX / MAX_THREADS / MAX_TARGETS
			       ? 0
			       : options->count * options->thread_count * options->target_count;
	}
	for (index = 0; index < run->started; index++) {
		for (number = 0; number < options->target_count; number++) {
			const struct lane *lane = &run->workers[index].lanes[number];

			for (place = 0; place < lane->place_count; place++) {
				const struct place *part = &lane->places[place];

				sum += (part->end - part->first + part->io_blocks - 1) / part->io_blocks * 2;
			}
		}
	}
	return sum;
}
