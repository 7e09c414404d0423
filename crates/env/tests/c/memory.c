/* SPDX-License-Identifier: BSD-3-Clause */

/* Buffers, registered memory and memory maps, as a C program uses them. */

#include <errno.h>
#include <sys/mman.h>

#include "spdk/env.h"
#include "spdk/log.h"

#include "check.h"

#define MIB (1024UL * 1024UL)
#define FLAGS (SPDK_MALLOC_DMA | SPDK_MALLOC_SHARE)

static bool
all_bytes(const unsigned char *buffer, size_t size, unsigned char value)
{
	for (size_t i = 0; i < size; i++) {
		if (buffer[i] != value) {
			return false;
		}
	}
	return true;
}

static void
families(void)
{
	static const size_t aligns[] = { 0, 1, 8, 64, 512, 4096, 2 * MIB, 8 * MIB };
	uint64_t unused;
	unsigned char *a, *b;

	for (size_t i = 0; i < sizeof(aligns) / sizeof(aligns[0]); i++) {
		size_t align = aligns[i] != 0 ? aligns[i] : 1;

		a = spdk_malloc(5000, aligns[i], NULL, SPDK_ENV_NUMA_ID_ANY, SPDK_MALLOC_DMA);
		CHECK(a != NULL && (uintptr_t)a % align == 0 && (uintptr_t)a % 64 == 0);
		memset(a, 0xa5, 5000);
		spdk_free(a);
		/* The memory is used again, so this one has to be cleared. */
		b = spdk_zmalloc(5000, aligns[i], NULL, 0, SPDK_MALLOC_SHARE);
		CHECK(b != NULL && (uintptr_t)b % align == 0 && all_bytes(b, 5000, 0));
		spdk_free(b);
	}

	CHECK(spdk_malloc(0, 0, NULL, -1, FLAGS) == NULL);
	CHECK(spdk_malloc(16, 48, NULL, -1, FLAGS) == NULL);
	CHECK(spdk_malloc(16, 0, NULL, -1, 0) == NULL);
	CHECK(spdk_zmalloc(16, 0, NULL, -1, 0) == NULL);
	CHECK(spdk_malloc(16, 0, &unused, -1, FLAGS) == NULL);
	CHECK(spdk_zmalloc(16, 0, &unused, -1, FLAGS) == NULL);
	CHECK(spdk_dma_malloc(16, 0, &unused) == NULL);
	CHECK(spdk_dma_zmalloc(16, 0, &unused) == NULL);
	CHECK(spdk_dma_realloc(NULL, 16, 0, &unused) == NULL);

	a = spdk_dma_malloc(100, 0, NULL);
	b = spdk_dma_malloc_socket(100, 4096, NULL, 1);
	CHECK(a != NULL && b != NULL && (uintptr_t)b % 4096 == 0);
	spdk_dma_free(a);
	spdk_dma_free(b);
	a = spdk_dma_zmalloc(100, 0, NULL);
	b = spdk_dma_zmalloc_socket(100, 0, NULL, SPDK_ENV_SOCKET_ID_ANY);
	CHECK(a != NULL && b != NULL && all_bytes(a, 100, 0) && all_bytes(b, 100, 0));
	CHECK(a + 100 <= b || b + 100 <= a);
	spdk_dma_free(a);
	spdk_dma_free(b);
	spdk_free(NULL);
	spdk_dma_free(NULL);
}

static void
resizing(void)
{
	unsigned char *a = spdk_realloc(NULL, 1000, 0);

	CHECK(a != NULL);
	memset(a, 1, 1000);
	a = spdk_realloc(a, 100000, 4096);
	CHECK(a != NULL && (uintptr_t)a % 4096 == 0 && all_bytes(a, 1000, 1));
	memset(a, 2, 100000);
	a = spdk_realloc(a, 60000, 0);
	CHECK(a != NULL && all_bytes(a, 60000, 2));
	a = spdk_dma_realloc(a, 10, 64, NULL);
	CHECK(a != NULL && all_bytes(a, 10, 2));
	/* A failure leaves the buffer as it was. */
	CHECK(spdk_realloc(a, 1000, 3) == NULL && all_bytes(a, 10, 2));
	CHECK(spdk_realloc(a, SIZE_MAX - 100, 0) == NULL && all_bytes(a, 10, 2));
	CHECK(spdk_realloc(a, 0, 0) == NULL);
}

