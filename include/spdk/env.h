/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The environment: memory that a device can use, time, cores.
 *
 * Offered by SPDK's libspdk_env_dpdk and by this project's libspdk_env_rdma. What is said here about limits and about
 * devices that are not there is true of libspdk_env_rdma. All functions may be called from any thread unless stated
 * otherwise.
 */

#ifndef SPDK_ENV_H
#define SPDK_ENV_H

#include "spdk/stdinc.h"

#include <sys/queue.h>

#include "spdk/assert.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Any NUMA node. */
#define SPDK_ENV_NUMA_ID_ANY (-1)
/** Older name of SPDK_ENV_NUMA_ID_ANY. */
#define SPDK_ENV_SOCKET_ID_ANY (-1)

/** No core. */
#define SPDK_ENV_LCORE_ID_ANY (UINT32_MAX)

/*
 * Start and end
 */

struct spdk_pci_addr;

/** For spdk_env_init(). Fill it with spdk_env_opts_init() first. */
struct spdk_env_opts {
	/** The program's name. */
	const char *name;
	/** Cores: a hexadecimal mask ("0x5"), or a list ("[0,2-3]"). */
	const char *core_mask;
	/** Not used. */
	const char *lcore_map;
	/** Not used: memory is not shared between processes. */
	int shm_id;
	/** Not used. */
	int mem_channel;
	/** Core of the calling thread; -1 for the first. */
	int main_core;
	/** Most memory for buffers in MiB; 0 or less: as much as the machine has. */
	int mem_size;
	/** Not used, as the next three. */
	bool no_pci;
	bool hugepage_single_segments;
	bool unlink_hugepage;
	bool no_huge;
	uint32_t reserved;
	/** Not used, as all that follow up to vf_token. */
	size_t num_pci_addr;
	const char *hugedir;
	struct spdk_pci_addr *pci_blocked;
	struct spdk_pci_addr *pci_allowed;
	const char *iova_mode;
	uint64_t base_virtaddr;
	void *env_context;
	const char *vf_token;

	/** sizeof(struct spdk_env_opts) as the program knows it. Set it before spdk_env_opts_init(). */
	size_t opts_size;

	/** Not used. */
	bool enforce_numa;
	uint8_t reserved2[7];
};
SPDK_STATIC_ASSERT(sizeof(struct spdk_env_opts) == 128, "layout of struct spdk_env_opts");

/** Fills in the defaults, up to opts->opts_size. */
void spdk_env_opts_init(struct spdk_env_opts *opts);

/**
 * Starts the environment. To be called once before anything else of it, by one thread; after spdk_env_fini() it can be
 * started again, with NULL.
 *
 * \return 0, or -EINVAL for options that are no options, or a core mask that is none.
 */
int spdk_env_init(const struct spdk_env_opts *opts);

/** Ends the environment and gives back its memory. Buffers that are still allocated stay, and are mentioned in the log. */
void spdk_env_fini(void);

/** Whether this process owns the memory that others share. True: none do. */
bool spdk_process_is_primary(void);

/*
 * Buffers. They lie in registered memory (see below), are aligned to a cache line at least, and no two share one.
 */

/** Memory that devices can use. */
#define SPDK_MALLOC_DMA 0x01
/** Memory that can be shared between processes. */
#define SPDK_MALLOC_SHARE 0x02

/**
 * Allocates a buffer.
 *
 * \param size bytes.
 * \param align power of two that the address is a multiple of; 0 for none.
 * \param unused NULL.
 * \param numa_id preferred NUMA node. Not used.
 * \param flags SPDK_MALLOC_DMA, SPDK_MALLOC_SHARE or both.
 * \return the buffer; NULL without memory, or for a size of 0, an alignment that is no power of two, an unused that is
 * not NULL, or flags of 0.
 */
void *spdk_malloc(size_t size, size_t align, uint64_t *unused, int numa_id, uint32_t flags);

/** As spdk_malloc(), filled with zeroes. */
void *spdk_zmalloc(size_t size, size_t align, uint64_t *unused, int numa_id, uint32_t flags);

/**
 * Changes a buffer's size; its contents are kept, its address may change. A buf of NULL allocates; a size of 0 frees and
 * returns NULL. Otherwise NULL means that nothing was done.
 */
