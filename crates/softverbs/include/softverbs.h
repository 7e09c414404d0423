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

#ifdef __cplusplus
}
#endif

#endif
