/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * NVMe over Fabrics as data: fabrics commands, discovery, authentication, and what the RDMA and TCP transports
 * add, for programs written against SPDK.
 *
 * Section numbers refer to the NVM Express Base Specification 2.0 ("Base"), the RDMA Transport Specification 1.0
 * ("RDMA") and the TCP Transport Specification 1.0 ("TCP").
 */

#ifndef SPDK_NVMF_SPEC_H
#define SPDK_NVMF_SPEC_H

#include "spdk/stdinc.h"
#include "spdk/assert.h"
#include "spdk/nvme_spec.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Bit-fields of other types than int, members without a name and arrays without a length are how the
 * layouts of the specification are written down; -Wpedantic has nothing to tell about them.
 */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpedantic"

/*
 * Fabrics commands (Base 6)
 */

/** Opcode of all fabrics commands */
#define SPDK_NVME_OPC_FABRIC 0x7f

/** What all fabrics commands have in common */
#pragma pack(push, 1)
struct spdk_nvmf_capsule_cmd {
	uint8_t opcode;
	uint8_t reserved1;
	uint16_t cid;
	uint8_t fctype; /**< enum spdk_nvmf_fabric_cmd_types */
	uint8_t reserved2[35];
	uint8_t fabric_specific[24];
};
#pragma pack(pop)
SPDK_STATIC_ASSERT(sizeof(struct spdk_nvmf_capsule_cmd) == 64, "size of spdk_nvmf_capsule_cmd");

/** FCTYPE: which fabrics command */
enum spdk_nvmf_fabric_cmd_types {
	SPDK_NVMF_FABRIC_COMMAND_PROPERTY_SET = 0x0,
	SPDK_NVMF_FABRIC_COMMAND_CONNECT = 0x1,
	SPDK_NVMF_FABRIC_COMMAND_PROPERTY_GET = 0x4,
	SPDK_NVMF_FABRIC_COMMAND_AUTHENTICATION_SEND = 0x5,
	SPDK_NVMF_FABRIC_COMMAND_AUTHENTICATION_RECV = 0x6,
	SPDK_NVMF_FABRIC_COMMAND_START_VENDOR_SPECIFIC = 0xc0,
};

/** Command specific status of fabrics commands */
enum spdk_nvmf_fabric_cmd_status_code {
	SPDK_NVMF_FABRIC_SC_INCOMPATIBLE_FORMAT = 0x80,
	SPDK_NVMF_FABRIC_SC_CONTROLLER_BUSY = 0x81,
	SPDK_NVMF_FABRIC_SC_INVALID_PARAM = 0x82,
	SPDK_NVMF_FABRIC_SC_RESTART_DISCOVERY = 0x83,
	SPDK_NVMF_FABRIC_SC_INVALID_HOST = 0x84,
	SPDK_NVMF_FABRIC_SC_LOG_RESTART_DISCOVERY = 0x90,
	SPDK_NVMF_FABRIC_SC_AUTH_REQUIRED = 0x91,
};

/** Names. The shortest NQN is its prefix alone; the longest is 223 bytes (Base 4.5) */
#define SPDK_NVMF_NQN_MIN_LEN 11
#define SPDK_NVMF_NQN_MAX_LEN 223
#define SPDK_NVMF_NQN_UUID_PRE_LEN 32
#define SPDK_NVMF_UUID_STRING_LEN 36
#define SPDK_NVMF_NQN_UUID_PRE "nqn.2014-08.org.nvmexpress:uuid:"
#define SPDK_NVMF_DISCOVERY_NQN "nqn.2014-08.org.nvmexpress.discovery"
#define SPDK_DOMAIN_LABEL_MAX_LEN 63

/** Lengths of the parts of a transport id, without the ending zero byte */
#define SPDK_NVMF_TRSTRING_MAX_LEN 32
#define SPDK_NVMF_TRADDR_MAX_LEN 256
#define SPDK_NVMF_TRSVCID_MAX_LEN 32

/** An admin queue of this size is always accepted */
#define SPDK_NVMF_MIN_ADMIN_MAX_SQ_SIZE 32

/** Data of Connect */
#pragma pack(push, 1)
struct spdk_nvmf_fabric_connect_data {
	uint8_t hostid[16]; /**< 128-bit host identifier */
	uint16_t cntlid; /**< 0xffff: any controller (dynamic model) */
	uint8_t reserved5[238];
	uint8_t subnqn[256];
	uint8_t hostnqn[256];
	uint8_t reserved6[256];
};
#pragma pack(pop)
SPDK_STATIC_ASSERT(sizeof(struct spdk_nvmf_fabric_connect_data) == 1024, "size of spdk_nvmf_fabric_connect_data");