/* More than the options allow, and then as much as they do. */
static void
limits(void)
{
	void *a;

	CHECK(spdk_malloc(SIZE_MAX, 0, NULL, -1, FLAGS) == NULL);
	CHECK(spdk_malloc(SIZE_MAX - 4096, 4096, NULL, -1, FLAGS) == NULL);
	CHECK(spdk_malloc(SIZE_MAX / 2, SIZE_MAX / 2 + 1, NULL, -1, FLAGS) == NULL);
	CHECK(spdk_malloc(129 * MIB, 0, NULL, -1, FLAGS) == NULL);
	a = spdk_malloc(100 * MIB, 0, NULL, -1, FLAGS);
	CHECK(a != NULL);
	CHECK(spdk_malloc(100 * MIB, 0, NULL, -1, FLAGS) == NULL);
	spdk_free(a);
	a = spdk_malloc(100 * MIB, 0, NULL, -1, FLAGS);
	CHECK(a != NULL);
	spdk_free(a);
}

static void *
traffic(void *arg)
{
	unsigned int seed = (unsigned int)(uintptr_t)arg;
	unsigned char *held[32] = { NULL };
	size_t sizes[32] = { 0 };

	for (int turn = 0; turn < 2000; turn++) {
		size_t slot = (size_t)rand_r(&seed) % 32;

		if (held[slot] != NULL) {
			CHECK(all_bytes(held[slot], sizes[slot], (unsigned char)(slot + (uintptr_t)arg)));
			spdk_free(held[slot]);
			held[slot] = NULL;
		} else {
			sizes[slot] = 1 + (size_t)rand_r(&seed) % 9000;
			held[slot] = spdk_zmalloc(sizes[slot], 0, NULL, -1, FLAGS);
			CHECK(held[slot] != NULL && all_bytes(held[slot], sizes[slot], 0));
			memset(held[slot], (int)(slot + (uintptr_t)arg), sizes[slot]);
		}
	}
	for (size_t slot = 0; slot < 32; slot++) {
		spdk_free(held[slot]);
	}
	return NULL;
}

static void
several_threads(void)
{
	pthread_t threads[4];

	for (uintptr_t i = 0; i < 4; i++) {
		CHECK(pthread_create(&threads[i], NULL, traffic, (void *)(i * 50 + 1)) == 0);
	}
	for (size_t i = 0; i < 4; i++) {
		CHECK(pthread_join(threads[i], NULL) == 0);
	}
}

/* What a map was told. */
struct told {
	int registered;
	int unregistered;
	size_t bytes;
	void *last;
	void *refused;
	/* A region that it cannot let go. */
	void *kept;
	bool allocate;
};

static int
notify(void *ctx, struct spdk_mem_map *map, enum spdk_mem_map_notify_action action, void *vaddr, size_t size)
{
	struct told *told = ctx;

	CHECK((uintptr_t)vaddr % 4096 == 0 && size % 4096 == 0 && size > 0);
	if (action == SPDK_MEM_MAP_NOTIFY_UNREGISTER) {
		told->unregistered++;
		told->bytes -= size;
		int rc = spdk_mem_map_clear_translation(map, (uint64_t)vaddr, size);
		return vaddr == told->kept ? -EBUSY : rc;
	}
	CHECK(action == SPDK_MEM_MAP_NOTIFY_REGISTER);
	if (vaddr == told->refused) {
		return -EPERM;
	}
	told->registered++;
	told->bytes += size;
	told->last = vaddr;
	if (told->allocate) {
		/* Needs a region of its own, which this map hears about within this call. */
		told->allocate = false;
		void *buffer = spdk_malloc(20 * MIB, 0, NULL, -1, FLAGS);
		CHECK(buffer != NULL);
		CHECK(spdk_mem_map_translate(map, (uint64_t)buffer, NULL) == 1);
		spdk_free(buffer);
	}
	return spdk_mem_map_set_translation(map, (uint64_t)vaddr, size, 1);
}