void *spdk_realloc(void *buf, size_t size, size_t align);

/** Frees a buffer. NULL does nothing. A pointer that is no buffer is refused with a log line. */
void spdk_free(void *buf);

/** As spdk_malloc() with both flags and any node. */
void *spdk_dma_malloc(size_t size, size_t align, uint64_t *unused);

/** As spdk_malloc() with both flags. */
void *spdk_dma_malloc_socket(size_t size, size_t align, uint64_t *unused, int numa_id);

/** As spdk_zmalloc() with both flags and any node. */
void *spdk_dma_zmalloc(size_t size, size_t align, uint64_t *unused);

/** As spdk_zmalloc() with both flags. */
void *spdk_dma_zmalloc_socket(size_t size, size_t align, uint64_t *unused, int numa_id);

/** As spdk_realloc(); unused must be NULL. */
void *spdk_dma_realloc(void *buf, size_t size, size_t align, uint64_t *unused);

/** As spdk_free(). */
void spdk_dma_free(void *buf);

/*
 * Registered memory and memory maps
 *
 * Devices can use memory that is registered: all buffers, and what the program registers itself. A memory map holds a
 * number (a "translation", for example a device's key) for every page, and is told when memory is registered and when
 * it goes.
 */

/** Translations of all addresses. */
struct spdk_mem_map;

/** What happened to a region. */
enum spdk_mem_map_notify_action {
	SPDK_MEM_MAP_NOTIFY_REGISTER,
	SPDK_MEM_MAP_NOTIFY_UNREGISTER,
};

/**
 * Told about a region. Calls for all maps come one after the other. It may allocate and free buffers, and set and clear
 * translations.
 *
 * \return 0, or a negative errno; that ends spdk_mem_map_alloc() and is ignored otherwise.
 */
typedef int (*spdk_mem_map_notify_cb)(void *cb_ctx, struct spdk_mem_map *map,
				      enum spdk_mem_map_notify_action action,
				      void *vaddr, size_t size);

/** Whether (not 0) two neighbouring pages with these translations can be used as one range. */
typedef int (*spdk_mem_map_contiguous_translations)(uint64_t addr_1, uint64_t addr_2);

/** A map's functions. Either may be NULL. */
struct spdk_mem_map_ops {
	spdk_mem_map_notify_cb notify_cb;
	spdk_mem_map_contiguous_translations are_contiguous;
};

/**
 * Makes a map. If it has a notify_cb, that is called for every registered region before this returns.
 *
 * \param default_translation what an address has that none was set for.
 * \param ops functions, copied; or NULL.
 * \param cb_ctx goes to notify_cb.
 * \return the map; NULL without memory, or if notify_cb refused a region (it is then told that the others are gone).
 */
struct spdk_mem_map *spdk_mem_map_alloc(uint64_t default_translation,
					const struct spdk_mem_map_ops *ops, void *cb_ctx);

/** Tells a map that every region is gone, frees it, and sets *pmap to NULL. NULLs are accepted. */
void spdk_mem_map_free(struct spdk_mem_map **pmap);

/**
 * Sets the translation of a range.
 *
 * \param vaddr start, a multiple of 4 KiB. Ranges of whole 2 MiB pages need the least memory.
 * \param size bytes, a multiple of 4 KiB.
 * \return 0, -EINVAL for a range that is none, -ENOMEM.
 */
int spdk_mem_map_set_translation(struct spdk_mem_map *map, uint64_t vaddr, uint64_t size,
				 uint64_t translation);

/** Sets the translation of a range back to the default, as spdk_mem_map_set_translation() does. */
int spdk_mem_map_clear_translation(struct spdk_mem_map *map, uint64_t vaddr, uint64_t size);

/**
 * The translation of an address. Takes no lock.
 *
 * \param size NULL, or the bytes wanted; lowered to the bytes from vaddr on that belong together: to the end of the
 * page, and further if the map has are_contiguous and it says so.
 */
uint64_t spdk_mem_map_translate(const struct spdk_mem_map *map, uint64_t vaddr, uint64_t *size);

