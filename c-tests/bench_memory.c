/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * How many bytes a qpair costs, of our own: what libspdk_nvme_rdma and libspdk_env_rdma ask malloc and mmap for. For scripts/bench.sh.
 *
 * This program's malloc and mmap come before libc's. A call from the text of one of the two libraries is entered into a table with what
 * it really takes (malloc's block with its header, mmap's pages), and whatever frees it takes it out again. What RDMA provider, target
 * and program take is not entered, nor what libc takes for itself while one of the two calls it.
 *
 * So a qpair is what the sum grows by, over QPAIRS of them, divided by these: tables that grow in steps are shared out. And so is a
 * controller with NAMESPACES namespaces, at which nobody has looked.
 */

#include <errno.h>
#include <inttypes.h>
#include <link.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "spdk/env.h"

#include "common.h"
#include "in_process.h"
#include "load.h"

#define QPAIRS 64u
#define QUEUE 128u
#define REQUESTS 256u
#define NAMESPACES 1000u

/* The table: open addressing, a power of two, many times what is ever in it. A place that was emptied does not end a search. */
#define PLACES (1u << 17)
#define EMPTIED 1u

static struct place {
	uintptr_t address;
	size_t bytes;
} g_places[PLACES];
static size_t g_bytes;
static uint64_t g_calls;
static bool g_overflowed;
static atomic_flag g_lock = ATOMIC_FLAG_INIT;

/* The text of the two libraries. Written once, before anything is measured. */
static struct text {
	uintptr_t begin, end;
} g_texts[8];
static unsigned g_text_count;

/* libc's own, under the names by which it lets others stand in for it. */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *block, size_t size);
void *__libc_memalign(size_t alignment, size_t size);
void __libc_free(void *block);

static bool is_ours(const void *caller)
{
	unsigned index;

	for (index = 0; index < g_text_count; index++) {
		if ((uintptr_t)caller >= g_texts[index].begin && (uintptr_t)caller < g_texts[index].end) {
			return true;
		}
	}
	return false;
}

static void lock(void)
{
	while (atomic_flag_test_and_set_explicit(&g_lock, memory_order_acquire)) {
	}
}

static void unlock(void)
{
	atomic_flag_clear_explicit(&g_lock, memory_order_release);
}

static size_t place_of(uintptr_t address)
{
	return (size_t)((uint64_t)address * 0x9e3779b97f4a7c15u >> 47) % PLACES;
}

static void enter(const void *caller, void *address, size_t bytes)
{
	size_t place, steps;

	if (address == NULL || address == MAP_FAILED || !is_ours(caller)) {
		return;
	}
	lock();
	place = place_of((uintptr_t)address);
	for (steps = 0; steps < PLACES && g_places[place].address > EMPTIED; steps++) {
		place = (place + 1) % PLACES;
	}
	if (steps == PLACES) {
		g_overflowed = true;
	} else {
		g_places[place].address = (uintptr_t)address;
		g_places[place].bytes = bytes;
		g_bytes += bytes;
		g_calls++;
	}
	unlock();
}

static void leave(const void *address)
{
	size_t place, steps;

	if (address == NULL || g_text_count == 0) {
		return;
	}
	lock();
	place = place_of((uintptr_t)address);
	for (steps = 0; steps < PLACES && g_places[place].address != 0; steps++) {
		if (g_places[place].address == (uintptr_t)address) {
			g_bytes -= g_places[place].bytes;
			g_places[place].address = EMPTIED;
			break;
		}
		place = (place + 1) % PLACES;
	}
	unlock();
}

/* A block with the size word that malloc puts before it. */
static void *block(const void *caller, void *address)
{
	if (address != NULL) {
		enter(caller, address, malloc_usable_size(address) + sizeof(size_t));
	}
	return address;
}

void *malloc(size_t size)
{
	return block(__builtin_return_address(0), __libc_malloc(size));
}

void *calloc(size_t count, size_t size)
{
	return block(__builtin_return_address(0), __libc_calloc(count, size));
}

void *realloc(void *old, size_t size)
{
	/* Out before, for another thread may get the same block in between. A failure, which keeps the block, is none of this program. */
	leave(old);
	return block(__builtin_return_address(0), __libc_realloc(old, size));
}

void *memalign(size_t alignment, size_t size)
{
	return block(__builtin_return_address(0), __libc_memalign(alignment, size));
}

void *aligned_alloc(size_t alignment, size_t size)
{
	return block(__builtin_return_address(0), __libc_memalign(alignment, size));
}

int posix_memalign(void **result, size_t alignment, size_t size)
{
	void *address = block(__builtin_return_address(0), __libc_memalign(alignment, size));

	if (address == NULL) {
		return ENOMEM;
	}
	*result = address;
	return 0;
}

void free(void *address)
{
	leave(address);
	__libc_free(address);
}

static void *mapping(const void *caller, void *wanted, size_t length, int protection, int flags, int fd, off_t offset)
{
	void *address = (void *)syscall(SYS_mmap, wanted, length, protection, flags, fd, offset);
	size_t page = (size_t)getpagesize();

	/* Addresses that are only reserved take no memory. */
	if (protection != PROT_NONE) {
		enter(caller, address, (length + page - 1) / page * page);
	}
	return address;
}

