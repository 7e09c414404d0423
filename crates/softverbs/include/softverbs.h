/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What softverbs offers beside the functions of libibverbs and librdmacm. A program that also runs on real devices finds it with
 * dlsym(RTLD_DEFAULT, "softverbs_control").
 */
#ifndef SOFTVERBS_H
#define SOFTVERBS_H

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Carries out commands, separated by ';'; the README lists them. Returns 0, or EINVAL at the first command that is wrong, with a
 * line on stderr that says why. May be called from any thread at any time.
 */
int softverbs_control(const char *commands);

/*
 * How many objects are alive that the program made and did not destroy: contexts, protection domains, memory regions, completion
 * channels, completion queues, queue pairs, shared receive queues, event channels, identifiers, and connection management events
 * that were fetched and not acknowledged. softverbs_control("ledger") lists them on stderr.
 */
int softverbs_alive(void);

/* How often the program did what it must not do; there was a line on stderr each time. */
int softverbs_violations(void);

#ifdef __cplusplus
}
#endif

#endif