/** Connect */
#pragma pack(push, 1)
struct spdk_nvmf_fabric_connect_cmd {
	uint8_t opcode;
	uint8_t reserved1;
	uint16_t cid;
	uint8_t fctype;
	uint8_t reserved2[19];
	struct spdk_nvme_sgl_descriptor sgl1;
	uint16_t recfmt; /**< record format, 0 */
	uint16_t qid; /**< 0 for the admin queue */
	uint16_t sqsize; /**< entries, 0's based */
	uint8_t cattr; /**< connect attributes */
	uint8_t reserved3;
	uint32_t kato; /**< keep alive timeout, ms */
	uint8_t reserved4[12];
};
#pragma pack(pop)
SPDK_STATIC_ASSERT(sizeof(struct spdk_nvmf_fabric_connect_cmd) == 64, "size of spdk_nvmf_fabric_connect_cmd");

/** Answer to Connect */
#pragma pack(push, 1)
struct spdk_nvmf_fabric_connect_rsp {
	union {
		struct {
			uint16_t cntlid;
			struct {
				uint16_t reserved1 : 1;
				uint16_t atr : 1;
				uint16_t ascr : 1;
				uint16_t reserved2 : 13;
			} authreq;
		} success;
		struct {
			uint16_t ipo;
			uint8_t iattr;
			uint8_t reserved;
		} invalid;
		uint32_t raw;
	} status_code_specific;
	uint32_t reserved0;
	uint16_t sqhd;
	uint16_t reserved1;
	uint16_t cid;
	struct spdk_nvme_status status;
};
#pragma pack(pop)
SPDK_STATIC_ASSERT(sizeof(struct spdk_nvmf_fabric_connect_rsp) == 16, "size of spdk_nvmf_fabric_connect_rsp");

/** ATTRIB of Property Get and Property Set: four or eight bytes */
#define SPDK_NVMF_PROP_SIZE_4 0
#define SPDK_NVMF_PROP_SIZE_8 1

/** Property Get */
#pragma pack(push, 1)
struct spdk_nvmf_fabric_prop_get_cmd {
	uint8_t opcode;
	uint8_t reserved1;
	uint16_t cid;
	uint8_t fctype;
	uint8_t reserved2[35];
	struct {
		uint8_t size : 3;
		uint8_t reserved : 5;
	} attrib;
	uint8_t reserved3[3];
	uint32_t ofst; /**< offset of the property in struct spdk_nvme_registers */
	uint8_t reserved4[16];
};
#pragma pack(pop)
SPDK_STATIC_ASSERT(sizeof(struct spdk_nvmf_fabric_prop_get_cmd) == 64, "size of spdk_nvmf_fabric_prop_get_cmd");

/** Answer to Property Get */
#pragma pack(push, 1)
struct spdk_nvmf_fabric_prop_get_rsp {
	union {
		uint64_t u64;
		struct {
			uint32_t low;
			uint32_t high;
		} u32;
	} value;
	uint16_t sqhd;
	uint16_t reserved0;
	uint16_t cid;
	struct spdk_nvme_status status;
};
#pragma pack(pop)
SPDK_STATIC_ASSERT(sizeof(struct spdk_nvmf_fabric_prop_get_rsp) == 16, "size of spdk_nvmf_fabric_prop_get_rsp");

/** Property Set */
#pragma pack(push, 1)
struct spdk_nvmf_fabric_prop_set_cmd {
	uint8_t opcode;
	uint8_t reserved0;
	uint16_t cid;
	uint8_t fctype;
	uint8_t reserved1[35];
	struct {
		uint8_t size : 3;
		uint8_t reserved : 5;
	} attrib;
	uint8_t reserved2[3];
	uint32_t ofst; /**< offset of the property in struct spdk_nvme_registers */
	union {
		uint64_t u64;
		struct {
			uint32_t low;
			uint32_t high;
		} u32;
	} value;
	uint8_t reserved4[8];
};
#pragma pack(pop)
SPDK_STATIC_ASSERT(sizeof(struct spdk_nvmf_fabric_prop_set_cmd) == 64, "size of spdk_nvmf_fabric_prop_set_cmd");