/**
 * Registers memory of the program's own. It must stay mapped until it is unregistered.
 *
 * \param vaddr start, a multiple of 4 KiB.
 * \param len bytes, a multiple of 4 KiB.
 * \return 0, -EINVAL for a range that is none, -EBUSY if a part of it is registered.
 */
int spdk_mem_register(void *vaddr, size_t len);

/**
 * Unregisters one or several neighbouring regions, each as it was registered. No device may be using them.
 *
 * \return 0, -EINVAL for a range that is none or not registered as a whole, -ERANGE if it cuts a region.
 */
int spdk_mem_unregister(void *vaddr, size_t len);

/** Prepares all maps for a region, so that registering it needs no memory. Returns as spdk_mem_register(), or -ENOMEM. */
int spdk_mem_reserve(void *vaddr, size_t len);

/** The NUMA node of a buffer. SPDK_ENV_NUMA_ID_ANY: buffers have none of their own. */
int32_t spdk_mem_get_numa_id(const void *buf, uint64_t *size);

/** The file behind a buffer. -ENOTSUP: there is none. */
int spdk_mem_get_fd_and_offset(void *vaddr, uint64_t *offset);

/** What spdk_vtophys() answers for memory that is not registered. */
#define SPDK_VTOPHYS_ERROR (0xFFFFFFFFFFFFFFFFULL)

/**
 * The address under which a device sees a buffer: its virtual address.
 *
 * \param size NULL, or the bytes wanted; lowered to the end of the registered region.
 */
uint64_t spdk_vtophys(const void *buf, uint64_t *size);

/** Whether devices go through an IOMMU that the program sets up. False. */
bool spdk_iommu_is_enabled(void);

/*
 * Time
 */

/** A clock that never goes back. */
uint64_t spdk_get_ticks(void);

/** Ticks of spdk_get_ticks() in a second. It does not change. */
uint64_t spdk_get_ticks_hz(void);

/** Spins for so many microseconds. */
void spdk_delay_us(unsigned int us);

/** Tells the CPU that the caller spins. */
void spdk_pause(void);

/*
 * Cores and threads. A core is one of those in the core mask; before spdk_env_init() there is one, 0.
 */

/** How many cores there are. */
uint32_t spdk_env_get_core_count(void);

/** The core of the calling thread; SPDK_ENV_LCORE_ID_ANY if it is neither the main thread nor a pinned one. */
uint32_t spdk_env_get_current_core(void);

/** The core of the thread that called spdk_env_init(). That thread is not moved to it. */
uint32_t spdk_env_get_main_core(void);

/** The lowest core. */
uint32_t spdk_env_get_first_core(void);

/** The highest core. */
uint32_t spdk_env_get_last_core(void);

/** The next higher core, or UINT32_MAX. */
uint32_t spdk_env_get_next_core(uint32_t prev_core);

/** A loop over all cores. */
#define SPDK_ENV_FOREACH_CORE(i) \
	for (i = spdk_env_get_first_core(); i < UINT32_MAX; i = spdk_env_get_next_core(i))

/** The NUMA node of a core. All are taken for node 0. */
int32_t spdk_env_get_numa_id(uint32_t core);

/** The first NUMA node: 0. */
int32_t spdk_env_get_first_numa_id(void);

/** The last NUMA node: 0. */
int32_t spdk_env_get_last_numa_id(void);

/** The NUMA node after a given one, or INT32_MAX: there is one only. */
int32_t spdk_env_get_next_numa_id(int32_t prev_numa_id);

/** A loop over all NUMA nodes. */
#define SPDK_ENV_FOREACH_NUMA_ID(i) \
	for (i = spdk_env_get_first_numa_id(); i < INT32_MAX; i = spdk_env_get_next_numa_id(i))

/** A pinned thread's function. */
typedef int (*thread_start_fn)(void *);

/**
 * Starts a thread on a core. A core without its own thread left is free for the next one.
 *
 * \return 0; -EINVAL if it is not one of the cores, or the main one; -EBUSY if a thread runs on it; another negative
 * errno if no thread can be made.
 */
int spdk_env_thread_launch_pinned(uint32_t core, thread_start_fn fn, void *arg);

/** Waits until all pinned threads have ended. */
void spdk_env_thread_wait_all(void);

