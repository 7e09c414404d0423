/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * A target: its controller, from the first connection to the last, and what has become of it.
 *
 * The main thread owns it: it alone polls the Admin Queue, brings the controller back and lets it go. What the threads under load have to know
 * is in `state` and `generation`, and what they have to say is target_lose(). A connection has a number, its generation: word that one was lost
 * counts once, however many threads bring it, and word of an older one does not count.
 */
#ifndef TARGET_H
#define TARGET_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "options.h"

/* The target may come to these in this order, and from AWAY back to LIVE. */
enum target_state {
	TARGET_LIVE,
	TARGET_AWAY, /* lost, and waited for */
	TARGET_GONE, /* lost for good */
};

struct target {
	const struct spdk_nvme_transport_id *trid;
	const struct options *options;
	struct spdk_nvme_ctrlr *ctrlr;
	/* What it said about itself when it was connected: a report comes after its end. Padded with spaces, and whatever a peer likes. */
	int8_t model[40];
	int8_t serial_number[20];
	uint8_t firmware[8];

	_Atomic int state;            /* enum target_state */
	_Atomic unsigned generation;  /* of the connection; from 1 */
	_Atomic unsigned lost;        /* the latest generation that is known to be lost */

	/* From here on the main thread's own. */
	FILE *out;
	double lost_at;
	double next_attempt;
	bool attempting;
	unsigned attempts; /* of the present outage */
	unsigned outages;
	double away; /* seconds of all outages */
};

/* Connects to the `index`th target of the options. How the program ends, after a message, if it cannot. Lines about its life go to `out`. */
enum ending target_connect(struct target *target, uint32_t index, const struct options *options, FILE *out);

/* Whether this errno of a connection is about what this machine lacks, whatever the target does. */
bool is_lack(int error);

/* Prints what the controller says about itself and its namespaces. */
void target_describe(const struct target *target);

/* How many requests its longest queue holds: one entry of a queue stays empty. */
uint32_t target_queue_requests(const struct target *target);

/* From any thread: the connection of that generation failed. */
void target_lose(struct target *target, unsigned generation);

/* Polls the Admin Queue, and does what there is to do about a target that was lost. Returns whether it wants to be called again soon. */
bool target_poll(struct target *target);

/* How many times a lost target was there again. */
unsigned target_returns(const struct target *target);

/* "subsystem at address port number", for messages. */
const char *target_name(const struct target *target);

/* Lets go of all of them together: those that are silent share one deadline. False, after a message, if one could not be. */
bool targets_detach(struct target *targets, uint32_t count);

#endif