/** Authentication Receive */
#pragma pack(push, 1)
struct spdk_nvmf_fabric_auth_recv_cmd {
	uint8_t opcode;
	uint8_t reserved1;
	uint16_t cid;
	uint8_t fctype;
	uint8_t reserved2[19];
	struct spdk_nvme_sgl_descriptor sgl1;
	uint8_t reserved3;
	uint8_t spsp0;
	uint8_t spsp1;
	uint8_t secp;
	uint32_t al;
	uint8_t reserved4[16];
};
#pragma pack(pop)
SPDK_STATIC_ASSERT(sizeof(struct spdk_nvmf_fabric_auth_recv_cmd) == 64, "size of spdk_nvmf_fabric_auth_recv_cmd");

/** Authentication Send */
#pragma pack(push, 1)
struct spdk_nvmf_fabric_auth_send_cmd {
	uint8_t opcode;
	uint8_t reserved1;
	uint16_t cid;
	uint8_t fctype;
	uint8_t reserved2[19];
	struct spdk_nvme_sgl_descriptor sgl1;
	uint8_t reserved3;
	uint8_t spsp0;
	uint8_t spsp1;
	uint8_t secp;
	uint32_t tl;
	uint8_t reserved4[16];
};
#pragma pack(pop)
SPDK_STATIC_ASSERT(sizeof(struct spdk_nvmf_fabric_auth_send_cmd) == 64, "size of spdk_nvmf_fabric_auth_send_cmd");

/*
 * Discovery (Base 5.16.1.23)
 */

/** Transport type */
enum spdk_nvmf_trtype {
	SPDK_NVMF_TRTYPE_RDMA = 0x1,
	SPDK_NVMF_TRTYPE_FC = 0x2,
	SPDK_NVMF_TRTYPE_TCP = 0x3,
	SPDK_NVMF_TRTYPE_INTRA_HOST = 0xfe,
};

/** Address family */
enum spdk_nvmf_adrfam {
	SPDK_NVMF_ADRFAM_NOT_SPECIFIED = 0x0,
	SPDK_NVMF_ADRFAM_IPV4 = 0x1,
	SPDK_NVMF_ADRFAM_IPV6 = 0x2,
	SPDK_NVMF_ADRFAM_IB = 0x3,
	SPDK_NVMF_ADRFAM_FC = 0x4,
	SPDK_NVMF_ADRFAM_INTRA_HOST = 0xfe,
};

/** Type of the subsystem */
enum spdk_nvmf_subtype {
	SPDK_NVMF_SUBTYPE_DISCOVERY = 1,
	SPDK_NVMF_SUBTYPE_NVME = 2,
	SPDK_NVMF_SUBTYPE_DISCOVERY_CURRENT = 3,
};

/** TREQ: whether a secure channel is needed */
enum spdk_nvmf_treq_secure_channel {
	SPDK_NVMF_TREQ_SECURE_CHANNEL_NOT_SPECIFIED = 0,
	SPDK_NVMF_TREQ_SECURE_CHANNEL_REQUIRED = 1,
	SPDK_NVMF_TREQ_SECURE_CHANNEL_NOT_REQUIRED = 2,
};

/** RDMA: type of the queue pair (RDMA 3.2) */
enum spdk_nvmf_rdma_qptype {
	SPDK_NVMF_RDMA_QPTYPE_RELIABLE_CONNECTED = 1,
	SPDK_NVMF_RDMA_QPTYPE_RELIABLE_DATAGRAM = 2,
};

/** RDMA: provider type */
enum spdk_nvmf_rdma_prtype {
	SPDK_NVMF_RDMA_PRTYPE_NONE = 1,
	SPDK_NVMF_RDMA_PRTYPE_IB = 2,
	SPDK_NVMF_RDMA_PRTYPE_ROCE = 3,
	SPDK_NVMF_RDMA_PRTYPE_ROCE2 = 4,
	SPDK_NVMF_RDMA_PRTYPE_IWARP = 5,
};

/** RDMA: connection management service */
enum spdk_nvmf_rdma_cms {
	SPDK_NVMF_RDMA_CMS_RDMA_CM = 1,
};

/** TSAS of an RDMA port */
#pragma pack(push, 1)
struct spdk_nvmf_rdma_transport_specific_address_subtype {
	uint8_t rdma_qptype;
	uint8_t rdma_prtype;
	uint8_t rdma_cms;
	uint8_t reserved0[5];
	uint16_t rdma_pkey;
	uint8_t reserved2[246];
};
#pragma pack(pop)
SPDK_STATIC_ASSERT(sizeof(struct spdk_nvmf_rdma_transport_specific_address_subtype) == 256, "size of spdk_nvmf_rdma_transport_specific_address_subtype");

