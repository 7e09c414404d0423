/* SPDX-License-Identifier: BSD-3-Clause */

/* Start, time, cores, zones, pools, rings, PCI addresses, VMD. */

#include "spdk/env.h"
#include "spdk/vmd.h"

#include "check.h"

static void
options(void)
{
	struct {
		struct spdk_env_opts opts;
		unsigned char behind[64];
	} area;
	struct spdk_env_opts *opts = &area.opts;

	memset(&area, 0x5a, sizeof(area));
	opts->opts_size = sizeof(*opts);
	spdk_env_opts_init(opts);
	CHECK(opts->opts_size == sizeof(*opts) && strcmp(opts->name, "spdk") == 0);
	CHECK(strcmp(opts->core_mask, "0x1") == 0 && opts->lcore_map == NULL && opts->shm_id == -1);
	CHECK(opts->mem_channel == -1 && opts->main_core == -1 && opts->mem_size == -1 && !opts->no_pci);
	CHECK(opts->base_virtaddr == 0x200000000000 && opts->pci_allowed == NULL && opts->vf_token == NULL);
	CHECK(!opts->enforce_numa && area.behind[0] == 0x5a);

	/* A program that knows less of the struct, and one that knows more. */
	memset(&area, 0x5a, sizeof(area));
	opts->opts_size = offsetof(struct spdk_env_opts, enforce_numa);
	spdk_env_opts_init(opts);
	CHECK(opts->shm_id == -1 && ((unsigned char *)&opts->enforce_numa)[0] == 0x5a);
	memset(&area, 0x5a, sizeof(area));
	opts->opts_size = sizeof(area);
	spdk_env_opts_init(opts);
	CHECK(!opts->enforce_numa && opts->opts_size == sizeof(area) && area.behind[0] == 0x5a);
	spdk_env_opts_init(NULL);

	CHECK(spdk_env_get_core_count() == 1 && spdk_env_get_current_core() == SPDK_ENV_LCORE_ID_ANY);
	fprintf(stderr, "expect 4 errors\n");
	CHECK(spdk_env_init(NULL) == -EINVAL);
	opts->core_mask = "0xq";
	CHECK(spdk_env_init(opts) == -EINVAL);
	opts->core_mask = "0x6";
	opts->main_core = 0;
	CHECK(spdk_env_init(opts) == -EINVAL);
	opts->main_core = 2;
	CHECK(spdk_env_init(opts) == 0);
	CHECK(spdk_env_init(opts) == -EINVAL);
	fprintf(stderr, "end of errors\n");
	CHECK(spdk_process_is_primary() && !spdk_iommu_is_enabled());
}

static uint64_t
clock_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* The ticks, and what the clock said before and after they were read: however long this thread did not run meanwhile, they
 * belong to a time between these two. */
struct reading {
	uint64_t before, ticks, after;
};

/* A reading that says much, the two times being near each other. On a busy machine that takes some tries; if there is none for
 * a long time the last one has to do, which is no less true. */
static struct reading
read_ticks(void)
{
	uint64_t deadline = clock_ns() + 5000000000;
	struct reading reading;

	do {
		reading.before = clock_ns();
		reading.ticks = spdk_get_ticks();
		reading.after = clock_ns();
	} while (reading.after - reading.before > 100000 && reading.after < deadline);
	return reading;
}

/* The rate can only be seen over a time, here at least 50 ms, in which this thread waits for the clock. That is to 0.5 %. */
static void
a_second_of_ticks_is_a_second(void)
{
	struct reading from = read_ticks(), to;
	double seconds;

	while (clock_ns() < from.after + 50000000) {
		spdk_pause();
	}
	to = read_ticks();
	seconds = (double)(to.ticks - from.ticks) / (double)spdk_get_ticks_hz();
	CHECK(seconds > (double)(to.before - from.after) / 1e9 * 0.995);
	CHECK(seconds < (double)(to.after - from.before) / 1e9 * 1.005);
}

