/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * In SPDK this is the interface of the NVMe-oF target library, which is not here. Programs of the host include it for the
 * formats of the specification alone, which they get.
 */

#ifndef SPDK_NVMF_H
#define SPDK_NVMF_H

#include "spdk/stdinc.h"

#include "spdk/env.h"
#include "spdk/nvme.h"
#include "spdk/nvmf_spec.h"
#include "spdk/queue.h"
#include "spdk/uuid.h"

#endif /* SPDK_NVMF_H */