/** TCP: security of the socket */
enum spdk_nvme_tcp_secure_socket_type {
	SPDK_NVME_TCP_SECURITY_NONE = 0,
	SPDK_NVME_TCP_SECURITY_TLS_1_2 = 1,
	SPDK_NVME_TCP_SECURITY_TLS_1_3 = 2,
};

/** TSAS of a TCP port */
struct spdk_nvme_tcp_transport_specific_address_subtype {
	uint8_t sectype;
	uint8_t reserved0[255];
};
SPDK_STATIC_ASSERT(sizeof(struct spdk_nvme_tcp_transport_specific_address_subtype) == 256, "size of spdk_nvme_tcp_transport_specific_address_subtype");

/** TSAS */
union spdk_nvmf_transport_specific_address_subtype {
	uint8_t raw[256];
	struct spdk_nvmf_rdma_transport_specific_address_subtype rdma;
	struct spdk_nvme_tcp_transport_specific_address_subtype tcp;
};
SPDK_STATIC_ASSERT(sizeof(union spdk_nvmf_transport_specific_address_subtype) == 256, "size of spdk_nvmf_transport_specific_address_subtype");

/** EFLAGS: duplicate information; explicit persistent connection */
#define SPDK_NVMF_DISCOVERY_LOG_EFLAGS_DUPRETINFO (1u << 0u)
#define SPDK_NVMF_DISCOVERY_LOG_EFLAGS_EPCSD (1u << 1u)

/** One entry of the discovery log page */
#pragma pack(push, 1)
struct spdk_nvmf_discovery_log_page_entry {
	uint8_t trtype; /**< enum spdk_nvmf_trtype */
	uint8_t adrfam; /**< enum spdk_nvmf_adrfam */
	uint8_t subtype; /**< enum spdk_nvmf_subtype */
	/** requirements of the transport */
	struct {
		uint8_t secure_channel : 2;
		uint8_t reserved : 6;
	} treq;
	uint16_t portid; /**< port of the subsystem */
	uint16_t cntlid; /**< 0xffff: dynamic, 0xfffe: static controller model */
	uint16_t asqsz; /**< largest admin submission queue */
	uint16_t eflags;
	uint8_t reserved0[20];
	uint8_t trsvcid[32]; /**< ASCII, filled up with blanks */
	uint8_t reserved1[192];
	uint8_t subnqn[256]; /**< ends with a zero byte */
	uint8_t traddr[256]; /**< ASCII, filled up with blanks */
	union spdk_nvmf_transport_specific_address_subtype tsas;
};
#pragma pack(pop)
SPDK_STATIC_ASSERT(sizeof(struct spdk_nvmf_discovery_log_page_entry) == 1024, "size of spdk_nvmf_discovery_log_page_entry");

/** Discovery log page: header and entries */
#pragma pack(push, 1)
struct spdk_nvmf_discovery_log_page {
	uint64_t genctr; /**< changes with every change of the log */
	uint64_t numrec; /**< number of entries */
	uint16_t recfmt; /**< record format, 0 */
	uint8_t reserved0[1006];
	struct spdk_nvmf_discovery_log_page_entry entries[0];
};
#pragma pack(pop)
SPDK_STATIC_ASSERT(sizeof(struct spdk_nvmf_discovery_log_page) == 1024, "size of spdk_nvmf_discovery_log_page");

/*
 * In-band authentication: DH-HMAC-CHAP (Base 8.13)
 */

/** SECP of Authentication Send and Receive */
#define SPDK_NVMF_AUTH_SECP_NVME 0xe9

/** Type of an authentication message */
enum spdk_nvmf_auth_type {
	SPDK_NVMF_AUTH_TYPE_COMMON_MESSAGE = 0,
	SPDK_NVMF_AUTH_TYPE_DHCHAP = 1,
};

/** Identifier of an authentication message */
enum spdk_nvmf_auth_id {
	SPDK_NVMF_AUTH_ID_NEGOTIATE = 0x0,
	SPDK_NVMF_AUTH_ID_DHCHAP_CHALLENGE = 0x1,
	SPDK_NVMF_AUTH_ID_DHCHAP_REPLY = 0x2,
	SPDK_NVMF_AUTH_ID_DHCHAP_SUCCESS1 = 0x3,
	SPDK_NVMF_AUTH_ID_DHCHAP_SUCCESS2 = 0x4,
	SPDK_NVMF_AUTH_ID_FAILURE2 = 0xf0,
	SPDK_NVMF_AUTH_ID_FAILURE1 = 0xf1,
};

