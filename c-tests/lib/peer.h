/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The target of a test, where the test has a hand in what becomes of it: it goes away and comes back, it is told to do things, and it is
 * asked what it saw. Of a target in this process that is done directly. For any other there are
 *
 *   PEER_CONTROL               the control socket of nvme-rdma-target, which answers
 *   PEER_ASKS, PEER_ANSWERS    two FIFOs to a script. It reads a line, does what that says, and writes a line when it is done; its first
 *                              word is "done", or the test ends with what it says. scripts/lib.sh and vm/scenarios/host.sh have such hands.
 *
 * Each may be missing, and then a test leaves out what it cannot do.
 */
#ifndef PEER_H
#define PEER_H

#include <stdbool.h>
#include <stdint.h>

/* After test_begin(). */
void peer_begin(bool in_process);
void peer_end(void);

/* Does it take commands of its control socket? */
bool peer_takes_commands(void);
/* Is there somebody who ends it and brings it back? */
bool peer_has_hand(void);

/* A command, with the form of printf(). When this returns it is done. */
void peer_tell(const char *form, ...) __attribute__((format(printf, 1, 2)));

/*
 * The target begins to go as if its machine lost power, with its connections; the program does other things meanwhile, until peer_wait().
 * Then another one takes its place, which is true if it has lost the data of the one before.
 */
void peer_go_down(void);
bool peer_up(void);

/* What the target did so far; of one that takes commands. */
struct peer_counts {
	unsigned connections;
	uint64_t keep_alives;
};
struct peer_counts peer_count(void);

/*
 * Has the hand do something, with the form of printf(). What may be asked depends on the hand: "down" and "up" end the target and bring it
 * back ("done empty" without its data), "expired" waits until the target ended an association since its host was not heard of. Returns what was said behind "done", until
 * the next call.
 */
const char *peer_ask(const char *form, ...) __attribute__((format(printf, 1, 2)));

/* The same in two steps: it is under way, and done when peer_wait() returns, which is nothing if nothing is under way. */
void peer_begin_to_ask(const char *form, ...) __attribute__((format(printf, 1, 2)));
const char *peer_wait(void);

#endif