/** Lets the calling thread run on any core. */
void spdk_unaffinitize_thread(void);

/** Calls cb while the calling thread may run on any core, for example to make threads. Returns what it returns. */
void *spdk_call_unaffinitized(void *cb(void *arg), void *arg);

/** The kernel's id of the calling thread. */
int spdk_get_tid(void);

/*
 * Buffers with a name
 */

/** Longest name of a zone, its NUL included. */
#define SPDK_MAX_MEMZONE_NAME_LEN 32
/** The zone need not be contiguous for a device. It always is. */
#define SPDK_MEMZONE_NO_IOVA_CONTIG 0x00100000

/**
 * Allocates a zeroed buffer with a name.
 *
 * \param numa_id not used.
 * \param flags not used.
 * \return the buffer; NULL without memory, or if the name is too long or taken.
 */
void *spdk_memzone_reserve(const char *name, size_t len, int numa_id, unsigned flags);

/** As spdk_memzone_reserve(), at a multiple of align, a power of two. */
void *spdk_memzone_reserve_aligned(const char *name, size_t len, int numa_id,
				   unsigned flags, unsigned align);

/** The zone of that name, or NULL. */
void *spdk_memzone_lookup(const char *name);

/** Frees a zone. Returns 0, or -1 if there is none of that name. */
int spdk_memzone_free(const char *name);

/** Writes one line for each zone. */
void spdk_memzone_dump(FILE *f);

/*
 * Pools of elements of one size
 */

/** A pool. */
struct spdk_mempool;

/** Longest name of a pool, its NUL included. */
#define SPDK_MAX_MEMPOOL_NAME_LEN 29
/** Cache as many elements for each core as is reasonable. There are no caches. */
#define SPDK_MEMPOOL_DEFAULT_CACHE_SIZE SIZE_MAX

/** Called with an element of a pool and its number. */
typedef void (spdk_mempool_obj_cb_t)(struct spdk_mempool *mp,
				     void *opaque, void *obj, unsigned obj_idx);

/** Called with a piece of a pool's memory and its number. */
typedef void (spdk_mempool_mem_cb_t)(struct spdk_mempool *mp, void *opaque, void *addr,
				     uint64_t iova, size_t len, unsigned mem_idx);

/**
 * Makes a pool.
 *
 * \param count number of elements.
 * \param ele_size bytes of each. Elements start at cache lines.
 * \param cache_size not used.
 * \param numa_id not used.
 * \return the pool; NULL without memory, or if the name is too long or taken.
 */
struct spdk_mempool *spdk_mempool_create(const char *name, size_t count,
		size_t ele_size, size_t cache_size, int numa_id);

/** As spdk_mempool_create(), and calls obj_init for each element. */
struct spdk_mempool *spdk_mempool_create_ctor(const char *name, size_t count,
		size_t ele_size, size_t cache_size, int numa_id,
		spdk_mempool_obj_cb_t *obj_init, void *obj_init_arg);

/** A pool's name. */
char *spdk_mempool_get_name(struct spdk_mempool *mp);

/** Frees a pool with all its elements. */
void spdk_mempool_free(struct spdk_mempool *mp);

/** Takes an element, or NULL. */
void *spdk_mempool_get(struct spdk_mempool *mp);

/** Takes count elements, or none and returns -ENOBUFS. */
int spdk_mempool_get_bulk(struct spdk_mempool *mp, void **ele_arr, size_t count);

/** Puts an element back. What is no element of this pool is refused with a log line. */
void spdk_mempool_put(struct spdk_mempool *mp, void *ele);

/** Puts several elements back. */
void spdk_mempool_put_bulk(struct spdk_mempool *mp, void **ele_arr, size_t count);

/** How many elements can be taken. */
size_t spdk_mempool_count(const struct spdk_mempool *pool);

/** Calls obj_cb for every element, taken or not. Returns how many. */
uint32_t spdk_mempool_obj_iter(struct spdk_mempool *mp, spdk_mempool_obj_cb_t obj_cb,
			       void *obj_cb_arg);

/** Calls mem_cb for every piece of memory. Returns how many. */
uint32_t spdk_mempool_mem_iter(struct spdk_mempool *mp, spdk_mempool_mem_cb_t mem_cb,
			       void *mem_cb_arg);

