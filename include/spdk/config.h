/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * What the libraries were built with, as SPDK_CONFIG_* macros. Programs ask with #ifdef for parts of SPDK that are
 * optional; none of those is here, so nothing is defined.
 */

#ifndef SPDK_CONFIG_H
#define SPDK_CONFIG_H

#include "spdk/stdinc.h"

#endif /* SPDK_CONFIG_H */