static void
ticks(void)
{
	uint64_t hz = spdk_get_ticks_hz(), last = spdk_get_ticks(), start, elapsed;

	CHECK(hz >= 1000000 && spdk_get_ticks_hz() == hz);
	for (int i = 0; i < 100000; i++) {
		uint64_t now = spdk_get_ticks();

		CHECK(now >= last);
		last = now;
	}
	start = spdk_get_ticks();
	spdk_delay_us(2000);
	elapsed = spdk_get_ticks() - start;
	CHECK(elapsed >= hz / 500 - hz / 50000);

	a_second_of_ticks_is_a_second();
	spdk_pause();
}

static volatile uint32_t g_core;
static volatile int g_release;

static int
on_core(void *arg)
{
	CHECK(arg == &g_core);
	g_core = spdk_env_get_current_core();
	while (!__atomic_load_n(&g_release, __ATOMIC_ACQUIRE)) {
		usleep(1000);
	}
	return 0;
}

static void *
elsewhere(void *arg)
{
	CHECK(spdk_env_get_current_core() == SPDK_ENV_LCORE_ID_ANY);
	return arg;
}

static void *
return_argument(void *arg)
{
	return arg;
}

static void
cores(void)
{
	pthread_t thread;
	uint32_t core, count = 0;
	int32_t node, nodes = 0;
	cpu_set_t before, after;

	CHECK(spdk_env_get_core_count() == 2 && spdk_env_get_main_core() == 2);
	CHECK(spdk_env_get_first_core() == 1 && spdk_env_get_last_core() == 2);
	CHECK(spdk_env_get_next_core(1) == 2 && spdk_env_get_next_core(2) == UINT32_MAX);
	CHECK(spdk_env_get_next_core(UINT32_MAX) == UINT32_MAX && spdk_env_get_current_core() == 2);
	SPDK_ENV_FOREACH_CORE(core) {
		CHECK(spdk_env_get_numa_id(core) == 0);
		count++;
	}
	SPDK_ENV_FOREACH_NUMA_ID(node) {
		nodes++;
	}
	CHECK(count == 2 && nodes == 1 && spdk_env_get_last_numa_id() == 0);

	CHECK(pthread_create(&thread, NULL, elsewhere, NULL) == 0 && pthread_join(thread, NULL) == 0);
	CHECK(spdk_env_thread_launch_pinned(7, on_core, NULL) == -EINVAL);
	CHECK(spdk_env_thread_launch_pinned(2, on_core, NULL) == -EINVAL);
	CHECK(spdk_env_thread_launch_pinned(1, NULL, NULL) == -EINVAL);
	CHECK(spdk_env_thread_launch_pinned(1, on_core, (void *)&g_core) == 0);
	CHECK(spdk_env_thread_launch_pinned(1, on_core, (void *)&g_core) == -EBUSY);
	__atomic_store_n(&g_release, 1, __ATOMIC_RELEASE);
	spdk_env_thread_wait_all();
	CHECK(g_core == 1);
	CHECK(spdk_env_thread_launch_pinned(1, on_core, (void *)&g_core) == 0);
	spdk_env_thread_wait_all();
	spdk_env_thread_wait_all();

	CHECK(sched_getaffinity(0, sizeof(before), &before) == 0);
	CHECK(spdk_call_unaffinitized(return_argument, &before) == &before);
	CHECK(spdk_call_unaffinitized(NULL, NULL) == NULL);
	CHECK(sched_getaffinity(0, sizeof(after), &after) == 0 && CPU_EQUAL(&before, &after));
	CHECK(spdk_get_tid() == getpid());
	spdk_unaffinitize_thread();
}

