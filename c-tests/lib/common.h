/* SPDX-License-Identifier: BSD-3-Clause */

/* What every C program here needs: start the environment, read numbers and transport ids, keep deadlines. */
#ifndef COMMON_H
#define COMMON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "spdk/nvme.h"

/* Exit statuses that all programs share. */
enum exit_status {
	EXIT_GOOD = 0,  /* did what it was asked to do */
	EXIT_WRONG = 1, /* bad usage, no connection, wrong data, or a fault of the host */
	EXIT_LOST = 2,  /* the target went away, and all ended as it should */
};

/* Starts the environment: memory and clock. Says what went wrong and returns false if it cannot. */
bool environment_start(const char *name);

/*
 * Reads a transport id such as "traddr:127.0.0.1 trsvcid:4420 subnqn:nqn.2016-06.io.spdk:cnode1". RDMA is understood
 * when no trtype is given, and the address family is that of the address. Says what is wrong and returns false if it
 * cannot be used.
 */
bool trid_read(struct spdk_nvme_transport_id *trid, const char *text);

/*
 * Connects to the controller at `trid`, with defaults but for two times. A target may be slow to answer Fabrics Connect when many
 * queues come at once, above all in an emulated machine, so it has FABRICS_CONNECT_SECONDS instead of half a second. And a test does not
 * poll the Admin Queue while it does other things, which under valgrind take longer than the usual Keep Alive Timeout of 10 s. NULL if
 * there is no controller; the library has said why.
 */
#define FABRICS_CONNECT_SECONDS 30
#define KEEP_ALIVE_SECONDS 600
struct spdk_nvme_ctrlr *connect_patiently(const struct spdk_nvme_transport_id *trid);

/*
 * The entries of a queue for so many commands at a time, one more than these, but no more than the controller has for a queue: it refuses
 * one that is larger. What does not fit then waits in the host.
 */
uint32_t queue_entries(struct spdk_nvme_ctrlr *ctrlr, uint32_t commands);

/*
 * The same as another host: its Host NQN and Host Identifier are made of the number, from 1. Two controllers at one transport id
 * need it, since the same host that connects again gets the controller that it has.
 */
struct spdk_nvme_ctrlr *connect_as_host(const struct spdk_nvme_transport_id *trid, unsigned host);

/* Reads a size with an optional K, M or G (powers of 1024). Returns false if it is none, or beyond `maximum`. */
bool size_read(const char *text, uint64_t maximum, uint64_t *size);

/* Seconds of the monotonic clock. */
double now(void);

/* A deadline `seconds` from now, and whether it has passed. */
double deadline_in(double seconds);
bool deadline_passed(double deadline);

/*
 * Ends the program with EXIT_WRONG and a message when `seconds` are over, wherever it hangs at that moment; 0 stops
 * it. Not a signal's death: a test that sees one knows that it was a crash.
 */
void watchdog(unsigned seconds);

/* A fast pseudo random sequence (xorshift); `state` must not be 0. */
uint64_t random_next(uint64_t *state);

/* `value` with a comma between each three digits, in one of a few static buffers, so several fit one printf. */
const char *digits(uint64_t value);

/* `bytes` as "64.0 MiB", the same way. */
const char *binary_size(double bytes);

#endif
