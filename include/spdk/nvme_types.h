/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The hand-written part of spdk/nvme.h: constants, option structs, statistics, callback types and inline
 * functions. Programs include spdk/nvme.h; the functions there are generated from the library's source.
 *
 * Structs that carry their own size (opts_size, size) are read and written up to that size only, so a program
 * that was compiled against an older or a newer release of them works.
 */

#ifndef SPDK_NVME_TYPES_H
#define SPDK_NVME_TYPES_H

#include "spdk/stdinc.h"

#include "spdk/nvme_spec.h"
#include "spdk/nvmf_spec.h"
#include "spdk/queue.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Members without a name are part of these layouts; -Wpedantic has nothing to tell about them. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpedantic"

/*
 * Handles. Nothing is known about what they point to.
 */

/** A controller. */
struct spdk_nvme_ctrlr;
/** A namespace of a controller. Lives as long as its controller is attached. */
struct spdk_nvme_ns;
/** An I/O queue pair. Used by one thread at a time. */
struct spdk_nvme_qpair;
/** Queue pairs that are polled together. Used by one thread at a time. */
struct spdk_nvme_poll_group;
/** Controllers that are being detached. */
struct spdk_fd_group;
struct spdk_nvme_detach_ctx;
struct spdk_nvme_probe_ctx;

struct spdk_event_handler_opts;
struct spdk_key;
struct spdk_memory_domain;
struct spdk_pci_device;
struct spdk_uuid;
struct ibv_context;
struct ibv_pd;

/*
 * Transport ids
 */

/** Names of the transports, as spdk_nvme_transport_id::trstring holds them. */
#define SPDK_NVME_TRANSPORT_NAME_FC "FC"
#define SPDK_NVME_TRANSPORT_NAME_PCIE "PCIE"
#define SPDK_NVME_TRANSPORT_NAME_RDMA "RDMA"
#define SPDK_NVME_TRANSPORT_NAME_TCP "TCP"
#define SPDK_NVME_TRANSPORT_NAME_VFIOUSER "VFIOUSER"
#define SPDK_NVME_TRANSPORT_NAME_CUSTOM "CUSTOM"

/** Most digits of a priority in a transport id. */
#define SPDK_NVMF_PRIORITY_MAX_LEN 4

/** Transports. Up to 255 they are fabrics and have the value that the discovery log page has for them. */
enum spdk_nvme_transport_type {
	SPDK_NVME_TRANSPORT_RDMA = SPDK_NVMF_TRTYPE_RDMA,
	SPDK_NVME_TRANSPORT_FC = SPDK_NVMF_TRTYPE_FC,
	SPDK_NVME_TRANSPORT_TCP = SPDK_NVMF_TRTYPE_TCP,
	SPDK_NVME_TRANSPORT_PCIE = 256,
	SPDK_NVME_TRANSPORT_VFIOUSER = 1024,
	SPDK_NVME_TRANSPORT_CUSTOM = 4096,
	SPDK_NVME_TRANSPORT_CUSTOM_FABRICS = 4097,
};

typedef enum spdk_nvme_transport_type spdk_nvme_transport_type_t;

/** True for NVMe over Fabrics. */
static inline bool
spdk_nvme_trtype_is_fabrics(enum spdk_nvme_transport_type trtype)
{
	return trtype == SPDK_NVME_TRANSPORT_CUSTOM_FABRICS || (unsigned int)trtype <= 255;
}

/**
 * Where a controller is found. Strings end with a zero byte. spdk_nvme_transport_id_parse() makes one of text;
 * members that it does not set are best zero.
 */
struct spdk_nvme_transport_id {
	char trstring[SPDK_NVMF_TRSTRING_MAX_LEN + 1]; /**< SPDK_NVME_TRANSPORT_NAME_* or another name */
	enum spdk_nvme_transport_type trtype;
	enum spdk_nvmf_adrfam adrfam;
	char traddr[SPDK_NVMF_TRADDR_MAX_LEN + 1]; /**< IP address or host name, PCI address, ... */
	char trsvcid[SPDK_NVMF_TRSVCID_MAX_LEN + 1]; /**< port */
	char subnqn[SPDK_NVMF_NQN_MAX_LEN + 1]; /**< subsystem; SPDK_NVMF_DISCOVERY_NQN to find out */
	int priority; /**< of the connection; not used by RDMA */
};
SPDK_STATIC_ASSERT(sizeof(struct spdk_nvme_transport_id) == 564, "size of spdk_nvme_transport_id");