/** The pool of that name, or NULL. */
struct spdk_mempool *spdk_mempool_lookup(const char *name);

/*
 * Rings: queues of pointers
 */

/** A ring. */
struct spdk_ring;

/** Who uses a ring: one or several (M) producers (P) and consumers (C). Each type allows several of both. */
enum spdk_ring_type {
	SPDK_RING_TYPE_SP_SC,
	SPDK_RING_TYPE_MP_SC,
	SPDK_RING_TYPE_MP_MC,
};

/** Makes a ring for count pointers. NULL: no memory, or a count of 0. numa_id is not used. */
struct spdk_ring *spdk_ring_create(enum spdk_ring_type type, size_t count, int numa_id);

/** Frees a ring. */
void spdk_ring_free(struct spdk_ring *ring);

/** Number of pointers in a ring. */
size_t spdk_ring_count(struct spdk_ring *ring);

/** Adds all count pointers or none. Returns how many. free_space, unless NULL, receives the room that is left. */
size_t spdk_ring_enqueue(struct spdk_ring *ring, void **objs, size_t count,
			 size_t *free_space);

/** Takes at most count pointers. Returns how many. */
size_t spdk_ring_dequeue(struct spdk_ring *ring, void **objs, size_t count);

/*
 * PCI addresses
 */

/** Where a PCI device is. */
struct spdk_pci_addr {
	uint32_t domain;
	uint8_t bus;
	uint8_t dev;
	uint8_t func;
};

/** Compares two addresses: below, equal to or above 0. */
int spdk_pci_addr_compare(const struct spdk_pci_addr *a1, const struct spdk_pci_addr *a2);

/**
 * Reads an address: domain:bus:device.function, where domain, function or both may be missing and dots may stand for
 * all colons.
 *
 * \return 0, or -EINVAL.
 */
int spdk_pci_addr_parse(struct spdk_pci_addr *addr, const char *bdf);

/** Writes an address as domain:bus:device.function. Returns 0, or -1 if sz bytes are too few (14 are enough for most). */
int spdk_pci_addr_fmt(char *bdf, size_t sz, const struct spdk_pci_addr *addr);

/*
 * PCI devices. libspdk_env_rdma never has one: enumerating finds nothing and succeeds, and what needs a device fails.
 * The functions are there so that programs link.
 */

/** Any vendor or device. */
#define SPDK_PCI_ANY_ID 0xffff
/** Any class. */
#define SPDK_PCI_CLASS_ANY_ID 0xffffff
/** Class of NVMe drives. */
#define SPDK_PCI_CLASS_NVME 0x010802

/** What a PCI device is. */
struct spdk_pci_id {
	uint32_t class_id;
	uint16_t vendor_id;
	uint16_t device_id;
	uint16_t subvendor_id;
	uint16_t subdevice_id;
};

/** A kind of device that a program can use. */
struct spdk_pci_driver;

#ifdef __GNUC__
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpedantic" /* a union without a name, in C++ */
#endif

/** A PCI device. */
struct spdk_pci_device {
	struct spdk_pci_device *parent;
	void *dev_handle;
	struct spdk_pci_addr addr;
	struct spdk_pci_id id;
	union {
		int numa_id;
		int socket_id;
	};
	const char *type;

	int (*map_bar)(struct spdk_pci_device *dev, uint32_t bar,
		       void **mapped_addr, uint64_t *phys_addr, uint64_t *size);
	int (*unmap_bar)(struct spdk_pci_device *dev, uint32_t bar, void *addr);
	int (*cfg_read)(struct spdk_pci_device *dev, void *value, uint32_t len, uint32_t offset);
	int (*cfg_write)(struct spdk_pci_device *dev, void *value, uint32_t len, uint32_t offset);

	/** The environment's own. */
	struct _spdk_pci_device_internal {
		struct spdk_pci_driver *driver;
		bool attached;
		int claim_fd;
		bool pending_removal;
		bool removed;
		TAILQ_ENTRY(spdk_pci_device) tailq;
	} internal;
};
SPDK_STATIC_ASSERT(sizeof(struct spdk_pci_device) == 120, "layout of struct spdk_pci_device");