/** Hash functions */
enum spdk_nvmf_dhchap_hash {
	SPDK_NVMF_DHCHAP_HASH_NONE = 0,
	SPDK_NVMF_DHCHAP_HASH_SHA256 = 1,
	SPDK_NVMF_DHCHAP_HASH_SHA384 = 2,
	SPDK_NVMF_DHCHAP_HASH_SHA512 = 3,
};

/** Diffie-Hellman groups */
enum spdk_nvmf_dhchap_dhgroup {
	SPDK_NVMF_DHCHAP_DHGROUP_NULL = 0,
	SPDK_NVMF_DHCHAP_DHGROUP_2048 = 1,
	SPDK_NVMF_DHCHAP_DHGROUP_3072 = 2,
	SPDK_NVMF_DHCHAP_DHGROUP_4096 = 3,
	SPDK_NVMF_DHCHAP_DHGROUP_6144 = 4,
	SPDK_NVMF_DHCHAP_DHGROUP_8192 = 5,
};

/** Negotiate: one protocol */
struct spdk_nvmf_auth_descriptor {
	uint8_t auth_id;
	uint8_t reserved0;
	uint8_t halen;
	uint8_t dhlen;
	uint8_t hash_id_list[30];
	uint8_t dhg_id_list[30];
};
SPDK_STATIC_ASSERT(sizeof(struct spdk_nvmf_auth_descriptor) == 64, "size of spdk_nvmf_auth_descriptor");

/** Negotiate: secure channel */
enum spdk_nvmf_auth_scc {
	SPDK_NVMF_AUTH_SCC_DISABLED = 0,
	SPDK_NVMF_AUTH_SCC_TLS = 1,
};

/** AUTH_Negotiate */
#pragma pack(push, 1)
struct spdk_nvmf_auth_negotiate {
	uint8_t auth_type;
	uint8_t auth_id;
	uint8_t reserved0[2];
	uint16_t t_id;
	uint8_t sc_c;
	uint8_t napd;
	struct spdk_nvmf_auth_descriptor descriptors[0];
};
#pragma pack(pop)
SPDK_STATIC_ASSERT(sizeof(struct spdk_nvmf_auth_negotiate) == 8, "size of spdk_nvmf_auth_negotiate");

/** DH-HMAC-CHAP_Challenge */
#pragma pack(push, 1)
struct spdk_nvmf_dhchap_challenge {
	uint8_t auth_type;
	uint8_t auth_id;
	uint8_t reserved0[2];
	uint16_t t_id;
	uint8_t hl;
	uint8_t reserved1;
	uint8_t hash_id;
	uint8_t dhg_id;
	uint16_t dhvlen;
	uint32_t seqnum;
	uint8_t cval[0];
};
#pragma pack(pop)
SPDK_STATIC_ASSERT(sizeof(struct spdk_nvmf_dhchap_challenge) == 16, "size of spdk_nvmf_dhchap_challenge");

/** DH-HMAC-CHAP_Reply */
#pragma pack(push, 1)
struct spdk_nvmf_dhchap_reply {
	uint8_t auth_type;
	uint8_t auth_id;
	uint8_t reserved0[2];
	uint16_t t_id;
	uint8_t hl;
	uint8_t reserved1;
	uint8_t cvalid;
	uint8_t reserved2;
	uint16_t dhvlen;
	uint32_t seqnum;
	uint8_t rval[0];
};
#pragma pack(pop)
SPDK_STATIC_ASSERT(sizeof(struct spdk_nvmf_dhchap_reply) == 16, "size of spdk_nvmf_dhchap_reply");

/** DH-HMAC-CHAP_Success1 */
#pragma pack(push, 1)
struct spdk_nvmf_dhchap_success1 {
	uint8_t auth_type;
	uint8_t auth_id;
	uint8_t reserved0[2];
	uint16_t t_id;
	uint8_t hl;
	uint8_t reserved1;
	uint8_t rvalid;
	uint8_t reserved2[7];
	uint8_t rval[0];
};
#pragma pack(pop)
SPDK_STATIC_ASSERT(sizeof(struct spdk_nvmf_dhchap_success1) == 16, "size of spdk_nvmf_dhchap_success1");