/** Where the host's end of connections is. */
struct spdk_nvme_host_id {
	char hostaddr[SPDK_NVMF_TRADDR_MAX_LEN + 1];
	char hostsvcid[SPDK_NVMF_TRSVCID_MAX_LEN + 1];
};
SPDK_STATIC_ASSERT(sizeof(struct spdk_nvme_host_id) == 290, "size of spdk_nvme_host_id");

/**
 * What programs keep of each transport id on their command line; see spdk_nvme_trid_entry_parse(). It does not carry its
 * size, and had no hostaddr before SPDK v26.05.
 */
struct spdk_nvme_trid_entry {
	struct spdk_nvme_transport_id trid;
	uint16_t nsid; /**< of the only namespace to use */
	char hostnqn[SPDK_NVMF_NQN_MAX_LEN + 1]; /**< empty: the default */
	char hostaddr[SPDK_NVMF_TRADDR_MAX_LEN + 1]; /**< own address; empty: any */
	struct spdk_nvme_transport_id failover_trid; /**< where to go when trid fails */
};
SPDK_STATIC_ASSERT(sizeof(struct spdk_nvme_trid_entry) == 1612, "size of spdk_nvme_trid_entry");

/** What spdk_nvme_transport_id_usage() prints, a mask. */
enum spdk_nvme_trid_usage_opt {
	SPDK_NVME_TRID_USAGE_OPT_MANDATORY = 1 << 1, /**< the option must be given */
	SPDK_NVME_TRID_USAGE_OPT_LONGOPT = 1 << 2, /**< it has a long form, too */
	SPDK_NVME_TRID_USAGE_OPT_NO_PCIE = 1 << 3,
	SPDK_NVME_TRID_USAGE_OPT_NO_FABRIC = 1 << 4,
	SPDK_NVME_TRID_USAGE_OPT_MULTI = 1 << 5, /**< it may be given more than once */
	SPDK_NVME_TRID_USAGE_OPT_NS = 1 << 6, /**< the key ns is taken */
	SPDK_NVME_TRID_USAGE_OPT_HOSTNQN = 1 << 7, /**< the key hostnqn is taken */
	SPDK_NVME_TRID_USAGE_OPT_ALT_TRADDR = 1 << 8, /**< the key alt_traddr is taken */
	SPDK_NVME_TRID_USAGE_OPT_HOSTADDR = 1 << 9, /**< the key hostaddr is taken */
};

/*
 * Controllers
 */

/**
 * Options of a controller. Fill it by spdk_nvme_ctrlr_get_default_ctrlr_opts() and change what has to be
 * different. Members that concern PCIe or TCP alone are kept and not used.
 */