static int
equal(uint64_t first, uint64_t second)
{
	return first == second;
}

static const struct spdk_mem_map_ops ops = { .notify_cb = notify, .are_contiguous = equal };

static void
maps_follow_buffers(void)
{
	struct told early = { 0 }, late = { 0 };
	struct spdk_mem_map *first, *second;
	void *small, *large;
	uint64_t size;

	small = spdk_malloc(4096, 4096, NULL, -1, FLAGS);
	first = spdk_mem_map_alloc(0, &ops, &early);
	CHECK(first != NULL && early.registered > 0);
	CHECK(spdk_mem_map_translate(first, (uint64_t)small, NULL) == 1);

	early.registered = 0;
	large = spdk_malloc(40 * MIB, 0, NULL, -1, FLAGS);
	CHECK(early.registered == 1);
	size = 40 * MIB;
	CHECK(spdk_mem_map_translate(first, (uint64_t)large, &size) == 1 && size == 40 * MIB);
	size = UINT64_MAX;
	CHECK(spdk_mem_map_translate(first, (uint64_t)large, &size) == 1 && size >= 40 * MIB && size < 1024 * MIB);

	second = spdk_mem_map_alloc(0, &ops, &late);
	CHECK(second != NULL && late.bytes == early.bytes && late.last != NULL);
	spdk_mem_map_free(&second);
	CHECK(second == NULL && late.bytes == 0 && late.registered == late.unregistered);
	CHECK(early.unregistered == 0);

	early.allocate = true;
	void *huge = spdk_malloc(30 * MIB, 0, NULL, -1, FLAGS);
	CHECK(huge != NULL && !early.allocate);
	spdk_free(huge);
	spdk_free(large);
	spdk_free(small);
	spdk_mem_map_free(&first);
	CHECK(early.bytes == 0);
	spdk_mem_map_free(&first);
	spdk_mem_map_free(NULL);
}