static void
zones(void)
{
	unsigned char *zone = spdk_memzone_reserve("zone", 10000, SPDK_ENV_NUMA_ID_ANY, 0);
	char *dump;
	size_t size;
	FILE *stream = open_memstream(&dump, &size);

	CHECK(zone != NULL && zone[0] == 0 && zone[9999] == 0 && spdk_memzone_lookup("zone") == zone);
	CHECK(spdk_memzone_reserve("zone", 10, -1, 0) == NULL && spdk_memzone_lookup("other") == NULL);
	CHECK(spdk_memzone_reserve("0123456789012345678901234567890!", 10, -1, 0) == NULL);
	CHECK(spdk_memzone_reserve_aligned("bad", 10, -1, 0, 3) == NULL);
	CHECK((uintptr_t)spdk_memzone_reserve_aligned("aligned", 10, -1, SPDK_MEMZONE_NO_IOVA_CONTIG, 8192) % 8192 == 0);
	CHECK(stream != NULL);
	spdk_memzone_dump(stream);
	CHECK(fclose(stream) == 0 && strstr(dump, "zone: 0x") != NULL && strstr(dump, "10000 bytes") != NULL);
	free(dump);
	CHECK(spdk_memzone_free("zone") == 0 && spdk_memzone_free("zone") == -1);
	CHECK(spdk_memzone_free("aligned") == 0);
}

static void
number(struct spdk_mempool *pool, void *opaque, void *object, unsigned index)
{
	CHECK(pool != NULL && opaque == &g_core);
	*(unsigned *)object = index;
}

static void
one_chunk(struct spdk_mempool *pool, void *opaque, void *addr, uint64_t iova, size_t len, unsigned index)
{
	CHECK(pool != NULL && opaque == &g_core && (uintptr_t)addr == iova && len >= 1000 && index == 0);
}

static void
pools(void)
{
	struct spdk_mempool *pool;
	void *elements[10], *more[10];

	pool = spdk_mempool_create_ctor("pool", 10, 100, SPDK_MEMPOOL_DEFAULT_CACHE_SIZE, -1, number, (void *)&g_core);
	CHECK(pool != NULL && strcmp(spdk_mempool_get_name(pool), "pool") == 0 && spdk_mempool_lookup("pool") == pool);
	CHECK(spdk_mempool_create("pool", 1, 1, 0, -1) == NULL && spdk_mempool_lookup("other") == NULL);
	CHECK(spdk_mempool_create("huge", SIZE_MAX / 64, 64, 0, -1) == NULL);
	CHECK(spdk_mempool_count(pool) == 10);
	CHECK(spdk_mempool_obj_iter(pool, number, (void *)&g_core) == 10);
	CHECK(spdk_mempool_mem_iter(pool, one_chunk, (void *)&g_core) == 1);
	elements[0] = spdk_mempool_get(pool);
	CHECK(elements[0] != NULL && *(unsigned *)elements[0] == 0);
	CHECK(spdk_mempool_get_bulk(pool, elements + 1, 10) == -ENOBUFS && spdk_mempool_count(pool) == 9);
	CHECK(spdk_mempool_get_bulk(pool, elements + 1, 9) == 0 && spdk_mempool_get(pool) == NULL);
	for (int i = 0; i < 10; i++) {
		CHECK((uintptr_t)elements[i] % 64 == 0);
		memset(elements[i], i, 100);
	}
	fprintf(stderr, "expect 2 errors\n");
	spdk_mempool_put(pool, (char *)elements[0] + 1);
	spdk_mempool_put_bulk(pool, elements, 10);
	spdk_mempool_put(pool, elements[0]);
	fprintf(stderr, "end of errors\n");
	CHECK(spdk_mempool_count(pool) == 10 && spdk_mempool_get_bulk(pool, more, 10) == 0);
	spdk_mempool_put_bulk(pool, more, 10);
	spdk_mempool_free(pool);
	CHECK(spdk_mempool_lookup("pool") == NULL);
	spdk_mempool_free(NULL);
}

static void
rings(void)
{
	struct spdk_ring *ring = spdk_ring_create(SPDK_RING_TYPE_MP_SC, 4, SPDK_ENV_NUMA_ID_ANY);
	void *in[5], *out[5] = { NULL };
	size_t space = 99;

	for (uintptr_t i = 0; i < 5; i++) {
		in[i] = (void *)(i + 1);
	}
	CHECK(ring != NULL && spdk_ring_count(ring) == 0);
	CHECK(spdk_ring_enqueue(ring, in, 5, &space) == 0 && space == 4);
	CHECK(spdk_ring_enqueue(ring, in, 3, &space) == 3 && space == 1 && spdk_ring_count(ring) == 3);
	CHECK(spdk_ring_dequeue(ring, out, 2) == 2 && out[0] == in[0] && out[1] == in[1]);
	CHECK(spdk_ring_enqueue(ring, in + 3, 2, NULL) == 2);
	CHECK(spdk_ring_dequeue(ring, out, 5) == 3 && out[0] == in[2] && out[2] == in[4]);
	CHECK(spdk_ring_dequeue(ring, out, 5) == 0);
	spdk_ring_free(ring);
	spdk_ring_free(NULL);
	CHECK(spdk_ring_create((enum spdk_ring_type)3, 4, -1) == NULL);
	CHECK(spdk_ring_create(SPDK_RING_TYPE_SP_SC, 0, -1) == NULL);
	CHECK(spdk_ring_create(SPDK_RING_TYPE_SP_SC, SIZE_MAX, -1) == NULL);
}