#ifdef __GNUC__
#pragma GCC diagnostic pop
#endif

/** Called for a device. Negative: failed; 0: attached; 1: not wanted. */
typedef int (*spdk_pci_enum_cb)(void *enum_ctx, struct spdk_pci_device *dev);

/** Where else devices may come from. */
struct spdk_pci_device_provider {
	const char *name;
	int (*attach_cb)(const struct spdk_pci_addr *addr);
	void (*detach_cb)(struct spdk_pci_device *dev);
	TAILQ_ENTRY(spdk_pci_device_provider) tailq;
};

/** What happened on the bus. */
enum spdk_pci_event_type {
	SPDK_UEVENT_ADD = 0,
	SPDK_UEVENT_REMOVE = 1,
};

/** An event of the bus. */
struct spdk_pci_event {
	enum spdk_pci_event_type action;
	struct spdk_pci_addr traddr;
};

/** Called for an error on the bus. */
typedef void (*spdk_pci_error_handler)(const void *failure_addr, void *ctx);

/** The driver maps a device's registers. */
#define SPDK_PCI_DRIVER_NEED_MAPPING 0x0001
/** It maps them with write combining. */
#define SPDK_PCI_DRIVER_WC_ACTIVATE 0x0002

/** Members of a struct spdk_pci_id for any device of this vendor and number. */
#define SPDK_PCI_DEVICE(vend, dev) \
	.class_id = SPDK_PCI_CLASS_ANY_ID, .vendor_id = (vend), .device_id = (dev), \
	.subvendor_id = SPDK_PCI_ANY_ID, .subdevice_id = SPDK_PCI_ANY_ID

/** Makes a driver known. It will find no device. */
void spdk_pci_driver_register(const char *name, struct spdk_pci_id *id_table, uint32_t flags);