/** DH-HMAC-CHAP_Success2 */
#pragma pack(push, 1)
struct spdk_nvmf_dhchap_success2 {
	uint8_t auth_type;
	uint8_t auth_id;
	uint8_t reserved0[2];
	uint16_t t_id;
	uint8_t reserved1[10];
};
#pragma pack(pop)
SPDK_STATIC_ASSERT(sizeof(struct spdk_nvmf_dhchap_success2) == 16, "size of spdk_nvmf_dhchap_success2");

/** Why authentication failed */
enum spdk_nvmf_auth_failure_reason {
	SPDK_NVMF_AUTH_FAILED = 1,
	SPDK_NVMF_AUTH_PROTOCOL_UNUSABLE = 2,
	SPDK_NVMF_AUTH_SCC_MISMATCH = 3,
	SPDK_NVMF_AUTH_HASH_UNUSABLE = 4,
	SPDK_NVMF_AUTH_DHGROUP_UNUSABLE = 5,
	SPDK_NVMF_AUTH_INCORRECT_PAYLOAD = 6,
	SPDK_NVMF_AUTH_INCORRECT_PROTOCOL_MESSAGE = 7,
};

/** Reason code of AUTH_Failure1 and AUTH_Failure2 */
#define SPDK_NVMF_AUTH_FAILURE 1

/** AUTH_Failure1 and AUTH_Failure2 */
#pragma pack(push, 1)
struct spdk_nvmf_auth_failure {
	uint8_t auth_type;
	uint8_t auth_id;
	uint8_t reserved0[2];
	uint16_t t_id;
	uint8_t rc;
	uint8_t rce;
};
#pragma pack(pop)
SPDK_STATIC_ASSERT(sizeof(struct spdk_nvmf_auth_failure) == 8, "size of spdk_nvmf_auth_failure");

/*
 * RDMA transport (RDMA 3)
 */

/** Keyed data block subtype: the controller invalidates the key with its answer */
#define SPDK_NVME_SGL_SUBTYPE_INVALIDATE_KEY 0xF

/** Private data of the connect request */
#pragma pack(push, 1)
struct spdk_nvmf_rdma_request_private_data {
	uint16_t recfmt; /**< record format, 0 */
	uint16_t qid;
	uint16_t hrqsize; /**< receive queue entries of the host */
	uint16_t hsqsize; /**< send queue entries of the host, 0's based */
	uint16_t cntlid;
	uint8_t reserved[22];
};
#pragma pack(pop)
SPDK_STATIC_ASSERT(sizeof(struct spdk_nvmf_rdma_request_private_data) == 32, "size of spdk_nvmf_rdma_request_private_data");

/** Private data of the accept */
#pragma pack(push, 1)
struct spdk_nvmf_rdma_accept_private_data {
	uint16_t recfmt; /**< record format, 0 */
	uint16_t crqsize; /**< receive queue entries of the controller */
	uint8_t reserved[28];
};
#pragma pack(pop)
SPDK_STATIC_ASSERT(sizeof(struct spdk_nvmf_rdma_accept_private_data) == 32, "size of spdk_nvmf_rdma_accept_private_data");

/** Private data of the reject */
#pragma pack(push, 1)
struct spdk_nvmf_rdma_reject_private_data {
	uint16_t recfmt;
	uint16_t sts; /**< enum spdk_nvmf_rdma_transport_error */
};
#pragma pack(pop)
SPDK_STATIC_ASSERT(sizeof(struct spdk_nvmf_rdma_reject_private_data) == 4, "size of spdk_nvmf_rdma_reject_private_data");

/** Private data */
union spdk_nvmf_rdma_private_data {
	struct spdk_nvmf_rdma_request_private_data pd_request;
	struct spdk_nvmf_rdma_accept_private_data pd_accept;
	struct spdk_nvmf_rdma_reject_private_data pd_reject;
};
SPDK_STATIC_ASSERT(sizeof(union spdk_nvmf_rdma_private_data) == 32, "size of spdk_nvmf_rdma_private_data");

/** Why a connection was rejected */
enum spdk_nvmf_rdma_transport_error {
	SPDK_NVMF_RDMA_ERROR_INVALID_PRIVATE_DATA_LENGTH = 1,
	SPDK_NVMF_RDMA_ERROR_INVALID_RECFMT = 2,
	SPDK_NVMF_RDMA_ERROR_INVALID_QID = 3,
	SPDK_NVMF_RDMA_ERROR_INVALID_HSQSIZE = 4,
	SPDK_NVMF_RDMA_ERROR_INVALID_HRQSIZE = 5,
	SPDK_NVMF_RDMA_ERROR_NO_RESOURCES = 6,
	SPDK_NVMF_RDMA_ERROR_INVALID_IRD = 7,
	SPDK_NVMF_RDMA_ERROR_INVALID_ORD = 8,
};