void *mmap(void *wanted, size_t length, int protection, int flags, int fd, off_t offset)
{
	return mapping(__builtin_return_address(0), wanted, length, protection, flags, fd, offset);
}

/* The same under the name that code for large files calls. */
void *mmap64(void *wanted, size_t length, int protection, int flags, int fd, off_t offset)
{
	return mapping(__builtin_return_address(0), wanted, length, protection, flags, fd, offset);
}

int munmap(void *address, size_t length)
{
	leave(address);
	return (int)syscall(SYS_munmap, address, length);
}

static int find_text(struct dl_phdr_info *library, size_t size, void *argument)
{
	unsigned index;

	(void)size;
	(void)argument;
	if (strstr(library->dlpi_name, "libspdk_nvme_rdma") == NULL && strstr(library->dlpi_name, "libspdk_env_rdma") == NULL) {
		return 0;
	}
	for (index = 0; index < library->dlpi_phnum && g_text_count < sizeof(g_texts) / sizeof(g_texts[0]); index++) {
		if (library->dlpi_phdr[index].p_type == PT_LOAD && (library->dlpi_phdr[index].p_flags & PF_X) != 0) {
			g_texts[g_text_count].begin = library->dlpi_addr + library->dlpi_phdr[index].p_vaddr;
			g_texts[g_text_count].end = g_texts[g_text_count].begin + library->dlpi_phdr[index].p_memsz;
			g_text_count++;
		}
	}
	return 0;
}

static void measure(struct session *session, const char *name, struct spdk_nvme_poll_group *group)
{
	struct shape shape = {.group = group, .queue_size = QUEUE, .requests = REQUESTS};
	struct spdk_nvme_qpair *qpairs[QPAIRS];
	size_t before = g_bytes, made, connected;
	uint64_t calls = g_calls;
	unsigned index;

	for (index = 0; index < QPAIRS; index++) {
		qpairs[index] = qpair_make(session, &shape);
	}
	made = g_bytes;
	for (index = 0; index < QPAIRS; index++) {
		if (bench_connect(session, qpairs[index]) != 0) {
			fprintf(stderr, "bench-memory: a qpair does not connect\n");
			exit(EXIT_WRONG);
		}
	}
	connected = g_bytes;
	calls = g_calls - calls;
	for (index = 0; index < QPAIRS; index++) {
		qpair_end(qpairs[index]);
	}
	if (g_overflowed || connected <= before) {
		fprintf(stderr, "bench-memory: the table is too small, or nothing was seen\n");
		exit(EXIT_WRONG);
	}
	printf("bytes/%s allocated %.0f\n", name, (double)(made - before) / QPAIRS);
	printf("bytes/%s connected %.0f\n", name, (double)(connected - before) / QPAIRS);
	printf("bytes/%s calls %.1f\n", name, (double)calls / QPAIRS);
	printf("bytes/%s kept %.0f\n", name, ((double)g_bytes - (double)before) / QPAIRS);
}

static void measure_namespaces(void)
{
	static const struct in_process_room room = {.more_namespaces = NAMESPACES - 1};
	struct spdk_nvme_transport_id trid;
	struct spdk_nvme_ctrlr *ctrlr;
	uint32_t nsid, found = 0;
	size_t before, connected;

	in_process_start_with("nqn.2016-06.io.spdk:namespaces", 512, &room, &trid);
	before = g_bytes;
	ctrlr = connect_patiently(&trid);
	connected = g_bytes;
	if (ctrlr == NULL || g_overflowed) {
		fprintf(stderr, "bench-memory: no controller, or the table is too small\n");
		exit(EXIT_WRONG);
	}
	for (nsid = spdk_nvme_ctrlr_get_first_active_ns(ctrlr); nsid != 0; nsid = spdk_nvme_ctrlr_get_next_active_ns(ctrlr, nsid)) {
		found++;
	}
	if (found != NAMESPACES || connected <= before) {
		fprintf(stderr, "bench-memory: %u namespaces, expected %u\n", found, NAMESPACES);
		exit(EXIT_WRONG);
	}
	printf("bytes/namespaces connected %zu\n", connected - before);
	spdk_nvme_detach(ctrlr);
	printf("bytes/namespaces kept %zu\n", g_bytes > before ? g_bytes - before : 0);
	in_process_stop();
}

int main(void)
{
	struct spdk_nvme_poll_group *group;
	struct session session;

	dl_iterate_phdr(find_text, NULL);
	if (g_text_count == 0) {
		fprintf(stderr, "bench-memory: the libraries are not found\n");
		return EXIT_WRONG;
	}
	bench_open(&session, "bench-memory", 1);
	/* What the first qpair leaves behind for all is no other one's. */
	qpair_end(qpair_make_connected(&session, &(struct shape){.queue_size = QUEUE, .requests = REQUESTS}));
	measure(&session, "alone", NULL);
	group = group_open();
	measure(&session, "group", group);
	spdk_nvme_poll_group_destroy(group);
	session_close(&session);
	in_process_stop();
	measure_namespaces();
	spdk_env_fini();
	return EXIT_GOOD;
}
