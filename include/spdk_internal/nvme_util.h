/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * NVMe host: what example programs and tools share.
 */

#ifndef SPDK_INTERNAL_NVME_UTIL_H
#define SPDK_INTERNAL_NVME_UTIL_H

/* Generated from src/abi by cbindgen; NVME_RDMA_UPDATE_HEADERS=1 cargo build writes it anew. */

#include "spdk/nvme.h"

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * Prints how a transport id is given on the command line.
 *
 * What must hold:
 * f is an open stream. opts is a mask of enum spdk_nvme_trid_usage_opt.
 */
void spdk_nvme_transport_id_usage(FILE *f, uint32_t opts);

/**
 * Writes what a controller or a namespace is called into name: "RDMA (addr:192.0.2.1 subnqn:nqn...)", and " NSID 1" behind
 * that with ns, which may be NULL.
 *
 * As of snprintf(), what length bytes have no room for is left out, and the length of the whole is returned, without the
 * zero byte at its end. name may be NULL if length is 0. Returns -EINVAL for what is no controller or no namespace.
 *
 * What must hold:
 * length bytes can be written at name. Both are handles of one controller, which nobody else is detaching.
 */
int spdk_nvme_build_name(char *name,
                         size_t length,
                         struct spdk_nvme_ctrlr *ctrlr,
                         struct spdk_nvme_ns *ns);

/**
 * Reads a transport id and what goes with it from text.
 *
 * The text is that of a transport id; without trtype it is PCIe, and without subnqn the discovery subsystem. More keys, of
 * which the first counts if there are several: ns, from 1 to 65535, without which nsid stays as it is; hostnqn; hostaddr,
 * for fabrics alone; alt_traddr, the address of failover_trid, which is a copy of trid otherwise.
 *
 * Returns 0, or -EINVAL for an argument that is NULL, a text that is no transport id, or a value that is too long or not
 * allowed. What was read before the error may have been stored then.
 *
 * The struct does not carry its size, and was shorter before SPDK v26.05. So where this symbol has another definition in
 * the process, that one does it: it knows what the program was compiled with. Else the layout is that of these headers.
 *
 * What must hold:
 * trid_entry is NULL or points to an entry that can be read and written. str is NULL or a C string.
 */
int spdk_nvme_trid_entry_parse(struct spdk_nvme_trid_entry *trid_entry,
                               const char *str);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* SPDK_INTERNAL_NVME_UTIL_H */