struct spdk_nvme_ctrlr_opts {
	uint32_t num_io_queues; /**< I/O queues to ask for; afterwards what the controller gave */
	bool use_cmb_sqs; /**< PCIe */
	bool no_shn_notification; /**< detach without a shutdown of the controller */
	bool enable_interrupts;
	uint8_t reserved7;
	enum spdk_nvme_cc_ams arb_mechanism;
	uint8_t arbitration_burst; /**< as a power of two; SPDK_NVME_ARBITRATION_BURST_UNLIMITED */
	uint8_t low_priority_weight; /**< 0's based */
	uint8_t medium_priority_weight; /**< 0's based */
	uint8_t high_priority_weight; /**< 0's based */
	uint32_t keep_alive_timeout_ms; /**< 0: no keep alive */
	uint8_t transport_retry_count; /**< RDMA: of the connection */
	uint8_t reserved21[3];
	uint32_t io_queue_size; /**< default of spdk_nvme_io_qpair_opts::io_queue_size */
	char hostnqn[SPDK_NVMF_NQN_MAX_LEN + 1];
	uint32_t io_queue_requests; /**< default of spdk_nvme_io_qpair_opts::io_queue_requests */
	char src_addr[SPDK_NVMF_TRADDR_MAX_LEN + 1]; /**< own address; empty: any */
	char src_svcid[SPDK_NVMF_TRSVCID_MAX_LEN + 1]; /**< own port; empty: any */
	uint8_t host_id[8]; /**< 64-bit host identifier, PCIe */
	uint8_t extended_host_id[16]; /**< 128-bit host identifier */
	uint8_t reserved570[2];
	enum spdk_nvme_cc_css command_set; /**< CHAR_BIT: the library chooses */
	uint32_t admin_timeout_ms; /**< of admin commands while the controller comes up; 0: none */
	bool header_digest; /**< TCP */
	bool data_digest; /**< TCP */
	bool disable_error_logging; /**< no log lines for completions with an error */
	uint8_t transport_ack_timeout; /**< RDMA: 4.096 us << value; 0: the device's default */
	uint16_t admin_queue_size;
	uint8_t reserved586[6];
	size_t opts_size; /**< size of this struct for the program; written by whoever filled it */
	uint64_t fabrics_connect_timeout_us; /**< of the Connect command; 0: none */
	bool disable_read_ana_log_page;
	uint8_t reserved610[7];
	uint8_t disable_read_changed_ns_list_log_page;
	uint8_t reserved617[200];
	uint8_t transport_tos; /**< RDMA: type of service; 0: the system's default */
	struct spdk_key *tls_psk; /**< TCP */
	struct spdk_key *dhchap_key; /**< in-band authentication of the host */
	struct spdk_key *dhchap_ctrlr_key; /**< in-band authentication of the controller */
	uint32_t dhchap_digests; /**< mask of 1 << enum spdk_nvmf_dhchap_hash */
	uint32_t dhchap_dhgroups; /**< mask of 1 << enum spdk_nvmf_dhchap_dhgroup */
};
SPDK_STATIC_ASSERT(sizeof(struct spdk_nvme_ctrlr_opts) == 856, "size of spdk_nvme_ctrlr_opts");

/** Keys for in-band authentication, to be replaced while the controller is attached. */
struct spdk_nvme_ctrlr_key_opts {
	size_t size; /**< size of this struct for the program */
	struct spdk_key *dhchap_key;
	struct spdk_key *dhchap_ctrlr_key;
};
SPDK_STATIC_ASSERT(sizeof(struct spdk_nvme_ctrlr_key_opts) == 24, "size of spdk_nvme_ctrlr_key_opts");

/** What a controller can do, a mask. */
enum spdk_nvme_ctrlr_flags {
	SPDK_NVME_CTRLR_SGL_SUPPORTED = 1 << 0,
	SPDK_NVME_CTRLR_SECURITY_SEND_RECV_SUPPORTED = 1 << 1,
	SPDK_NVME_CTRLR_WRR_SUPPORTED = 1 << 2,
	SPDK_NVME_CTRLR_COMPARE_AND_WRITE_SUPPORTED = 1 << 3, /**< as a fused operation */
	SPDK_NVME_CTRLR_SGL_REQUIRES_DWORD_ALIGNMENT = 1 << 4,
	SPDK_NVME_CTRLR_ZONE_APPEND_SUPPORTED = 1 << 5,
	SPDK_NVME_CTRLR_DIRECTIVES_SUPPORTED = 1 << 6,
	SPDK_NVME_CTRLR_MPTR_SGL_SUPPORTED = 1 << 7,
	SPDK_NVME_CTRLR_ACCEL_SEQUENCE_SUPPORTED = 1 << 8,
};

/*
 * Namespaces
 */

/** What a namespace can do, a mask. */
enum spdk_nvme_ns_flags {
	SPDK_NVME_NS_DEALLOCATE_SUPPORTED = 1 << 0,
	SPDK_NVME_NS_FLUSH_SUPPORTED = 1 << 1,
	SPDK_NVME_NS_RESERVATION_SUPPORTED = 1 << 2,
	SPDK_NVME_NS_WRITE_ZEROES_SUPPORTED = 1 << 3,
	SPDK_NVME_NS_DPS_PI_SUPPORTED = 1 << 4, /**< formatted with protection information */
	SPDK_NVME_NS_EXTENDED_LBA_SUPPORTED = 1 << 5, /**< metadata follows the data of each block */
	SPDK_NVME_NS_WRITE_UNCORRECTABLE_SUPPORTED = 1 << 6,
	SPDK_NVME_NS_COMPARE_SUPPORTED = 1 << 7,
};

