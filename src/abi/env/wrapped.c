/*
 * The way to SPDK's own functions in a program that is linked with both hosts, out of archives. It is linked into
 * libspdk_nvme_rdma_wrap.a alone (scripts/archive.sh), in which the entry points are called __wrap_NAME.
 *
 * The linker is told to --wrap each of them: what the program and SPDK's other libraries call NAME becomes __wrap_NAME, this
 * library's, and what is called __real_NAME here becomes SPDK's NAME. There is no dynamic linker that could be asked.
 *
 * What must hold: a name that SPDK's library does not have is NULL and no error of the linker, since its releases differ. So
 * these are weak; that SPDK's objects are taken out of their archives at all, is the program's and the response file's doing
 * (scripts/wrap-arguments.sh).
 */

#include <stddef.h>
#include <string.h>

/* WRAPPED(X): X(name) for each entry point, sorted; made of src/abi/entry_points.toml. */
#include "wrapped.h"

/* entry.rs has what it is for; linked.c's is weak. */
__attribute__((visibility("hidden"))) void *nvme_rdma_real(const char *name);

#define DECLARE(name) extern char __real_##name[] __attribute__((weak));
WRAPPED(DECLARE)

struct entry {
	const char *name;
	void *address;
};

void *
nvme_rdma_real(const char *name)
{
#define ENTRY(name) {#name, __real_##name},
	static const struct entry entries[] = {WRAPPED(ENTRY)};
	size_t i;

	/* Each name is asked for once. */
	for (i = 0; i < sizeof(entries) / sizeof(entries[0]); i++) {
		if (strcmp(entries[i].name, name) == 0) {
			return entries[i].address;
		}
	}
	return NULL;
}
