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
 * PCI addresses
 */

/** Where a PCI device is. */
struct spdk_pci_addr {
	uint32_t domain;
	uint8_t bus;
	uint8_t dev;
	uint8_t func;
};

/** A PCI device. libspdk_env_rdma never has one. */
struct spdk_pci_device;

#ifdef __cplusplus
}
#endif

#endif /* SPDK_ENV_H */