/** What spdk_nvme_poll_group_set_interrupt_callback() sets; over RDMA it is never called. */
typedef void (*spdk_nvme_poll_group_interrupt_cb)(struct spdk_nvme_poll_group *group, void *cb_ctx);

/** Called when a command takes longer than it may: qpair is NULL for the Admin Queue, cid what spdk_nvme_ctrlr_cmd_abort() takes. */
typedef void (*spdk_nvme_timeout_cb)(void *cb_arg, struct spdk_nvme_ctrlr *ctrlr, struct spdk_nvme_qpair *qpair, uint16_t cid);

/**
 * Called when namespaces have changed, with the identifiers of those that did; NULL and 0 if that is not known: then all may have. The
 * list is gone afterwards.
 */
typedef void (*spdk_nvme_ns_attr_changed_cb)(void *cb_arg, const uint32_t *nsids, uint32_t num_nsids);

/** The next call of spdk_nvme_req_next_sge_cb is to give the piece that has byte `offset` of the data, from that byte on. */
typedef void (*spdk_nvme_req_reset_sgl_cb)(void *cb_arg, uint32_t offset);

/** Gives the next piece of the data: its address and its bytes. Returns 0, or anything else if there is none. */
typedef int (*spdk_nvme_req_next_sge_cb)(void *cb_arg, void **address, uint32_t *length);

/** More options of one I/O. */
struct spdk_nvme_ns_cmd_ext_io_opts {
	size_t size; /**< size of this struct for the program */
	struct spdk_memory_domain *memory_domain; /**< whose addresses the buffers are; NULL: the process's */
	void *memory_domain_ctx;
	uint32_t io_flags; /**< SPDK_NVME_IO_FLAGS_* */
	uint8_t reserved28[4];
	void *metadata;
	uint16_t apptag_mask;
	uint16_t apptag;
	uint32_t cdw13;
	void *accel_sequence;
};
SPDK_STATIC_ASSERT(sizeof(struct spdk_nvme_ns_cmd_ext_io_opts) == 56, "size of spdk_nvme_ns_cmd_ext_io_opts");

/*
 * Queue pairs
 */

/** Options of an I/O queue pair. See spdk_nvme_ctrlr_get_default_io_qpair_opts(). */
struct spdk_nvme_io_qpair_opts {
	enum spdk_nvme_qprio qprio; /**< SPDK_NVME_QPRIO_URGENT unless arbitration is weighted */
	uint32_t io_queue_size; /**< entries of the queue */
	uint32_t io_queue_requests; /**< requests that may be outstanding, parts of split I/O included */
	union {
		bool delay_cmd_submit; /**< commands go out at the next poll, all at once */
		bool delay_pcie_doorbell; /**< the same, by its older name */
	};
	uint8_t reserved13[3];
	struct {
		struct spdk_nvme_cmd *vaddr;
		uint64_t paddr;
		uint64_t buffer_size;
	} sq; /**< PCIe: where the submission queue is to be */
	struct {
		struct spdk_nvme_cpl *vaddr;
		uint64_t paddr;
		uint64_t buffer_size;
	} cq; /**< PCIe: where the completion queue is to be */
	bool create_only; /**< connect later, by spdk_nvme_ctrlr_connect_io_qpair() */
	bool async_mode; /**< connecting goes on while the qpair is polled */
	bool disable_pcie_sgl_merge; /**< PCIe */
	uint8_t reserved67[5];
	size_t opts_size; /**< size of this struct for the program */
};
SPDK_STATIC_ASSERT(sizeof(struct spdk_nvme_io_qpair_opts) == 80, "size of spdk_nvme_io_qpair_opts");