/** Makes a driver known before main. */
#define SPDK_PCI_DRIVER_REGISTER(name, id_table, flags) \
	__attribute__((constructor)) static void _spdk_pci_driver_register_##name(void) \
	{ \
		spdk_pci_driver_register(#name, id_table, flags); \
	}

/** Makes a source of devices known. It is never asked. */
void spdk_pci_register_device_provider(struct spdk_pci_device_provider *provider);

/** Makes a source of devices known before main. */
#define SPDK_PCI_REGISTER_DEVICE_PROVIDER(name, provider) \
	__attribute__((constructor)) static void _spdk_pci_register_device_provider_##name(void) \
	{ \
		spdk_pci_register_device_provider(provider); \
	}

/** NULL, as all that follow: there is no driver. */
struct spdk_pci_driver *spdk_pci_get_driver(const char *name);
struct spdk_pci_driver *spdk_pci_nvme_get_driver(void);
struct spdk_pci_driver *spdk_pci_vmd_get_driver(void);
struct spdk_pci_driver *spdk_pci_idxd_get_driver(void);
struct spdk_pci_driver *spdk_pci_ioat_get_driver(void);
struct spdk_pci_driver *spdk_pci_ae4dma_get_driver(void);
struct spdk_pci_driver *spdk_pci_virtio_get_driver(void);

/** Looks for devices. Finds none and returns 0. */
int spdk_pci_enumerate(struct spdk_pci_driver *driver, spdk_pci_enum_cb enum_cb, void *enum_ctx);

/** Calls fn for each device: never. */
void spdk_pci_for_each_device(void *ctx, void (*fn)(void *ctx, struct spdk_pci_device *dev));

/** Attaches the device at an address. Returns -1. */
int spdk_pci_device_attach(struct spdk_pci_driver *driver, spdk_pci_enum_cb enum_cb,
			   void *enum_ctx, struct spdk_pci_addr *pci_address);

/** Lets a device be found. Returns 0. */
int spdk_pci_device_allow(struct spdk_pci_addr *pci_addr);

/** Detaches a device. Does nothing. */
void spdk_pci_device_detach(struct spdk_pci_device *device);

/** Claims a device for this process. Returns -ENODEV. */
int spdk_pci_device_claim(struct spdk_pci_device *dev);

/** Undoes spdk_pci_device_claim(). Does nothing. */
void spdk_pci_device_unclaim(struct spdk_pci_device *dev);

/** Whether a device is about to go. False. */
bool spdk_pci_device_is_removed(struct spdk_pci_device *dev);

/** Adds an emulated device. Returns -ENOTSUP. */
int spdk_pci_hook_device(struct spdk_pci_driver *drv, struct spdk_pci_device *dev);

/** Undoes spdk_pci_hook_device(). Does nothing. */
void spdk_pci_unhook_device(struct spdk_pci_device *dev);

/* Registers, configuration space and interrupts of a device: all return -ENODEV, or -1 for the configuration space. */
int spdk_pci_device_map_bar(struct spdk_pci_device *dev, uint32_t bar,
			    void **mapped_addr, uint64_t *phys_addr, uint64_t *size);
int spdk_pci_device_unmap_bar(struct spdk_pci_device *dev, uint32_t bar, void *mapped_addr);
int spdk_pci_device_cfg_read(struct spdk_pci_device *dev, void *buf, uint32_t len, uint32_t offset);
int spdk_pci_device_cfg_write(struct spdk_pci_device *dev, void *buf, uint32_t len, uint32_t offset);
int spdk_pci_device_cfg_read8(struct spdk_pci_device *dev, uint8_t *value, uint32_t offset);
int spdk_pci_device_cfg_write8(struct spdk_pci_device *dev, uint8_t value, uint32_t offset);
int spdk_pci_device_cfg_read16(struct spdk_pci_device *dev, uint16_t *value, uint32_t offset);
int spdk_pci_device_cfg_write16(struct spdk_pci_device *dev, uint16_t value, uint32_t offset);
int spdk_pci_device_cfg_read32(struct spdk_pci_device *dev, uint32_t *value, uint32_t offset);
int spdk_pci_device_cfg_write32(struct spdk_pci_device *dev, uint32_t value, uint32_t offset);
int spdk_pci_device_get_serial_number(struct spdk_pci_device *dev, char *sn, size_t len);
int spdk_pci_device_enable_interrupt(struct spdk_pci_device *dev);
int spdk_pci_device_disable_interrupt(struct spdk_pci_device *dev);
int spdk_pci_device_get_interrupt_efd(struct spdk_pci_device *dev);
int spdk_pci_device_enable_interrupts(struct spdk_pci_device *dev, uint32_t efd_count);
int spdk_pci_device_disable_interrupts(struct spdk_pci_device *dev);
int spdk_pci_device_get_interrupt_efd_by_index(struct spdk_pci_device *dev, uint32_t index);

/* What a struct spdk_pci_device that the program made says about itself; 0, -1 or NULL for NULL. */
uint32_t spdk_pci_device_get_domain(struct spdk_pci_device *dev);
uint8_t spdk_pci_device_get_bus(struct spdk_pci_device *dev);
uint8_t spdk_pci_device_get_dev(struct spdk_pci_device *dev);
uint8_t spdk_pci_device_get_func(struct spdk_pci_device *dev);
struct spdk_pci_addr spdk_pci_device_get_addr(struct spdk_pci_device *dev);
uint16_t spdk_pci_device_get_vendor_id(struct spdk_pci_device *dev);
uint16_t spdk_pci_device_get_device_id(struct spdk_pci_device *dev);
uint16_t spdk_pci_device_get_subvendor_id(struct spdk_pci_device *dev);
uint16_t spdk_pci_device_get_subdevice_id(struct spdk_pci_device *dev);
struct spdk_pci_id spdk_pci_device_get_id(struct spdk_pci_device *dev);
int spdk_pci_device_get_numa_id(struct spdk_pci_device *dev);
const char *spdk_pci_device_get_type(const struct spdk_pci_device *dev);

/* Events and errors of the bus: all that return something return -ENOTSUP. */
int spdk_pci_event_listen(void);
int spdk_pci_get_event(int fd, struct spdk_pci_event *event);
int spdk_pci_register_error_handler(spdk_pci_error_handler sighandler, void *ctx);
void spdk_pci_unregister_error_handler(spdk_pci_error_handler sighandler);

#ifdef __cplusplus
}
#endif

#endif /* SPDK_ENV_H */