static void
pci(void)
{
	struct spdk_pci_addr addr, other;
	struct spdk_pci_device device = {
		.addr = { .domain = 1, .bus = 2, .dev = 3, .func = 4 },
		.id = { .class_id = SPDK_PCI_CLASS_NVME, .vendor_id = 5, .device_id = 6, .subvendor_id = 7, .subdevice_id = 8 },
		.numa_id = 9,
		.type = "own",
	};
	char text[14];

	CHECK(spdk_pci_addr_parse(&addr, "0001:02:03.4") == 0 && spdk_pci_addr_parse(&addr, "nonsense") == -EINVAL);
	CHECK(addr.domain == 1 && addr.bus == 2 && addr.dev == 3 && addr.func == 4);
	CHECK(spdk_pci_addr_parse(NULL, "0:0") == -EINVAL && spdk_pci_addr_parse(&addr, NULL) == -EINVAL);
	CHECK(spdk_pci_addr_fmt(text, sizeof(text), &addr) == 0 && strcmp(text, "0001:02:03.4") == 0);
	CHECK(spdk_pci_addr_fmt(text, 12, &addr) == -1);
	other = addr;
	CHECK(spdk_pci_addr_compare(&addr, &other) == 0);
	other.func++;
	CHECK(spdk_pci_addr_compare(&addr, &other) < 0 && spdk_pci_addr_compare(&other, &addr) > 0);
	addr.domain++;
	CHECK(spdk_pci_addr_compare(&addr, &other) > 0);

	addr = spdk_pci_device_get_addr(&device);
	CHECK(addr.domain == 1 && addr.func == 4 && spdk_pci_device_get_domain(&device) == 1);
	CHECK(spdk_pci_device_get_bus(&device) == 2 && spdk_pci_device_get_dev(&device) == 3);
	CHECK(spdk_pci_device_get_func(&device) == 4 && spdk_pci_device_get_vendor_id(&device) == 5);
	CHECK(spdk_pci_device_get_device_id(&device) == 6 && spdk_pci_device_get_subvendor_id(&device) == 7);
	CHECK(spdk_pci_device_get_subdevice_id(&device) == 8 && spdk_pci_device_get_numa_id(&device) == 9);
	CHECK(spdk_pci_device_get_id(&device).class_id == SPDK_PCI_CLASS_NVME);
	CHECK(strcmp(spdk_pci_device_get_type(&device), "own") == 0);

	CHECK(spdk_pci_nvme_get_driver() == NULL && spdk_pci_get_driver("nvme") == NULL);
	CHECK(spdk_pci_enumerate(NULL, NULL, NULL) == 0 && spdk_pci_device_attach(NULL, NULL, NULL, &addr) == -1);
	CHECK(spdk_pci_device_claim(&device) == -ENODEV && spdk_pci_event_listen() == -ENOTSUP);
	CHECK(spdk_vmd_init() == 0 && spdk_vmd_pci_device_list(addr, &device) == 0 && spdk_vmd_rescan() == 0);
	CHECK(spdk_vmd_hotplug_monitor() == 0 && spdk_vmd_remove_device(&addr) == -ENODEV);
	spdk_vmd_fini();
}

int
main(void)
{
	options();
	ticks();
	cores();
	zones();
	pools();
	rings();
	pci();
	spdk_env_fini();
	printf("ok\n");
	return 0;
}
