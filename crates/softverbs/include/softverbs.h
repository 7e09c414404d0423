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
 * Carries out commands, separated by ';' or newlines. Returns 0, or EINVAL at the first command that is wrong, with a line on stderr
 * that says why; those before it were carried out, and nothing of it was. May be called from any thread at any time.
 *
 * The README has them all. In short, where WHICH is 3, 2-4, 2-, always or 30%, and the next one if it is left out:
 *
 *   fail FUNCTION [WHICH] ERRNO [at N|first|middle|last]
 *   wc send|recv|any [qp N] [WHICH] late TIME|late N polls|never|after destroy|after send|recv|any [qp N]|
 *                                   status S|error S|set FIELD=VALUE..|payload OFFSET=HEX|repeat N
 *   cm EVENT [WHICH] drop|late TIME|repeat N|[as EVENT] [status S] [private HEX|none]
 *   cm reject [WHICH] REASON        cm inject EVENT [on WHOM] [status S] [private HEX] [times N]
 *   device remove|off|on            port down|up            async EVENT [qp N]
 *   device profile NAME=VALUE..|off
 *   peer silent|speaks [data|cm] [qp N]     peer dies [qp N]
 *   peer lies [qp N] [WHICH] drop|repeat N|kind K|seq +N|seq -N|word N|offset N|total N|garbage
 *   delay data|cm rx|tx TIME [JITTER]|off   purge on|off   timewait TIME   timeout cm TIME
 *   next qp_num N                   clock jump TIME         ledger          faults [off|quiet|loud]
 *   after TIME: COMMAND             at call FUNCTION|event EVENT|wc [send|recv] [WHICH]: COMMAND
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