static void
registering(void)
{
	struct told told = { 0 };
	struct spdk_mem_map *map = spdk_mem_map_alloc(0, &ops, &told);
	char *area = mmap(NULL, 16 * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	size_t before = told.bytes;
	uint64_t size;

	CHECK(map != NULL && area != MAP_FAILED);
	area = (char *)(((uintptr_t)area + 2 * MIB - 1) & ~(2 * MIB - 1));

	CHECK(spdk_mem_register(area + 1, 2 * MIB) == -EINVAL);
	CHECK(spdk_mem_register(area, 2 * MIB + 1) == -EINVAL);
	CHECK(spdk_mem_register((void *)(1UL << 48), 2 * MIB) == -EINVAL);
	CHECK(spdk_mem_register((void *)(UINTPTR_MAX - 4095), 8192) == -EINVAL);
	CHECK(spdk_mem_register(area, 0) == 0 && told.bytes == before);

	CHECK(spdk_mem_reserve(area, 8 * MIB) == 0);
	CHECK(spdk_mem_map_translate(map, (uint64_t)area, NULL) == 0);
	CHECK(spdk_mem_register(area, 4 * MIB) == 0);
	CHECK(told.bytes == before + 4 * MIB && told.last == area);
	CHECK(spdk_mem_register(area + 4 * MIB, 4096) == 0);
	CHECK(spdk_mem_register(area + 4 * MIB + 4096, 2 * MIB) == 0);
	CHECK(told.bytes == before + 6 * MIB + 4096);

	/* Overlaps of every kind. */
	CHECK(spdk_mem_register(area, 4096) == -EBUSY);
	CHECK(spdk_mem_register(area + 2 * MIB, 4 * MIB) == -EBUSY);
	CHECK(spdk_mem_register(area, 10 * MIB) == -EBUSY);
	CHECK(spdk_mem_reserve(area + 4 * MIB, 2 * MIB) == -EBUSY);

	/* One range as far as the translations tell, but not for unregistering. */
	size = 8 * MIB;
	CHECK(spdk_mem_map_translate(map, (uint64_t)area, &size) == 1 && size == 6 * MIB + 4096);
	size = 100;
	CHECK(spdk_mem_map_translate(map, (uint64_t)area + 5, &size) == 1 && size == 100);
	CHECK(spdk_mem_unregister(area, 2 * MIB) == -ERANGE);
	CHECK(spdk_mem_unregister(area + 2 * MIB, 2 * MIB) == -ERANGE);
	CHECK(spdk_mem_unregister(area, 4 * MIB + 8192) == -ERANGE);
	CHECK(spdk_mem_unregister(area, 8 * MIB) == -EINVAL);
	CHECK(spdk_mem_unregister(area + 8 * MIB, 2 * MIB) == -EINVAL);
	CHECK(told.bytes == before + 6 * MIB + 4096 && told.unregistered == 0);

	size = 8 * MIB;
	CHECK(spdk_vtophys(area + 4096, &size) == (uintptr_t)area + 4096 && size == 4 * MIB - 4096);
	CHECK(spdk_vtophys(area + 8 * MIB, NULL) == SPDK_VTOPHYS_ERROR);

	/* Two regions at once are two notifications. */
	CHECK(spdk_mem_unregister(area, 4 * MIB + 4096) == 0);
	CHECK(told.unregistered == 2 && told.bytes == before + 2 * MIB);
	CHECK(spdk_mem_map_translate(map, (uint64_t)area, NULL) == 0);
	CHECK(spdk_mem_map_translate(map, (uint64_t)area + 4 * MIB, NULL) == 0);
	CHECK(spdk_mem_map_translate(map, (uint64_t)area + 4 * MIB + 4096, NULL) == 1);
	CHECK(spdk_mem_unregister(area + 4 * MIB + 4096, 2 * MIB) == 0);
	CHECK(spdk_mem_unregister(area, 4 * MIB) == -EINVAL);

	/* A map that refuses a region is not made, and is told that the others are gone. */
	struct told refusing = { .refused = area };
	CHECK(spdk_mem_register(area, 2 * MIB) == 0);
	CHECK(spdk_mem_map_alloc(0, &ops, &refusing) == NULL);
	CHECK(refusing.registered == refusing.unregistered && refusing.bytes == 0);
	CHECK(spdk_mem_unregister(area, 2 * MIB) == 0);
	CHECK(refusing.registered == refusing.unregistered);

	spdk_mem_map_free(&map);
}

/* A map that cannot let memory go: the caller hears of it, and buffers in it are never handed out again. */
static void
memory_that_is_kept(void)
{
	struct told keeping = { 0 }, other = { 0 };
	struct spdk_mem_map *first = spdk_mem_map_alloc(0, &ops, &other);
	struct spdk_mem_map *second = spdk_mem_map_alloc(0, &ops, &keeping);
	char *area = mmap(NULL, 4 * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	unsigned char there;

	CHECK(first != NULL && second != NULL && area != MAP_FAILED);
	area = (char *)(((uintptr_t)area + 2 * MIB - 1) & ~(2 * MIB - 1));
	CHECK(spdk_mem_register(area, 2 * MIB) == 0);
	keeping.kept = area;
	CHECK(spdk_mem_unregister(area, 2 * MIB) == -EBUSY);
	CHECK(keeping.unregistered == 1 && other.unregistered == 1);
	CHECK(spdk_mem_unregister(area, 2 * MIB) == -EINVAL);
	CHECK(spdk_mem_map_translate(second, (uint64_t)area, NULL) == 0);

	/* Too large to be kept for later, so it goes back at once. */
	char *buffer = spdk_malloc(66 * MIB, 0, NULL, -1, FLAGS);
	CHECK(buffer != NULL);
	keeping.kept = buffer;
	fprintf(stderr, "expect 1 errors\n");
	spdk_free(buffer);
	fprintf(stderr, "end of errors\n");
	CHECK(mincore(buffer, 4096, &there) == 0);
	CHECK(spdk_vtophys(buffer, NULL) == SPDK_VTOPHYS_ERROR);

	keeping.kept = NULL;
	buffer = spdk_malloc(66 * MIB, 0, NULL, -1, FLAGS);
	CHECK(buffer != NULL);
	spdk_free(buffer);
	CHECK(mincore(buffer, 4096, &there) == -1 && errno == ENOMEM);
	spdk_mem_map_free(&second);
	spdk_mem_map_free(&first);
}

static void
maps_without_functions(void)
{
	struct spdk_mem_map *map = spdk_mem_map_alloc(42, NULL, NULL);
	uint64_t size = 100 * MIB;

	CHECK(map != NULL);
	CHECK(spdk_mem_map_translate(map, 5 * MIB, &size) == 42 && size == MIB);
	CHECK(spdk_mem_map_set_translation(map, 2 * MIB, 4 * MIB, 7) == 0);
	size = 100 * MIB;
	CHECK(spdk_mem_map_translate(map, 3 * MIB, &size) == 7 && size == MIB);
	CHECK(spdk_mem_map_clear_translation(map, 2 * MIB, 2 * MIB) == 0);
	CHECK(spdk_mem_map_translate(map, 3 * MIB, NULL) == 42);
	CHECK(spdk_mem_map_translate(map, 4 * MIB, NULL) == 7);
	CHECK(spdk_mem_map_set_translation(map, 1, 4096, 7) == -EINVAL);
	CHECK(spdk_mem_map_set_translation(map, 4096, 1, 7) == -EINVAL);
	CHECK(spdk_mem_map_set_translation(map, 1UL << 48, 4096, 7) == -EINVAL);
	CHECK(spdk_mem_map_set_translation(map, UINT64_MAX - 4095, 4096, 7) == -EINVAL);
	CHECK(spdk_mem_map_translate(map, UINT64_MAX, NULL) == 42);
	spdk_mem_map_free(&map);
}

/* Pointers that are no buffers: a log line each, and nothing else happens. */
static void
foreign_pointers(void)
{
	char on_the_stack[64];
	char *buffer = spdk_malloc(256, 0, NULL, -1, FLAGS);

	fprintf(stderr, "expect 6 errors\n");
	spdk_free(on_the_stack);
	spdk_free((void *)8);
	spdk_free(buffer + 64);
	CHECK(spdk_realloc(buffer + 64, 10, 0) == NULL);
	spdk_free(buffer);
	spdk_free(buffer);
	spdk_dma_free((void *)UINTPTR_MAX);
	fprintf(stderr, "end of errors\n");
}

int
main(void)
{
	struct spdk_env_opts opts;

	opts.opts_size = sizeof(opts);
	spdk_env_opts_init(&opts);
	opts.name = "memory";
	opts.mem_size = 128;
	CHECK(spdk_env_init(&opts) == 0);

	families();
	resizing();
	several_threads();
	maps_follow_buffers();
	registering();
	memory_that_is_kept();
	maps_without_functions();
	foreign_pointers();
	limits();

	/* Whatever was registered for buffers goes with the environment. */
	struct told told = { 0 };
	struct spdk_mem_map *map = spdk_mem_map_alloc(0, &ops, &told);
	CHECK(map != NULL);
	spdk_env_fini();
	CHECK(told.bytes == 0);
	spdk_mem_map_free(&map);

	/* And it can be started again. */
	fprintf(stderr, "expect 1 errors\n");
	CHECK(spdk_env_init(&opts) == -EINVAL);
	fprintf(stderr, "end of errors\n");
	CHECK(spdk_env_init(NULL) == 0);
	void *buffer = spdk_zmalloc(4096, 0, NULL, -1, FLAGS);
	CHECK(buffer != NULL);
	spdk_free(buffer);
	spdk_env_fini();
	printf("ok\n");
	return 0;
}