/** Why a queue pair is not connected any more. */
typedef enum spdk_nvme_qp_failure_reason {
	SPDK_NVME_QPAIR_FAILURE_NONE = 0,
	SPDK_NVME_QPAIR_FAILURE_LOCAL = 1, /**< this end */
	SPDK_NVME_QPAIR_FAILURE_REMOTE = 2, /**< the other end */
	SPDK_NVME_QPAIR_FAILURE_UNKNOWN = 3,
	SPDK_NVME_QPAIR_FAILURE_RESET = 4, /**< the controller is being reset */
} spdk_nvme_qp_failure_reason;

/*
 * Callbacks. cb_ctx and its kin are what the program gave together with the function.
 */

/** A command is done. cpl is valid during the call. */
typedef void (*spdk_nvme_cmd_cb)(void *ctx, const struct spdk_nvme_cpl *cpl);

/** Called with an asynchronous event of a controller. */
typedef void (*spdk_nvme_aer_cb)(void *aer_cb_arg, const struct spdk_nvme_cpl *cpl);

/** Called with a discovery log, which is to be given back with free(), or with the reason why there is none. */
typedef void (*spdk_nvme_discovery_cb)(void *cb_arg, int rc, const struct spdk_nvme_cpl *cpl,
				       struct spdk_nvmf_discovery_log_page *log_page);

/** A controller was found at trid. True: attach it, with opts, which may be changed. */
typedef bool (*spdk_nvme_probe_cb)(void *cb_ctx, const struct spdk_nvme_transport_id *trid,
				   struct spdk_nvme_ctrlr_opts *opts);

/** A controller is attached. opts is what it came up with. */
typedef void (*spdk_nvme_attach_cb)(void *cb_ctx, const struct spdk_nvme_transport_id *trid,
				    struct spdk_nvme_ctrlr *ctrlr, const struct spdk_nvme_ctrlr_opts *opts);

/** A controller could not be attached; rc is a negated errno. */
typedef void (*spdk_nvme_attach_fail_cb)(void *cb_ctx, const struct spdk_nvme_transport_id *trid, int rc);

/** Whether a PCIe device that is plugged in is to be looked at. */
struct spdk_pci_addr;
typedef bool (*spdk_nvme_pcie_hotplug_filter_cb)(const struct spdk_pci_addr *addr);

/** A controller is gone from the system. */
typedef void (*spdk_nvme_remove_cb)(void *cb_ctx, struct spdk_nvme_ctrlr *ctrlr);

/** A queue pair of a poll group was found disconnected. It may be connected again or freed. */
typedef void (*spdk_nvme_disconnected_qpair_cb)(struct spdk_nvme_qpair *qpair, void *poll_group_ctx);

/** An accelerated operation is done. */
typedef void (*spdk_nvme_accel_completion_cb)(void *cb_arg, int status);

/** A step of a sequence of accelerated operations is done. */
typedef void (*spdk_nvme_accel_step_cb)(void *cb_arg);

/*
 * Poll groups
 */

/** Operations on data that a poll group's owner can do faster. All three of a sequence, or none. */
struct spdk_nvme_accel_fn_table {
	size_t table_size; /**< size of this struct for the program */
	uint8_t reserved8[8];
	void (*finish_sequence)(void *seq, spdk_nvme_accel_completion_cb cb_fn, void *cb_arg);
	void (*reverse_sequence)(void *seq);
	void (*abort_sequence)(void *seq);
	int (*append_crc32c)(void *ctx, void **seq, uint32_t *dst, struct iovec *iovs, uint32_t iovcnt,
			     struct spdk_memory_domain *memory_domain, void *domain_ctx, uint32_t seed,
			     spdk_nvme_accel_step_cb cb_fn, void *cb_arg);
	int (*append_copy)(void *ctx, void **seq, struct iovec *dst_iovs, uint32_t dst_iovcnt,
			   struct spdk_memory_domain *dst_domain, void *dst_domain_ctx,
			   struct iovec *src_iovs, uint32_t src_iovcnt,
			   struct spdk_memory_domain *src_domain, void *src_domain_ctx,
			   spdk_nvme_accel_step_cb cb_fn, void *cb_arg);
};
SPDK_STATIC_ASSERT(sizeof(struct spdk_nvme_accel_fn_table) == 56, "size of spdk_nvme_accel_fn_table");