/*
 * TCP transport (TCP 3.6)
 */

/** PDU type */
enum spdk_nvme_tcp_pdu_type {
	SPDK_NVME_TCP_PDU_TYPE_IC_REQ = 0,
	SPDK_NVME_TCP_PDU_TYPE_IC_RESP = 1,
	SPDK_NVME_TCP_PDU_TYPE_H2C_TERM_REQ = 2,
	SPDK_NVME_TCP_PDU_TYPE_C2H_TERM_REQ = 3,
	SPDK_NVME_TCP_PDU_TYPE_CAPSULE_CMD = 4,
	SPDK_NVME_TCP_PDU_TYPE_CAPSULE_RESP = 5,
	SPDK_NVME_TCP_PDU_TYPE_H2C_DATA = 6,
	SPDK_NVME_TCP_PDU_TYPE_C2H_DATA = 7,
	SPDK_NVME_TCP_PDU_TYPE_R2T = 9,
};

/** Common header */
#pragma pack(push, 1)
struct spdk_nvme_tcp_common_pdu_hdr {
	uint8_t pdu_type;
	uint8_t flags;
	uint8_t hlen;
	uint8_t pdo;
	uint32_t plen;
};
#pragma pack(pop)
SPDK_STATIC_ASSERT(sizeof(struct spdk_nvme_tcp_common_pdu_hdr) == 8, "size of spdk_nvme_tcp_common_pdu_hdr");

/** Common header: digests follow */
#define SPDK_NVME_TCP_CH_FLAGS_HDGSTF (1u << 0)
#define SPDK_NVME_TCP_CH_FLAGS_DDGSTF (1u << 1)

/** ICReq */
#pragma pack(push, 1)
struct spdk_nvme_tcp_ic_req {
	struct spdk_nvme_tcp_common_pdu_hdr common;
	uint16_t pfv;
	uint8_t hpda;
	union {
		uint8_t raw;
		struct {
			uint8_t hdgst_enable : 1;
			uint8_t ddgst_enable : 1;
			uint8_t reserved : 6;
		} bits;
	} dgst;
	uint32_t maxr2t;
	uint8_t reserved16[112];
};
#pragma pack(pop)
SPDK_STATIC_ASSERT(sizeof(struct spdk_nvme_tcp_ic_req) == 128, "size of spdk_nvme_tcp_ic_req");

/** Data alignment: largest value of CPDA and HPDA, and the largest PDO that follows from it */
#define SPDK_NVME_TCP_CPDA_MAX 31
#define SPDK_NVME_TCP_HPDA_MAX 31
#define SPDK_NVME_TCP_PDU_PDO_MAX_OFFSET ((SPDK_NVME_TCP_CPDA_MAX + 1) << 2)

/** ICResp */
#pragma pack(push, 1)
struct spdk_nvme_tcp_ic_resp {
	struct spdk_nvme_tcp_common_pdu_hdr common;
	uint16_t pfv;
	uint8_t cpda;
	union {
		uint8_t raw;
		struct {
			uint8_t hdgst_enable : 1;
			uint8_t ddgst_enable : 1;
			uint8_t reserved : 6;
		} bits;
	} dgst;
	uint32_t maxh2cdata;
	uint8_t reserved16[112];
};
#pragma pack(pop)
SPDK_STATIC_ASSERT(sizeof(struct spdk_nvme_tcp_ic_resp) == 128, "size of spdk_nvme_tcp_ic_resp");

/** H2CTermReq and C2HTermReq: header */
#pragma pack(push, 1)
struct spdk_nvme_tcp_term_req_hdr {
	struct spdk_nvme_tcp_common_pdu_hdr common;
	uint16_t fes;
	uint8_t fei[4];
	uint8_t reserved14[10];
};
#pragma pack(pop)
SPDK_STATIC_ASSERT(sizeof(struct spdk_nvme_tcp_term_req_hdr) == 24, "size of spdk_nvme_tcp_term_req_hdr");

