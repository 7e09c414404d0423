/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * A small NVMe-oF target over RDMA whose namespaces live in memory: for demos, benchmarks and tests that hold host and
 * target in one process.
 *
 * The target is driven by its caller: it has no thread, no clock, and no call here blocks. It works while
 * nvme_rdma_target_poll() runs, and only then, so call that often: at least every few milliseconds while hosts are
 * connected.
 *
 * A target is used by one thread at a time. Several targets are independent of each other.
 *
 * Functions that return int return 0 or more for success and a negative errno for failure; nvme_rdma_target_error()
 * then has the reason as text.
 */

#ifndef NVME_RDMA_TARGET_H
#define NVME_RDMA_TARGET_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct nvme_rdma_target;

/* Fill with nvme_rdma_target_options_init(), then change what is to differ. */
struct nvme_rdma_target_options {
	/* sizeof(struct nvme_rdma_target_options), set by the init function; later versions may append fields. */
	size_t size;

	/*
	 * Addresses to listen on: "ADDR:PORT" or "[IPV6ADDR]:PORT", with the interface for a link-local address as
	 * "[fe80::1%eth0]:4420"; several separated by commas. Port 0 takes a free port, see
	 * nvme_rdma_target_port(). Not NULL.
	 */
	const char *listen;

	/*
	 * Subsystems, each as "NQN[,ns=SIZE[:BLOCK]][,ns=none][,host=NQN][,opal]...": SIZE and BLOCK in bytes or with K, M or G;
	 * namespace ids count from 1 in this order, ns=none leaves an id inactive; with host= only these hosts may connect;
	 * with opal hosts can lock it by TCG Opal.
	 * Without ns there is one namespace of 64 MiB in blocks of 512 bytes.
	 */
	const char *const *subsystems;
	size_t subsystem_count;

	/* Room for in-capsule data in bytes: 0 to 65536, a multiple of 16. Default 4096. */
	uint32_t in_capsule_data;

	/* Offset of in-capsule data behind the command, in units of 16 bytes: 0 to 64. Default 0. */
	uint16_t icdoff;

	/* Entries of an I/O queue: 16 to 4096. Default 128. The Admin Queue has as many, and at least 32. */
	uint16_t queue_entries;

	/* I/O queues of a controller: 1 to 1024. Default 64. */
	uint16_t io_queues;

	/* Largest transfer, 2^mdts pages of 4 KiB: 1 to 10; 0 means no limit. Default 5, 128 KiB. */
	uint8_t mdts;

	/* RDMA READs outstanding on a queue: 1 to 255. Device and host may allow fewer. Default 16. */
	uint8_t read_depth;

	/*
	 * For this many milliseconds after an I/O queue's connection ended its queue id stays taken, and Connect is refused
	 * with Command Sequence Error: 0 to 60000. Default 20. Other targets need such a moment, so hosts must bear it.
	 */
	uint32_t linger_ms;

	/*
	 * Keyed data blocks that a command may have: 1 to 16, more than one as a list in the capsule. Default 16. MSDBD says
	 * less where a capsule has no room for so many.
	 */
	uint8_t descriptors;
};

/*
 * Sets the defaults. size is sizeof(*options); no byte beyond it is written, so a program that was compiled against an
 * older header works with a newer library.
 */
void nvme_rdma_target_options_init(struct nvme_rdma_target_options *options, size_t size);

/*
 * Allocates the namespaces and listens. On success *target is to be stopped with nvme_rdma_target_stop(); on failure it
 * is NULL and nothing is left behind.
 *
 * -EINVAL: an option is wrong. -ENODEV: no RDMA device. -ENOMEM: no memory. -EADDRINUSE and the like: cannot listen.
 */
int nvme_rdma_target_start(const struct nvme_rdma_target_options *options, struct nvme_rdma_target **target);

/*
 * Does what there is to do and returns how much that was: 0 means that nothing happened. now_ns is the time in nanoseconds
 * of any clock that does not go back; keep alive timers and deadlines follow it.
 */
int nvme_rdma_target_poll(struct nvme_rdma_target *target, uint64_t now_ns);

/* Closes all connections and frees everything. Hosts see a disconnect. NULL is ignored. */
void nvme_rdma_target_stop(struct nvme_rdma_target *target);

/*
 * Begins to close all connections and stops to listen; to be followed by polls until nvme_rdma_target_connections() is 0,
 * if the hosts' answers are to be awaited before nvme_rdma_target_stop().
 */
