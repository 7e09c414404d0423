/*
 * The environment of a program that is linked with this library's code: a static archive's, or a Rust program's. The
 * linker found every symbol of it, or said which one it did not find, so there is nothing to look for.
 *
 * The shared library has definitions of the same names that look (loaded.c); they are not weak, so they are taken.
 */

#include <stdbool.h>
#include <stdint.h>

#pragma GCC visibility push(hidden)

/* Called by env.rs: the name of a symbol that the environment lacks, NULL if it is complete. */
const char *nvme_rdma_env_missing(void);

/* Called by log.rs: whether there is an spdk_log to be called. */
bool nvme_rdma_env_has_log(void);

/* Called by entry.rs: a number that grows when something more is loaded, and a definition of a symbol that is not the shared library's
 * and that dlsym's RTLD_NEXT did not find; NULL if there is none. A linker has no second definition. */
uint64_t nvme_rdma_loaded(void);
void *nvme_rdma_definition(const char *name);

/* Called by entry.rs: the definition that the program was linked with beside this library's, by the linker's --wrap. NULL here; wrapped.c
 * has the other answer. */
void *nvme_rdma_real(const char *name);

#pragma GCC visibility pop

__attribute__((weak)) uint64_t
nvme_rdma_loaded(void)
{
	return 1;
}

__attribute__((weak)) void *
nvme_rdma_definition(const char *name)
{
	(void)name;
	return (void *)0;
}

__attribute__((weak)) void *
nvme_rdma_real(const char *name)
{
	(void)name;
	return (void *)0;
}

__attribute__((weak)) const char *
nvme_rdma_env_missing(void)
{
	return (const char *)0;
}

__attribute__((weak)) bool
nvme_rdma_env_has_log(void)
{
	return true;
}