/** TermReq: fatal error status */
enum spdk_nvme_tcp_term_req_fes {
	SPDK_NVME_TCP_TERM_REQ_FES_INVALID_HEADER_FIELD = 1,
	SPDK_NVME_TCP_TERM_REQ_FES_PDU_SEQUENCE_ERROR = 2,
	SPDK_NVME_TCP_TERM_REQ_FES_HDGST_ERROR = 3,
	SPDK_NVME_TCP_TERM_REQ_FES_DATA_TRANSFER_OUT_OF_RANGE = 4,
	SPDK_NVME_TCP_TERM_REQ_FES_DATA_TRANSFER_LIMIT_EXCEEDED = 5,
	SPDK_NVME_TCP_TERM_REQ_FES_R2T_LIMIT_EXCEEDED = 5,
	SPDK_NVME_TCP_TERM_REQ_FES_INVALID_DATA_UNSUPPORTED_PARAMETER = 6,
};

/** TermReq: bytes of the offending PDU that it carries, and its own length with them */
#define SPDK_NVME_TCP_TERM_REQ_ERROR_DATA_MAX_SIZE 128
#define SPDK_NVME_TCP_TERM_REQ_PDU_MAX_SIZE \
	(SPDK_NVME_TCP_TERM_REQ_ERROR_DATA_MAX_SIZE + sizeof(struct spdk_nvme_tcp_term_req_hdr))

/** CapsuleCmd */
#pragma pack(push, 1)
struct spdk_nvme_tcp_cmd {
	struct spdk_nvme_tcp_common_pdu_hdr common;
	struct spdk_nvme_cmd ccsqe;
};
#pragma pack(pop)
SPDK_STATIC_ASSERT(sizeof(struct spdk_nvme_tcp_cmd) == 72, "size of spdk_nvme_tcp_cmd");

/** CapsuleResp */
#pragma pack(push, 1)
struct spdk_nvme_tcp_rsp {
	struct spdk_nvme_tcp_common_pdu_hdr common;
	struct spdk_nvme_cpl rccqe;
};
#pragma pack(pop)
SPDK_STATIC_ASSERT(sizeof(struct spdk_nvme_tcp_rsp) == 24, "size of spdk_nvme_tcp_rsp");

/** H2CData: header */
#pragma pack(push, 1)
struct spdk_nvme_tcp_h2c_data_hdr {
	struct spdk_nvme_tcp_common_pdu_hdr common;
	uint16_t cccid;
	uint16_t ttag;
	uint32_t datao;
	uint32_t datal;
	uint8_t reserved20[4];
};
#pragma pack(pop)
SPDK_STATIC_ASSERT(sizeof(struct spdk_nvme_tcp_h2c_data_hdr) == 24, "size of spdk_nvme_tcp_h2c_data_hdr");

/** H2CData: flags, and the unit of PDO */
#define SPDK_NVME_TCP_H2C_DATA_FLAGS_SUCCESS (1u << 3)
#define SPDK_NVME_TCP_H2C_DATA_FLAGS_LAST_PDU (1u << 2)
#define SPDK_NVME_TCP_H2C_DATA_PDO_MULT 8u

/** C2HData: header */
#pragma pack(push, 1)
struct spdk_nvme_tcp_c2h_data_hdr {
	struct spdk_nvme_tcp_common_pdu_hdr common;
	uint16_t cccid;
	uint8_t reserved10[2];
	uint32_t datao;
	uint32_t datal;
	uint8_t reserved20[4];
};
#pragma pack(pop)
SPDK_STATIC_ASSERT(sizeof(struct spdk_nvme_tcp_c2h_data_hdr) == 24, "size of spdk_nvme_tcp_c2h_data_hdr");

/** C2HData: flags, and the unit of PDO */
#define SPDK_NVME_TCP_C2H_DATA_FLAGS_SUCCESS (1u << 3)
#define SPDK_NVME_TCP_C2H_DATA_FLAGS_LAST_PDU (1u << 2)
#define SPDK_NVME_TCP_C2H_DATA_PDO_MULT 8u

/** R2T */
#pragma pack(push, 1)
struct spdk_nvme_tcp_r2t_hdr {
	struct spdk_nvme_tcp_common_pdu_hdr common;
	uint16_t cccid;
	uint16_t ttag;
	uint32_t r2to;
	uint32_t r2tl;
	uint8_t reserved20[4];
};
#pragma pack(pop)
SPDK_STATIC_ASSERT(sizeof(struct spdk_nvme_tcp_r2t_hdr) == 24, "size of spdk_nvme_tcp_r2t_hdr");

#pragma GCC diagnostic pop

#ifdef __cplusplus
}
#endif

#endif /* SPDK_NVMF_SPEC_H */