int nvme_rdma_target_disconnect_all(struct nvme_rdma_target *target, uint64_t now_ns);

/* The port of the listener with this index, counted from 0 in the order of the option; -ENOENT without such a listener. */
int nvme_rdma_target_port(const struct nvme_rdma_target *target, size_t index);

/* The number of connections, those being closed included. */
int nvme_rdma_target_connections(const struct nvme_rdma_target *target);

/* A descriptor that becomes readable when a connection event waits. Data does not make it readable. */
int nvme_rdma_target_descriptor(const struct nvme_rdma_target *target);

struct nvme_rdma_target_counters {
	/* sizeof(struct nvme_rdma_target_counters), set by the caller; no byte beyond it is written. */
	size_t size;
	/* Connections accepted and connection requests rejected. */
	uint64_t accepted;
	uint64_t rejected;
	/* Commands taken and responses sent. */
	uint64_t commands;
	uint64_t responses;
	/* Keep Alive commands among those taken. */
	uint64_t keep_alives;
};

int nvme_rdma_target_get_counters(const struct nvme_rdma_target *target, struct nvme_rdma_target_counters *counters);

/* Ways to misbehave, to test hosts. */
enum nvme_rdma_target_misbehaviour {
	/* The next I/O response carries command id 0xffff. */
	NVME_RDMA_TARGET_CID_OUT_OF_RANGE = 1,
	/* The next I/O response carries the id of a command that is not outstanding on its queue. */
	NVME_RDMA_TARGET_CID_IDLE = 2,
	/* The next I/O response is sent twice. */
	NVME_RDMA_TARGET_REPEAT_RESPONSE = 3,
	/* No response is sent any more; switching it off sends those that were held back. */
	NVME_RDMA_TARGET_SILENT = 4,
	/* Connection requests are rejected. */
	NVME_RDMA_TARGET_REJECT_CONNECTIONS = 5,
};

/*
 * Misbehaves this way once after that many more I/O responses; NVME_RDMA_TARGET_SILENT from there on, and
 * NVME_RDMA_TARGET_REJECT_CONNECTIONS after that many connection requests and from there on. how is one of the enum's
 * values, else -EINVAL.
 */
int nvme_rdma_target_misbehave(struct nvme_rdma_target *target, int how, uint64_t after);

/* Stops misbehaving this way. */
int nvme_rdma_target_behave(struct nvme_rdma_target *target, int how);

/*
 * Drops a subsystem: at the next poll all its connections are closed, and Connect to it fails with Connect Invalid
 * Parameters. A target whose last subsystem is dropped stops to listen, so that hosts are rejected by the connection
 * manager. -ENOENT: no such subsystem.
 */
int nvme_rdma_target_drop_subsystem(struct nvme_rdma_target *target, const char *nqn);

/* Offers a dropped subsystem again, with its data as it was. */
int nvme_rdma_target_add_subsystem(struct nvme_rdma_target *target, const char *nqn);

/*
 * The same by text, as the program's control socket takes it: "misbehave WHAT[:AFTER]", "behave WHAT", "drop NQN",
 * "add NQN"; WHAT is cid-out-of-range, cid-idle, repeat-response, silent or reject-connections. And "port PORT down", "port PORT up", "linger MILLISECONDS", "lie NAME[=NUMBER]", "truth NAME",
 * "truth all": answers as a hostile target gives them. 'nvme-rdma-target --lie help' lists the names. Namespaces come, go and
 * change, and so do paths: "ns add NQN ns=SIZE[..MOST][:BLOCK[+METADATA[:piTYPE]]][@GROUP] [nsid=NSID]", "ns resize NQN NSID SIZE", "ns remove NQN NSID",
 * "ana NQN GROUP STATE [port=PORT]" with STATE one of optimized, non-optimized, inaccessible, persistent-loss, change. Commands wait or
 * fail: "stall OPCODE [COUNT]", "delay OPCODE MILLISECONDS [COUNT]", "fail OPCODE STATUS [COUNT]", until "resume OPCODE" or "resume all"; OPCODE
 * is a name ("read", "identify") or a number or "any" behind "io:", "admin:" or "fabrics:".
 */
int nvme_rdma_target_control(struct nvme_rdma_target *target, const char *command);

/* Why the last call of this thread failed, in words. Never NULL; valid until the thread's next call that fails. */
const char *nvme_rdma_target_error(void);

#ifdef __cplusplus
}
#endif

#endif