/** Statistics of one RDMA device in a poll group. */
struct spdk_nvme_rdma_device_stat {
	const char *name;
	uint64_t polls;
	uint64_t idle_polls;
	uint64_t completions;
	uint64_t queued_requests;
	uint64_t total_send_wrs;
	uint64_t send_doorbell_updates;
	uint64_t total_recv_wrs;
	uint64_t recv_doorbell_updates;
};
SPDK_STATIC_ASSERT(sizeof(struct spdk_nvme_rdma_device_stat) == 72, "size of spdk_nvme_rdma_device_stat");

/** Statistics of PCIe in a poll group. */
struct spdk_nvme_pcie_stat {
	uint64_t polls;
	uint64_t idle_polls;
	uint64_t completions;
	uint64_t cq_mmio_doorbell_updates;
	uint64_t cq_shadow_doorbell_updates;
	uint64_t submitted_requests;
	uint64_t queued_requests;
	uint64_t sq_mmio_doorbell_updates;
	uint64_t sq_shadow_doorbell_updates;
};
SPDK_STATIC_ASSERT(sizeof(struct spdk_nvme_pcie_stat) == 72, "size of spdk_nvme_pcie_stat");

/** Statistics of TCP in a poll group. */
struct spdk_nvme_tcp_stat {
	uint64_t polls;
	uint64_t idle_polls;
	uint64_t socket_completions;
	uint64_t nvme_completions;
	uint64_t submitted_requests;
	uint64_t queued_requests;
};
SPDK_STATIC_ASSERT(sizeof(struct spdk_nvme_tcp_stat) == 48, "size of spdk_nvme_tcp_stat");

/** Statistics of one transport in a poll group. */
struct spdk_nvme_transport_poll_group_stat {
	spdk_nvme_transport_type_t trtype; /**< which member of the union */
	union {
		struct {
			uint32_t num_devices;
			struct spdk_nvme_rdma_device_stat *device_stats;
		} rdma;
		struct spdk_nvme_pcie_stat pcie;
		struct spdk_nvme_tcp_stat tcp;
	};
};
SPDK_STATIC_ASSERT(sizeof(struct spdk_nvme_transport_poll_group_stat) == 80,
		   "size of spdk_nvme_transport_poll_group_stat");

/** Statistics of a poll group. */
struct spdk_nvme_poll_group_stat {
	uint32_t num_transports;
	struct spdk_nvme_transport_poll_group_stat **transport_stat;
};
SPDK_STATIC_ASSERT(sizeof(struct spdk_nvme_poll_group_stat) == 16, "size of spdk_nvme_poll_group_stat");

/*
 * Transports
 */

/** What a transport consists of, for whoever brings one: SPDK's, of another size in each release. */
struct spdk_nvme_transport_ops;

/** Options of the transports, for all controllers. */
struct spdk_nvme_transport_opts {
	uint32_t rdma_srq_size; /**< entries of a shared receive queue; 0: none is used */
	uint8_t reserved4[4];
	size_t opts_size; /**< size of this struct for the program */
	uint32_t rdma_max_cq_size; /**< most entries of a completion queue; 0: the device's limit */
	uint16_t rdma_cm_event_timeout_ms; /**< how long to wait for an event of the connection manager */
	bool rdma_umr_per_io;
	uint8_t reserved23;
	uint32_t tcp_connect_timeout_ms;
};
SPDK_STATIC_ASSERT(sizeof(struct spdk_nvme_transport_opts) == 32, "size of spdk_nvme_transport_opts");

/** How a program brings its own protection domain and keys. */
struct spdk_nvme_rdma_hooks {
	struct ibv_pd *(*get_ibv_pd)(const struct spdk_nvme_transport_id *trid, struct ibv_context *verbs);
	uint64_t (*get_rkey)(struct ibv_pd *pd, void *buf, size_t size);
	void (*put_rkey)(uint64_t key);
};
SPDK_STATIC_ASSERT(sizeof(struct spdk_nvme_rdma_hooks) == 24, "size of spdk_nvme_rdma_hooks");

#pragma GCC diagnostic pop

#ifdef __cplusplus
}
#endif

#endif /* SPDK_NVME_TYPES_H */
