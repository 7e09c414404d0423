/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * NVMe host: controllers, namespaces, queue pairs and poll groups. Types and macros are in nvme_types.h.
 */

#ifndef SPDK_NVME_H
#define SPDK_NVME_H

/* Generated from src/abi by cbindgen; NVME_RDMA_UPDATE_HEADERS=1 cargo build writes it anew. */

#include "spdk/env.h"
#include "spdk/nvme_types.h"

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * Reads a transport id from text, such as "trtype:RDMA adrfam:IPv4 traddr:192.0.2.1 trsvcid:4420".
 *
 * Keys and values are separated by ':' or '=', pairs by blanks, tabs or newlines. Keys, in any case: trtype, adrfam
 * (IPv4, IPv6, IB, FC), traddr, trsvcid, subnqn, priority. The keys hostaddr, hostsvcid, hostnqn, ns and alt_traddr
 * are left for the program to look at; any other key is named in a log line and left out.
 *
 * Members that no key names stay as they are, so fill the transport id with zeros or defaults before.
 *
 * Returns 0, or -EINVAL for an argument that is NULL, a pair without separator or value, or a value that is too
 * long or unknown. What stands before the error in the text has been stored then.
 *
 * What must hold:
 * trid is NULL or points to a transport id that can be written. str is NULL or a C string.
 */
int spdk_nvme_transport_id_parse(struct spdk_nvme_transport_id *trid,
                                 const char *str);

/**
 * Sets the type of a transport id and the name that goes with it.
 *
 * For a type that has no name only the type is set, and a log line says so.
 *
 * What must hold:
 * trid points to a transport id that can be written.
 */
void spdk_nvme_trid_populate_transport(struct spdk_nvme_transport_id *trid,
                                       enum spdk_nvme_transport_type trtype);

/**
 * Sets the name of a transport id's transport, in upper case. The type stays as it is.
 *
 * Returns 0, or -EINVAL for an argument that is NULL or a name that is too long, which is not stored.
 *
 * What must hold:
 * trid is NULL or points to a transport id that can be written. trstring is NULL or a C string.
 */
int spdk_nvme_transport_id_populate_trstring(struct spdk_nvme_transport_id *trid, const char *trstring);

/**
 * Reads a transport type from its name, in any case. A name that is not known is that of a custom transport.
 *
 * Returns 0, or -EINVAL for an argument that is NULL.
 *
 * What must hold:
 * trtype is NULL or can be written. str is NULL or a C string.
 */
int spdk_nvme_transport_id_parse_trtype(enum spdk_nvme_transport_type *trtype, const char *str);

/**
 * The name of a transport type: "PCIe", "RDMA", "FC", "TCP", "VFIOUSER", "CUSTOM"; NULL if it has none.
 */
const char *spdk_nvme_transport_id_trtype_str(enum spdk_nvme_transport_type trtype);

/**
 * Reads an address family from its name, in any case: IPv4, IPv6, IB, FC.
 *
 * Returns 0, -EINVAL for an argument that is NULL, or -ENOENT for a name that is not known; then nothing is stored.
 *
 * What must hold:
 * adrfam is NULL or can be written. str is NULL or a C string.
 */
int spdk_nvme_transport_id_parse_adrfam(enum spdk_nvmf_adrfam *adrfam,
                                        const char *str);

/**
 * The name of an address family: "IPv4", "IPv6", "IB", "FC"; NULL if it has none.
 */
const char *spdk_nvme_transport_id_adrfam_str(enum spdk_nvmf_adrfam adrfam);

/**
 * Gets the options of the transports, as far as they lie within opts_size bytes. What is of other transports than RDMA comes from the
 * next library, if there is one.
 *
 * What must hold:
 * opts is NULL or has opts_size bytes.
 */
void spdk_nvme_transport_get_opts(struct spdk_nvme_transport_opts *opts,
                                  size_t opts_size);

/**
 * Sets the options of the transports, as far as they lie within both opts_size and the struct's own size; the next library gets them, too.
 * They are for what is made from then on: rdma_cm_event_timeout_ms for controllers that are attached, rdma_max_cq_size for the completion
 * queues of poll groups, rdma_srq_size for receives that the members of a poll group share on each device (65535 at most; 0: each has
 * its own).
 *
 * Returns 0, or -EINVAL if opts is NULL, opts_size 0, or a value out of its range; nothing is set then.
 *
 * What must hold:
 * opts is NULL or has opts_size bytes.
 */
int spdk_nvme_transport_set_opts(const struct spdk_nvme_transport_opts *opts,
                                 size_t opts_size);

/**
 * Whether there is a transport of this type: RDMA, and what the next library has.
 */
bool spdk_nvme_transport_available(enum spdk_nvme_transport_type trtype);

/**
 * As spdk_nvme_transport_available(), by the transport's name in any case. NULL is no transport.
 *
 * What must hold:
 * transport_name is NULL or a C string.
 */
bool spdk_nvme_transport_available_by_name(const char *transport_name);

/**
 * Brings another transport, for the next library. Without one there is nobody to use it, which is said in a line.
 *
 * What must hold:
 * ops is NULL or begins with the transport's name.
 */
void spdk_nvme_transport_register(const struct spdk_nvme_transport_ops *ops);

/**
 * Compares two transport ids, as an order: negative, 0 or positive. 0 says that they are of the same controller.
 *
 * What counts is, in this order: the transport (of custom ones the name), of PCIe the address alone; the address family,
 * the address, the service (in any case) and the subsystem. Addresses are compared as what they stand for, however they are
 * written; what is no address is compared as text in any case, and comes behind those. The priority does not count.
 *
 * Returns -EINVAL, with a line in the log, if one of them is NULL.
 *
 * What must hold:
 * Each is NULL or points to a transport id.
 */
int spdk_nvme_transport_id_compare(const struct spdk_nvme_transport_id *trid1,
                                   const struct spdk_nvme_transport_id *trid2);

/**
 * Reads where the host's end of connections is from text, such as "hostaddr:192.0.2.2 hostsvcid:4420".
 *
 * The text is as that of spdk_nvme_transport_id_parse(), whose keys are skipped, so that one text may hold both. Keys:
 * hostaddr, hostsvcid. Members that no key names stay as they are. Any other key is named in a log line and left out.
 *
 * Returns 0, or -EINVAL for an argument that is NULL, a pair without separator or value, or a value that is too long.
 *
 * What must hold:
 * hostid is NULL or points to a host id that can be written. str is NULL or a C string.
 */
int spdk_nvme_host_id_parse(struct spdk_nvme_host_id *hostid,
                            const char *str);

/**
 * Reads which parts of protection information are to be checked from text: "prchk:reftag|guard".
 *
 * A flag of I/O, SPDK_NVME_IO_FLAGS_PRCHK_REFTAG or _GUARD, is set in *prchk_flags for each word, in any case, that is
 * found in the value; others stay as they are. Returns 0, or -EINVAL for an argument that is NULL, another key, or a
 * text that is no pair of key and value.
 *
 * What must hold:
 * prchk_flags is NULL or points to flags that can be read and written. str is NULL or a C string.
 */
int spdk_nvme_prchk_flags_parse(uint32_t *prchk_flags,
                                const char *str);

/**
 * The text for flags of I/O that say what is to be checked: "prchk:reftag|guard", "prchk:reftag", "prchk:guard", or NULL
 * if neither is set.
 */
const char *spdk_nvme_prchk_flags_str(uint32_t prchk_flags);

/**
 * Attaches the controllers at a transport id, and waits for that.
 *
 * With the discovery subsystem's NQN those that its log names, else the one at this transport id. probe_cb is called
 * for each and says whether to attach it, and how; attach_cb is called with each that was attached. Without probe_cb
 * all are attached. A controller that is attached already is attached once more, with the same handle. remove_cb is
 * never called over RDMA.
 *
 * Returns 0, also if a controller could not be attached: then a log line says why, and attach_cb is not called.
 * Returns -1 if no controller was tried: no RDMA device, discovery failed, or probe_cb declined the only one
 * (ECANCELED). errno says why.
 *
 * What must hold:
 * trid is NULL (PCIe) or points to a transport id.
 */
int spdk_nvme_probe(const struct spdk_nvme_transport_id *trid,
                    void *cb_ctx,
                    spdk_nvme_probe_cb probe_cb,
                    spdk_nvme_attach_cb attach_cb,
                    spdk_nvme_remove_cb remove_cb);

/**
 * As spdk_nvme_probe(), and attach_fail_cb is called for each controller that could not be attached, with a negated errno.
 *
 * What must hold:
 * trid is NULL (PCIe) or points to a transport id.
 */
int spdk_nvme_probe_ext(const struct spdk_nvme_transport_id *trid,
                        void *cb_ctx,
                        spdk_nvme_probe_cb probe_cb,
                        spdk_nvme_attach_cb attach_cb,
                        spdk_nvme_attach_fail_cb attach_fail_cb,
                        spdk_nvme_remove_cb remove_cb);

/**
 * Begins what spdk_nvme_probe() does, and returns a context: poll it with spdk_nvme_probe_poll_async() until that returns 0.
 *
 * probe_cb is called before this returns, and so is attach_cb for a controller that is attached already. A discovery log is read
 * before this returns. Returns NULL, after a log line, if no controller is tried; errno says why, as for spdk_nvme_probe().
 *
 * What must hold:
 * trid is NULL (PCIe) or points to a transport id.
 */
struct spdk_nvme_probe_ctx *spdk_nvme_probe_async(const struct spdk_nvme_transport_id *trid,
                                                  void *cb_ctx,
                                                  spdk_nvme_probe_cb probe_cb,
                                                  spdk_nvme_attach_cb attach_cb,
                                                  spdk_nvme_remove_cb remove_cb);

/**
 * As spdk_nvme_probe_async(), and attach_fail_cb is called for each controller that could not be attached, with a negated errno.
 *
 * What must hold:
 * trid is NULL (PCIe) or points to a transport id.
 */
struct spdk_nvme_probe_ctx *spdk_nvme_probe_async_ext(const struct spdk_nvme_transport_id *trid,
                                                      void *cb_ctx,
                                                      spdk_nvme_probe_cb probe_cb,
                                                      spdk_nvme_attach_cb attach_cb,
                                                      spdk_nvme_attach_fail_cb attach_fail_cb,
                                                      spdk_nvme_remove_cb remove_cb);

/**
 * Lets the controllers of a context go on; attach_cb and attach_fail_cb are called here, in the order in which the controllers end.
 *
 * Returns 0 when all are attached or have failed, and the context is gone then; -EAGAIN if there is more to do, or if called from
 * a callback of this context; -EINVAL for a handle that is no probe context.
 *
 * What must hold:
 * probe_ctx is a handle that no other thread uses.
 */
int spdk_nvme_probe_poll_async(struct spdk_nvme_probe_ctx *probe_ctx);

/**
 * Begins what spdk_nvme_connect() does, and returns a context: poll it with spdk_nvme_probe_poll_async() until that returns 0.
 * attach_cb is then called with opts as its context, if the controller was attached; it was not if attach_cb was not called.
 *
 * All of opts is read, during this call; NULL is for the defaults. Returns NULL, after a log line, if it cannot be tried; errno
 * says why, as for spdk_nvme_connect().
 *
 * What must hold:
 * trid is NULL, which is refused, or points to a transport id. opts is NULL or points to options.
 */
struct spdk_nvme_probe_ctx *spdk_nvme_connect_async(const struct spdk_nvme_transport_id *trid,
                                                    const struct spdk_nvme_ctrlr_opts *opts,
                                                    spdk_nvme_attach_cb attach_cb);

/**
 * Says that this process has attached controllers of the transport, which only local ones can be without being probed: -ENOTSUP, after
 * a log line, for RDMA. For PCIe 0 where no other library is, whatever the number of calls: there is none attached.
 *
 * What must hold:
 * trid is NULL, which is refused with -EINVAL, or points to a transport id.
 */
int spdk_nvme_scan_attached(const struct spdk_nvme_transport_id *trid);

/**
 * Attaches the controller at a transport id, and waits for that. With the discovery subsystem's NQN this is the
 * discovery controller itself.
 *
 * Options are read up to opts_size bytes; the rest, or all if opts is NULL, are defaults. A controller that is
 * attached already is attached once more, with the same handle. Returns NULL, after a log line, if it cannot be
 * attached; errno says why, as EINVAL, ENODEV, EHOSTUNREACH, ECONNREFUSED, ETIMEDOUT or EACCES.
 *
 * What must hold:
 * trid is NULL, which is refused, or points to a transport id. opts is NULL or points to opts_size bytes.
 */
struct spdk_nvme_ctrlr *spdk_nvme_connect(const struct spdk_nvme_transport_id *trid,
                                          const struct spdk_nvme_ctrlr_opts *opts,
                                          size_t opts_size);

/**
 * Detaches a controller, and waits until that is done. Queue pairs that it still has are freed, all at once: a silent
 * controller costs one deadline, however many they are.
 *
 * A controller that was attached more than once is only detached with the last of these calls. A queue pair that another
 * thread is freeing or connecting is that thread's to end, and not waited for. Returns 0, also if the controller is being
 * detached already, or -EINVAL for a handle that is no controller.
 *
 * What must hold:
 * Nobody else uses ctrlr, its namespaces or its queue pairs, but to free or detach them, too; nobody does afterwards.
 */
int spdk_nvme_detach(struct spdk_nvme_ctrlr *ctrlr);

/**
 * Begins to detach a controller, and returns at once. The context is made if *detach_ctx is NULL; it takes any number of
 * controllers. Callbacks run while the context is polled.
 *
 * Returns 0, also if the controller is being detached already, -EINVAL for a handle that is no controller, -ENOMEM.
 *
 * What must hold:
 * As for spdk_nvme_detach(). detach_ctx points to NULL or to a context that was not polled to its end.
 */
int spdk_nvme_detach_async(struct spdk_nvme_ctrlr *ctrlr,
                           struct spdk_nvme_detach_ctx **detach_ctx);

/**
 * Goes on with detaching. Returns 0 when all controllers of the context are detached, and the context is gone then;
 * -EAGAIN if there is more to do; -EINVAL for a handle that is no detach context.
 *
 * What must hold:
 * detach_ctx is a handle that no other thread uses.
 */
int spdk_nvme_detach_poll_async(struct spdk_nvme_detach_ctx *detach_ctx);

/**
 * Waits until all controllers of the context are detached; the context is gone then. NULL is allowed.
 *
 * What must hold:
 * detach_ctx is NULL or a handle that no other thread uses.
 */
void spdk_nvme_detach_poll(struct spdk_nvme_detach_ctx *detach_ctx);

/**
 * Fills opts with the defaults, up to opts_size bytes.
 *
 * The host NQN and the host identifier are made of a random UUID, one for the whole process.
 *
 * What must hold:
 * opts points to opts_size bytes that can be written.
 */
void spdk_nvme_ctrlr_get_default_ctrlr_opts(struct spdk_nvme_ctrlr_opts *opts, size_t opts_size);

/**
 * The namespace with this identifier, active or not. NULL if there can be none, and for those that are not active once
 * some thousand such handles were given out.
 *
 * The handle is the same each time, and good until the controller is detached.
 *
 * What must hold:
 * ctrlr is a handle that nobody else is detaching.
 */
struct spdk_nvme_ns *spdk_nvme_ctrlr_get_ns(struct spdk_nvme_ctrlr *ctrlr,
                                            uint32_t ns_id);

/**
 * The identifier of the first active namespace; 0 if there is none.
 *
 * What must hold:
 * ctrlr is a handle that nobody else is detaching.
 */
uint32_t spdk_nvme_ctrlr_get_first_active_ns(struct spdk_nvme_ctrlr *ctrlr);

/**
 * The identifier of the active namespace after prev_nsid; 0 if there is none.
 *
 * What must hold:
 * ctrlr is a handle that nobody else is detaching.
 */
uint32_t spdk_nvme_ctrlr_get_next_active_ns(struct spdk_nvme_ctrlr *ctrlr, uint32_t prev_nsid);

/**
 * Fills opts with the defaults for this controller, up to opts_size bytes; the rest of these bytes are zero.
 *
 * What must hold:
 * ctrlr is a handle that nobody else is detaching. opts points to opts_size bytes that can be written.
 */
void spdk_nvme_ctrlr_get_default_io_qpair_opts(struct spdk_nvme_ctrlr *ctrlr,
                                               struct spdk_nvme_io_qpair_opts *opts,
                                               size_t opts_size);

/**
 * Makes an I/O queue pair and connects it.
 *
 * Options are read up to opts_size bytes; the rest, or all if opts is NULL, are defaults. With create_only the queue
 * pair is left unconnected, so that it can be added to a poll group before. With async_mode connecting goes on while
 * it is polled.
 *
 * Returns NULL: after a log line for options that cannot be, when no queue identifier is left, or when connecting failed, and without
 * one while the controller is being reset or has failed.
 *
 * What must hold:
 * ctrlr is a handle that nobody else is detaching. opts is NULL or points to opts_size bytes.
 */
struct spdk_nvme_qpair *spdk_nvme_ctrlr_alloc_io_qpair(struct spdk_nvme_ctrlr *ctrlr,
                                                       const struct spdk_nvme_io_qpair_opts *opts,
                                                       size_t opts_size);

/**
 * Takes a queue identifier, for a program that has a queue of its own on the controller. -1 if none is left.
 *
 * What must hold:
 * ctrlr is a handle that nobody else is detaching.
 */
int spdk_nvme_ctrlr_alloc_qid(struct spdk_nvme_ctrlr *ctrlr);

/**
 * Gives back what spdk_nvme_ctrlr_alloc_qid() gave; anything else is ignored, with a log line.
 *
 * What must hold:
 * ctrlr is a handle that nobody else is detaching.
 */
void spdk_nvme_ctrlr_free_qid(struct spdk_nvme_ctrlr *ctrlr, uint16_t qid);

/**
 * Connects a queue pair that was made with create_only, or that is disconnected.
 *
 * Waits for the connection unless the queue pair was made with async_mode. Returns 0, -EISCONN if it is connected or
 * about to be, or another negated errno.
 *
 * What must hold:
 * Both are handles that nobody else is freeing, and no other thread uses qpair.
 */
int spdk_nvme_ctrlr_connect_io_qpair(struct spdk_nvme_ctrlr *ctrlr,
                                     struct spdk_nvme_qpair *qpair);

/**
 * Polls the admin queue: delivers what is done, sends keep alives, handles events.
 *
 * Returns how many commands were completed, or a negated errno: -ENXIO if the controller has failed. Callbacks run
 * with the controller locked.
 *
 * What must hold:
 * ctrlr is a handle that nobody else is detaching.
 */
int32_t spdk_nvme_ctrlr_process_admin_completions(struct spdk_nvme_ctrlr *ctrlr);

/**
 * Sets who hears of commands that take longer than io_timeout_us microseconds, or timeout_us_admin for admin commands; NULL is nobody. 0 makes
 * each command late at the next poll; a limit is rounded up to whole milliseconds.
 *
 * cb_fn is called from polls of the queue that has the command, once for each, the oldest first, and may do anything; nothing is aborted
 * by itself. A command's time begins with the call that submits it; those submitted before the first of these calls have none, nor have
 * asynchronous events and Keep Alives.
 *
 * What must hold:
 * ctrlr is a handle that nobody else is detaching. cb_fn can be called with cb_arg, on each thread that polls, until another one is set or
 * the controller is detached.
 */
void spdk_nvme_ctrlr_register_timeout_callback(struct spdk_nvme_ctrlr *ctrlr,
                                               uint64_t timeout_us_io,
                                               uint64_t timeout_us_admin,
                                               spdk_nvme_timeout_cb cb_fn,
                                               void *cb_arg);

/**
 * Asks the controller to abort the command with id cid of a queue pair, or of the Admin Queue if qpair is NULL. cb_fn is called with
 * the controller's answer: bit 0 of its cdw0 says that the command was not aborted. An aborted command ends by itself.
 *
 * A controller takes a few of these at a time; others wait for that.
 *
 * What must hold:
 * ctrlr is a handle that nobody else is detaching, qpair NULL or one that nobody else is freeing.
 */
int spdk_nvme_ctrlr_cmd_abort(struct spdk_nvme_ctrlr *ctrlr,
                              struct spdk_nvme_qpair *qpair,
                              uint16_t cid,
                              spdk_nvme_cmd_cb cb_fn,
                              void *cb_arg);

/**
 * Aborts all commands of a queue pair, or of the Admin Queue if qpair is NULL, whose callback's argument is cmd_cb_arg. Those that were
 * not sent yet end at the queue's next poll; for the others the controller is asked, and cb_fn is called after the last answer: with
 * success, and bit 0 of cdw0 if one of them was not aborted. If there were only such that were not sent cb_fn is called before
 * this returns.
 *
 * Returns 0, -ENOENT if there is no such command, -EINVAL without an argument, -ENXIO if the controller is not connected.
 *
 * What must hold:
 * As for spdk_nvme_ctrlr_cmd_abort(), and no other thread uses qpair.
 */
int spdk_nvme_ctrlr_cmd_abort_ext(struct spdk_nvme_ctrlr *ctrlr,
                                  struct spdk_nvme_qpair *qpair,
                                  void *cmd_cb_arg,
                                  spdk_nvme_cmd_cb cb_fn,
                                  void *cb_arg);

/**
 * Sends a command as it is, but for its command id and data pointer. buf stays untouched until cb_fn is called; as
 * spdk_nvme_ns_cmd_read() has it, it may be any memory. -1 for 16 MiB or more, which no command can have.
 *
 * What must hold:
 * ctrlr is a handle that nobody else is detaching. cmd points to a command, and buf is NULL or has len bytes.
 */
int spdk_nvme_ctrlr_cmd_admin_raw(struct spdk_nvme_ctrlr *ctrlr,
                                  struct spdk_nvme_cmd *cmd,
                                  void *buf,
                                  uint32_t len,
                                  spdk_nvme_cmd_cb cb_fn,
                                  void *cb_arg);

/**
 * Gets a feature: Get Features with the identifier, and cdw11 as it is.
 *
 * What must hold:
 * ctrlr is a handle that nobody else is detaching. payload is NULL or has payload_size bytes until cb_fn is called.
 */
int spdk_nvme_ctrlr_cmd_get_feature(struct spdk_nvme_ctrlr *ctrlr,
                                    uint8_t feature,
                                    uint32_t cdw11,
                                    void *payload,
                                    uint32_t payload_size,
                                    spdk_nvme_cmd_cb cb_fn,
                                    void *cb_arg);

/**
 * As spdk_nvme_ctrlr_cmd_get_feature(), of a namespace.
 *
 * What must hold:
 * As for spdk_nvme_ctrlr_cmd_get_feature().
 */
int spdk_nvme_ctrlr_cmd_get_feature_ns(struct spdk_nvme_ctrlr *ctrlr,
                                       uint8_t feature,
                                       uint32_t cdw11,
                                       void *payload,
                                       uint32_t payload_size,
                                       spdk_nvme_cmd_cb cb_fn,
                                       void *cb_arg,
                                       uint32_t ns_id);

/**
 * Sets a feature: Set Features with the identifier, and cdw11 and cdw12 as they are. Not saved.
 *
 * What must hold:
 * ctrlr is a handle that nobody else is detaching. payload is NULL or has payload_size bytes.
 */
int spdk_nvme_ctrlr_cmd_set_feature(struct spdk_nvme_ctrlr *ctrlr,
                                    uint8_t feature,
                                    uint32_t cdw11,
                                    uint32_t cdw12,
                                    void *payload,
                                    uint32_t payload_size,
                                    spdk_nvme_cmd_cb cb_fn,
                                    void *cb_arg);

/**
 * As spdk_nvme_ctrlr_cmd_set_feature(), of a namespace.
 *
 * What must hold:
 * As for spdk_nvme_ctrlr_cmd_set_feature().
 */
int spdk_nvme_ctrlr_cmd_set_feature_ns(struct spdk_nvme_ctrlr *ctrlr,
                                       uint8_t feature,
                                       uint32_t cdw11,
                                       uint32_t cdw12,
                                       void *payload,
                                       uint32_t payload_size,
                                       spdk_nvme_cmd_cb cb_fn,
                                       void *cb_arg,
                                       uint32_t ns_id);

/**
 * Reads payload_size bytes of a log page from byte offset on. What exceeds a multiple of 4 is left out; -EINVAL for less than 4
 * bytes, for an offset that is no multiple of 4, and for one that is not 0 if the controller has no offsets (LPA bit 2). A read of more
 * than the controller transfers at a time is not split.
 *
 * What must hold:
 * ctrlr is a handle that nobody else is detaching. payload is NULL or has payload_size bytes until cb_fn is called.
 */
int spdk_nvme_ctrlr_cmd_get_log_page(struct spdk_nvme_ctrlr *ctrlr,
                                     uint8_t log_page,
                                     uint32_t nsid,
                                     void *payload,
                                     uint32_t payload_size,
                                     uint64_t offset,
                                     spdk_nvme_cmd_cb cb_fn,
                                     void *cb_arg);

/**
 * As spdk_nvme_ctrlr_cmd_get_log_page(), with what else the command says: of cdw10 all but the page and the length (LSP, RAE), of cdw11
 * the upper half (LSI), and cdw14.
 *
 * What must hold:
 * As for spdk_nvme_ctrlr_cmd_get_log_page().
 */
int spdk_nvme_ctrlr_cmd_get_log_page_ext(struct spdk_nvme_ctrlr *ctrlr,
                                         uint8_t log_page,
                                         uint32_t nsid,
                                         void *payload,
                                         uint32_t payload_size,
                                         uint64_t offset,
                                         uint32_t cdw10,
                                         uint32_t cdw11,
                                         uint32_t cdw14,
                                         spdk_nvme_cmd_cb cb_fn,
                                         void *cb_arg);

/**
 * Gets payload_size bytes from a security protocol (SPC-5, SECURITY PROTOCOL IN).
 *
 * What must hold:
 * ctrlr is a handle that nobody else is detaching. payload is NULL or has payload_size bytes until cb_fn is called.
 */
int spdk_nvme_ctrlr_cmd_security_receive(struct spdk_nvme_ctrlr *ctrlr,
                                         uint8_t secp,
                                         uint16_t spsp,
                                         uint8_t nssf,
                                         void *payload,
                                         uint32_t payload_size,
                                         spdk_nvme_cmd_cb cb_fn,
                                         void *cb_arg);

/**
 * Gives payload_size bytes to a security protocol (SPC-5, SECURITY PROTOCOL OUT).
 *
 * What must hold:
 * ctrlr is a handle that nobody else is detaching. payload is NULL or has payload_size bytes.
 */
int spdk_nvme_ctrlr_cmd_security_send(struct spdk_nvme_ctrlr *ctrlr,
                                      uint8_t secp,
                                      uint16_t spsp,
                                      uint8_t nssf,
                                      void *payload,
                                      uint32_t payload_size,
                                      spdk_nvme_cmd_cb cb_fn,
                                      void *cb_arg);

/**
 * As spdk_nvme_ctrlr_cmd_security_receive(), and waits for the answer; other admin callbacks may run meanwhile. Returns 0, -EIO if the
 * controller refused, -ECANCELED if it did not answer in time (admin_timeout_ms) or its connection was lost, or as what is not waited for.
 *
 * What must hold:
 * ctrlr is a handle that nobody else is detaching. payload is NULL or has size bytes.
 */
int spdk_nvme_ctrlr_security_receive(struct spdk_nvme_ctrlr *ctrlr,
                                     uint8_t secp,
                                     uint16_t spsp,
                                     uint8_t nssf,
                                     void *payload,
                                     size_t size);

/**
 * As spdk_nvme_ctrlr_cmd_security_send(), and waits for the answer, as spdk_nvme_ctrlr_security_receive().
 *
 * What must hold:
 * ctrlr is a handle that nobody else is detaching. payload is NULL or has size bytes.
 */
int spdk_nvme_ctrlr_security_send(struct spdk_nvme_ctrlr *ctrlr,
                                  uint8_t secp,
                                  uint16_t spsp,
                                  uint8_t nssf,
                                  void *payload,
                                  size_t size);

/**
 * Sends a directive (Base 2.0, 8.7): doper is the operation, dtype the type, dspec specific to that.
 *
 * What must hold:
 * ctrlr is a handle that nobody else is detaching. payload is NULL or has payload_size bytes.
 */
int spdk_nvme_ctrlr_cmd_directive_send(struct spdk_nvme_ctrlr *ctrlr,
                                       uint32_t nsid,
                                       uint32_t doper,
                                       uint32_t dtype,
                                       uint32_t dspec,
                                       void *payload,
                                       uint32_t payload_size,
                                       uint32_t cdw12,
                                       uint32_t cdw13,
                                       spdk_nvme_cmd_cb cb_fn,
                                       void *cb_arg);

/**
 * Receives what a directive returns, as spdk_nvme_ctrlr_cmd_directive_send().
 *
 * What must hold:
 * ctrlr is a handle that nobody else is detaching. payload is NULL or has payload_size bytes until cb_fn is called.
 */
int spdk_nvme_ctrlr_cmd_directive_receive(struct spdk_nvme_ctrlr *ctrlr,
                                          uint32_t nsid,
                                          uint32_t doper,
                                          uint32_t dtype,
                                          uint32_t dspec,
                                          void *payload,
                                          uint32_t payload_size,
                                          uint32_t cdw12,
                                          uint32_t cdw13,
                                          spdk_nvme_cmd_cb cb_fn,
                                          void *cb_arg);

/**
 * Sets what is called with each asynchronous event; the last one counts, and NULL is nobody.
 *
 * aer_cb_fn is called from a poll of the Admin Queue, after what else that delivers, in the order in which the events came, with the
 * controller locked; it may do anything. cpl is the completion of the Asynchronous Event Request: cdw0 has the event's type, its information and the
 * log page that has more. A controller that refuses a request is told of in the same way, and is not asked
 * again.
 *
 * What must hold:
 * ctrlr is a handle that nobody else is detaching. aer_cb_fn can be called with aer_cb_arg until another one is set, or the controller is detached.
 */
void spdk_nvme_ctrlr_register_aer_callback(struct spdk_nvme_ctrlr *ctrlr,
                                           spdk_nvme_aer_cb aer_cb_fn,
                                           void *aer_cb_arg);

/**
 * Sets what is called when the controller's namespaces have changed, instead of the callback for all events; NULL is nobody, and then that
 * one hears of it.
 *
 * cb_fn is called as that one is, once the namespaces are what they are now.
 *
 * What must hold:
 * ctrlr is a handle that nobody else is detaching. cb_fn can be called with cb_arg until another one is set, or the controller is
 * detached.
 */
void spdk_nvme_ctrlr_register_ns_attr_changed_callback(struct spdk_nvme_ctrlr *ctrlr,
                                                       spdk_nvme_ns_attr_changed_cb cb_fn,
                                                       void *cb_arg);

/**
 * Leaves the log page of changed namespaces to the program, for as long as the controller is attached: after an event of theirs all
 * namespaces are looked at. The program has to read the page, or there are no further events.
 *
 * What must hold:
 * ctrlr is a handle that nobody else is detaching.
 */
void spdk_nvme_ctrlr_disable_read_changed_ns_list_log_page(struct spdk_nvme_ctrlr *ctrlr);

/**
 * Reads the discovery log, all of it and of one generation. Returns 0, or a negated errno if that cannot begin: then cb_fn is not called.
 *
 * cb_fn is called once, from a poll of the Admin Queue: with rc 0, the last command's completion, and the log, which is the program's from
 * then on, to be given back with free(); or with rc 0, the completion of a command that failed, and NULL; or with a negated errno, and NULL
 * twice: -EINVAL for a record format other than 0, -EPROTO for a log that goes on changing while it is read or has more than 65,536 entries.
 *
 * What must hold:
 * ctrlr is a handle that nobody else is detaching. cb_fn can be called with cb_arg.
 */
int spdk_nvme_ctrlr_get_discovery_log_page(struct spdk_nvme_ctrlr *ctrlr,
                                           spdk_nvme_discovery_cb cb_fn,
                                           void *cb_arg);

/**
 * The controller's Identify data. It stays where it is as long as the controller is attached. NULL for a handle
 * that is no controller.
 *
 * What must hold:
 * ctrlr is a handle that nobody else is detaching.
 */
const struct spdk_nvme_ctrlr_data *spdk_nvme_ctrlr_get_data(struct spdk_nvme_ctrlr *ctrlr);

/**
 * The Identify data that the NVM command set has of the controller. They stay where they are as long as the controller is attached. NULL
 * for a handle that is no controller, and if the controller has no such data.
 *
 * What must hold:
 * ctrlr is a handle that nobody else is detaching.
 */
const struct spdk_nvme_nvm_ctrlr_data *spdk_nvme_nvm_ctrlr_get_data(struct spdk_nvme_ctrlr *ctrlr);

/**
 * The transport id that the controller was attached with, or that spdk_nvme_ctrlr_set_trid() has set. NULL for a handle that is no controller.
 *
 * What must hold:
 * ctrlr is a handle that nobody else is detaching.
 */
const struct spdk_nvme_transport_id *spdk_nvme_ctrlr_get_transport_id(struct spdk_nvme_ctrlr *ctrlr);

/**
 * The options that the controller is used with: the program's, with what the controller made of them. They stay where
 * they are as long as it is attached. NULL for a handle that is no controller.
 *
 * What must hold:
 * ctrlr is a handle that nobody else is detaching.
 */
const struct spdk_nvme_ctrlr_opts *spdk_nvme_ctrlr_get_opts(struct spdk_nvme_ctrlr *ctrlr);

/**
 * What the controller can do, as bits of enum spdk_nvme_ctrlr_flags. 0 for a handle that is no controller.
 *
 * What must hold:
 * ctrlr is a handle that nobody else is detaching.
 */
uint64_t spdk_nvme_ctrlr_get_flags(struct spdk_nvme_ctrlr *ctrlr);

/**
 * The controller's identifier (CNTLID) as the answer to Connect has it. 0 for a handle that is no controller.
 *
 * What must hold:
 * ctrlr is a handle that nobody else is detaching.
 */
uint16_t spdk_nvme_ctrlr_get_id(struct spdk_nvme_ctrlr *ctrlr);

/**
 * The highest namespace identifier that there can be (NN), which is not how many there are. 0 for a discovery controller
 * and for a handle that is no controller.
 *
 * What must hold:
 * ctrlr is a handle that nobody else is detaching.
 */
uint32_t spdk_nvme_ctrlr_get_num_ns(struct spdk_nvme_ctrlr *ctrlr);

/**
 * The bytes that one command may transfer. A longer I/O is split. 0 for a handle that is no controller.
 *
 * What must hold:
 * ctrlr is a handle that nobody else is detaching.
 */
uint32_t spdk_nvme_ctrlr_get_max_xfer_size(const struct spdk_nvme_ctrlr *ctrlr);

/**
 * The elements of a scattered buffer that one command may have; 65535 if the controller takes no SGLs. 0 for a handle that
 * is no controller.
 *
 * What must hold:
 * ctrlr is a handle that nobody else is detaching.
 */
uint16_t spdk_nvme_ctrlr_get_max_sges(const struct spdk_nvme_ctrlr *ctrlr);

/**
 * The NUMA node of the RDMA device that reaches the controller; -1 if it has none, is not known, or for a handle that is no
 * controller.
 *
 * What must hold:
 * ctrlr is a handle that nobody else is detaching.
 */
int32_t spdk_nvme_ctrlr_get_numa_id(struct spdk_nvme_ctrlr *ctrlr);

/**
 * Whether it is a discovery controller. False for a handle that is no controller.
 *
 * What must hold:
 * ctrlr is a handle that nobody else is detaching.
 */
bool spdk_nvme_ctrlr_is_discovery(struct spdk_nvme_ctrlr *ctrlr);

/**
 * Whether it is reached over fabrics: always, but for a handle that is no controller.
 *
 * What must hold:
 * ctrlr is a handle that nobody else is detaching.
 */
bool spdk_nvme_ctrlr_is_fabrics(struct spdk_nvme_ctrlr *ctrlr);

/**
 * Whether the controller has failed: its queue pairs end at their next poll. False for a handle that is no controller.
 *
 * What must hold:
 * ctrlr is a handle that nobody else is detaching.
 */
bool spdk_nvme_ctrlr_is_failed(struct spdk_nvme_ctrlr *ctrlr);

/**
 * Whether the controller has a feature. Those that the specifications make mandatory are taken for granted; of a discovery
 * controller, and for a handle that is no controller, the answer is false.
 *
 * What must hold:
 * ctrlr is a handle that nobody else is detaching.
 */
bool spdk_nvme_ctrlr_is_feature_supported(struct spdk_nvme_ctrlr *ctrlr,
                                          uint8_t feature_code);

/**
 * Whether the controller has a log page, as spdk_nvme_ctrlr_is_feature_supported().
 *
 * What must hold:
 * ctrlr is a handle that nobody else is detaching.
 */
bool spdk_nvme_ctrlr_is_log_page_supported(struct spdk_nvme_ctrlr *ctrlr, uint8_t log_page);

/**
 * Whether the namespace with this identifier is active. False if there is none, or for a handle that is no controller.
 *
 * What must hold:
 * ctrlr is a handle that nobody else is detaching.
 */
bool spdk_nvme_ctrlr_is_active_ns(struct spdk_nvme_ctrlr *ctrlr,
                                  uint32_t ns_id);

/**
 * Why the Admin Queue is not connected any more; SPDK_NVME_QPAIR_FAILURE_NONE while it is.
 *
 * What must hold:
 * ctrlr is a handle that nobody else is detaching.
 */
spdk_nvme_qp_failure_reason spdk_nvme_ctrlr_get_admin_qp_failure_reason(struct spdk_nvme_ctrlr *ctrlr);

/**
 * The CAP property as bring-up read it. All bits are 0 for a handle that is no controller.
 *
 * What must hold:
 * ctrlr is a handle that nobody else is detaching.
 */
union spdk_nvme_cap_register spdk_nvme_ctrlr_get_regs_cap(struct spdk_nvme_ctrlr *ctrlr);

/**
 * The VS property as bring-up read it. All bits are 0 for a handle that is no controller.
 *
 * What must hold:
 * ctrlr is a handle that nobody else is detaching.
 */
union spdk_nvme_vs_register spdk_nvme_ctrlr_get_regs_vs(struct spdk_nvme_ctrlr *ctrlr);

/**
 * Lets the next err_count commands with the opcode opc, of a queue pair or of the Admin Queue if qpair is NULL, end with the status sct and
 * sc. Each command of an I/O that is split counts. What was given for the same opcode before is forgotten.
 *
 * With do_not_submit a command is accepted and not sent; its callback is called from the first poll after timeout_us microseconds, rounded up
 * to whole milliseconds. Without, it is sent, and the status takes the place of success; an error of the controller's stays, and does not
 * count. This is also for commands that were submitted before, and, on the Admin Queue, for this library's own.
 *
 * Commands take longer on a queue pair that has any of these, used up or not, until they are removed.
 *
 * Returns 0, or -ENOMEM if there is no memory.
 *
 * What must hold:
 * ctrlr is a handle that nobody else is detaching, qpair NULL or one that no other thread uses.
 */
int spdk_nvme_qpair_add_cmd_error_injection(struct spdk_nvme_ctrlr *ctrlr,
                                            struct spdk_nvme_qpair *qpair,
                                            uint8_t opc,
                                            bool do_not_submit,
                                            uint64_t timeout_in_us,
                                            uint32_t err_count,
                                            uint8_t sct,
                                            uint8_t sc);

/**
 * Takes back what spdk_nvme_qpair_add_cmd_error_injection() was called for, with the same opcode. Commands that are held back already end as
 * they were to.
 *
 * What must hold:
 * As for spdk_nvme_qpair_add_cmd_error_injection().
 */
void spdk_nvme_qpair_remove_cmd_error_injection(struct spdk_nvme_ctrlr *ctrlr,
                                                struct spdk_nvme_qpair *qpair,
                                                uint8_t opc);

/**
 * Declares a controller failed: its Admin Queue ends, and its queue pairs when they are polled next, with callbacks of their requests.
 *
 * Nothing if it has failed already, or is being reset or detached. From then on is_failed says so, until a reset.
 *
 * What must hold:
 * ctrlr is a handle that nobody else is detaching.
 */
void spdk_nvme_ctrlr_fail(struct spdk_nvme_ctrlr *ctrlr);

/**
 * Begins to reset a controller: its Admin Queue ends, and its queue pairs when they are polled next.
 *
 * It is over when spdk_nvme_ctrlr_process_admin_completions() returns -ENXIO. Returns 0, -EBUSY if a reset is under way, -ENXIO if
 * the controller is being detached.
 *
 * What must hold:
 * ctrlr is a handle that nobody else is detaching.
 */
int spdk_nvme_ctrlr_disconnect(struct spdk_nvme_ctrlr *ctrlr);

/**
 * Says that a controller is to be brought up again, which spdk_nvme_ctrlr_reconnect_poll_async() does. One that was not
 * disconnected before is disconnected now.
 *
 * What must hold:
 * ctrlr is a handle that nobody else is detaching.
 */
void spdk_nvme_ctrlr_reconnect_async(struct spdk_nvme_ctrlr *ctrlr);

/**
 * Goes on with a reset, from wherever it has come to. -EAGAIN if there is more to do; 0 when the controller is there again: then its
 * queue pairs have to be connected again, or freed; -1, after a log line, if it could not be brought up: then it has failed, and
 * can be disconnected anew.
 *
 * What must hold:
 * ctrlr is a handle that nobody else is detaching.
 */
int spdk_nvme_ctrlr_reconnect_poll_async(struct spdk_nvme_ctrlr *ctrlr);

/**
 * Resets a controller, and waits until it is there again. Its queue pairs end when they are polled next; then they have to be
 * connected again, or freed.
 *
 * Returns 0, also, at once, if a reset is under way; -ENXIO if the controller is being detached; -1, after a log line, if it
 * could not be brought up: then it has failed, and can be reset anew. May be called from a callback of the Admin Queue.
 *
 * What must hold:
 * ctrlr is a handle that nobody else is detaching.
 */
int spdk_nvme_ctrlr_reset(struct spdk_nvme_ctrlr *ctrlr);

/**
 * Sets where a controller that has failed is to be found from its next reset on: another address of the same subsystem.
 *
 * Returns 0, -EPERM if the controller has not failed, -EINVAL for another subsystem or transport, or an address that cannot be.
 *
 * What must hold:
 * ctrlr is a handle that nobody else is detaching. trid is NULL, which is refused, or points to a transport id.
 */
int spdk_nvme_ctrlr_set_trid(struct spdk_nvme_ctrlr *ctrlr,
                             struct spdk_nvme_transport_id *trid);

/**
 * Connects a queue pair again whose connection has ended, to its controller as it is now.
 *
 * Waits for the connection unless the queue pair was made with async_mode. Returns 0, also if it is connected; -EAGAIN while the
 * controller is being reset, or the queue pair's last connection has not come to its end, or if the controller was not reached or
 * refused the connection, which has its log line; -ENXIO if the controller has failed or is being detached; or another negated errno.
 *
 * What must hold:
 * qpair is a handle that no other thread uses.
 */
int spdk_nvme_ctrlr_reconnect_io_qpair(struct spdk_nvme_qpair *qpair);

/**
 * Attaches a namespace to the controllers that payload lists; this controller's namespaces are read again.
 *
 * What must hold:
 * ctrlr is a handle that nobody else is detaching. payload is NULL, which is refused, or points to a controller list.
 */
int spdk_nvme_ctrlr_attach_ns(struct spdk_nvme_ctrlr *ctrlr,
                              uint32_t nsid,
                              struct spdk_nvme_ctrlr_list *payload);

/**
 * Detaches a namespace from the controllers that payload lists; this controller's namespaces are read again.
 *
 * What must hold:
 * As for spdk_nvme_ctrlr_attach_ns().
 */
int spdk_nvme_ctrlr_detach_ns(struct spdk_nvme_ctrlr *ctrlr,
                              uint32_t nsid,
                              struct spdk_nvme_ctrlr_list *payload);

/**
 * Makes a namespace. Returns its identifier, or 0, after a log line, if there is none. It is not attached to any controller.
 *
 * What must hold:
 * ctrlr is a handle that nobody else is detaching. payload is NULL, which is refused, or points to the data of a namespace.
 */
uint32_t spdk_nvme_ctrlr_create_ns(struct spdk_nvme_ctrlr *ctrlr,
                                   struct spdk_nvme_ns_data *payload);

/**
 * Deletes a namespace; this controller's namespaces are read again.
 *
 * What must hold:
 * ctrlr is a handle that nobody else is detaching.
 */
int spdk_nvme_ctrlr_delete_ns(struct spdk_nvme_ctrlr *ctrlr, uint32_t nsid);

/**
 * Formats a namespace, or all of them with FFFFFFFFh, and resets the controller: its queue pairs have to be connected again. A format
 * that takes longer than admin_timeout_ms counts as lost.
 *
 * Returns 0; -1 if the controller could not be brought up again; or another error value.
 *
 * What must hold:
 * ctrlr is a handle that nobody else is detaching. format is NULL, which is refused, or points to a format.
 */
int spdk_nvme_ctrlr_format(struct spdk_nvme_ctrlr *ctrlr,
                           uint32_t nsid,
                           struct spdk_nvme_format *format);

/**
 * Downloads a firmware image, commits it to a slot, and resets the controller: its queue pairs have to be connected again.
 *
 * commit_action is SPDK_NVME_FW_COMMIT_REPLACE_IMG or SPDK_NVME_FW_COMMIT_REPLACE_AND_ENABLE_IMG, size a multiple of 4; anything else is
 * -1. completion_status gets the status of the commit. If that asks for a conventional reset, which is not this library's to do, the
 * answer is -EIO and there is no reset. -EBUSY while another image is being downloaded; -ECANCELED if the controller was reset
 * before it had all of this one. Returns 0; -1 if the controller could not be brought up again; or another error value.
 *
 * What must hold:
 * ctrlr is a handle that nobody else is detaching. payload has size bytes; completion_status is NULL, which is refused, or can be
 * written.
 */
int spdk_nvme_ctrlr_update_firmware(struct spdk_nvme_ctrlr *ctrlr,
                                    void *payload,
                                    uint32_t size,
                                    int slot,
                                    enum spdk_nvme_fw_commit_action commit_action,
                                    struct spdk_nvme_status *completion_status);

/**
 * Writes a boot partition, of the controller's two, and makes it the active one: payload is downloaded in pieces (Firmware Image Download),
 * then replaces what boot partition bpid holds, which then is activated (Firmware Commit; Base 2.0, 8.2.2).
 *
 * 0 says that it has begun: cb_fn, which may be NULL, is called once from a poll of the Admin Queue, with the completion of the last command,
 * or of the one that failed; Internal Error if one could not be sent, of which a line says why. What the partition held is lost only when
 * the replacing has begun. payload is copied, in any memory. Negated errno, and cb_fn is not called: -ENOTSUP if the controller has no boot
 * partitions (CAP.BPS), -EINVAL for a payload that is NULL, a size that is 0 or no multiple of 4, or a bpid other than 0 or 1; -EBUSY while
 * another image, or firmware, is being downloaded; -ENOMEM, -ENXIO as with other admin commands. If the controller is reset before it has all
 * of it, nothing is replaced.
 *
 * What must hold:
 * ctrlr is a handle that nobody else is detaching. payload has size bytes.
 */
int spdk_nvme_ctrlr_write_boot_partition(struct spdk_nvme_ctrlr *ctrlr,
                                         void *payload,
                                         uint32_t size,
                                         uint32_t bpid,
                                         spdk_nvme_cmd_cb cb_fn,
                                         void *cb_arg);

/**
 * Reads the CSTS property, and waits for the answer; admin callbacks may run meanwhile. All bits
 * are 1 if there is none, as when the controller has failed, and for a handle that is no controller.
 *
 * What must hold:
 * ctrlr is a handle that nobody else is detaching.
 */
union spdk_nvme_csts_register spdk_nvme_ctrlr_get_regs_csts(struct spdk_nvme_ctrlr *ctrlr);

/**
 * Reads the CC property, and waits for the answer; admin callbacks may run meanwhile. All bits
 * are 1 if there is none, as when the controller has failed, and for a handle that is no controller.
 *
 * What must hold:
 * ctrlr is a handle that nobody else is detaching.
 */
union spdk_nvme_cc_register spdk_nvme_ctrlr_get_regs_cc(struct spdk_nvme_ctrlr *ctrlr);

/**
 * Reads the CMBSZ property, and waits for the answer; admin callbacks may run meanwhile. All bits
 * are 0 if there is none, as over fabrics as a rule, and for a handle that is no controller.
 *
 * What must hold:
 * ctrlr is a handle that nobody else is detaching.
 */
union spdk_nvme_cmbsz_register spdk_nvme_ctrlr_get_regs_cmbsz(struct spdk_nvme_ctrlr *ctrlr);

/**
 * Reads the PMRCAP property, and waits for the answer; admin callbacks may run meanwhile. All bits
 * are 0 if there is none, as over fabrics as a rule, and for a handle that is no controller.
 *
 * What must hold:
 * ctrlr is a handle that nobody else is detaching.
 */
union spdk_nvme_pmrcap_register spdk_nvme_ctrlr_get_regs_pmrcap(struct spdk_nvme_ctrlr *ctrlr);

/**
 * Reads the BPINFO property, and waits for the answer; admin callbacks may run meanwhile. All bits
 * are 0 if there is none, as over fabrics as a rule, and for a handle that is no controller.
 *
 * What must hold:
 * ctrlr is a handle that nobody else is detaching.
 */
union spdk_nvme_bpinfo_register spdk_nvme_ctrlr_get_regs_bpinfo(struct spdk_nvme_ctrlr *ctrlr);

/**
 * The controller's registers in memory: there are none over fabrics, so the answer is NULL.
 *
 * What must hold:
 * ctrlr is a handle that nobody else is detaching.
 */
volatile struct spdk_nvme_registers *spdk_nvme_ctrlr_get_registers(struct spdk_nvme_ctrlr *ctrlr);

/**
 * The controller's PCI device: there is none over fabrics, so the answer is NULL.
 *
 * What must hold:
 * ctrlr is a handle that nobody else is detaching.
 */
struct spdk_pci_device *spdk_nvme_ctrlr_get_pci_device(struct spdk_nvme_ctrlr *ctrlr);

/**
 * Maps the controller memory buffer: there is none over fabrics, so the answer is NULL. size is not touched.
 *
 * What must hold:
 * ctrlr is a handle that nobody else is detaching.
 */
void *spdk_nvme_ctrlr_map_cmb(struct spdk_nvme_ctrlr *ctrlr, size_t *size);

/**
 * Undoes spdk_nvme_ctrlr_map_cmb(); nothing to do over fabrics.
 *
 * What must hold:
 * ctrlr is a handle that nobody else is detaching.
 */
void spdk_nvme_ctrlr_unmap_cmb(struct spdk_nvme_ctrlr *ctrlr);

/**
 * Reserves the controller memory buffer: there is none over fabrics, so the answer is -ENOTSUP.
 *
 * What must hold:
 * ctrlr is a handle that nobody else is detaching.
 */
int spdk_nvme_ctrlr_reserve_cmb(struct spdk_nvme_ctrlr *ctrlr);

/**
 * Enables the persistent memory region: there is none over fabrics, so the answer is -ENOSYS.
 *
 * What must hold:
 * ctrlr is a handle that nobody else is detaching.
 */
int spdk_nvme_ctrlr_enable_pmr(struct spdk_nvme_ctrlr *ctrlr);

/**
 * Disables the persistent memory region: there is none over fabrics, so the answer is -ENOSYS.
 *
 * What must hold:
 * ctrlr is a handle that nobody else is detaching.
 */
int spdk_nvme_ctrlr_disable_pmr(struct spdk_nvme_ctrlr *ctrlr);

/**
 * Maps the persistent memory region: there is none over fabrics, so the answer is NULL. size is not touched.
 *
 * What must hold:
 * ctrlr is a handle that nobody else is detaching.
 */
void *spdk_nvme_ctrlr_map_pmr(struct spdk_nvme_ctrlr *ctrlr, size_t *size);

/**
 * Undoes spdk_nvme_ctrlr_map_pmr(): there is nothing to undo over fabrics, so the answer is -ENOSYS.
 *
 * What must hold:
 * ctrlr is a handle that nobody else is detaching.
 */
int spdk_nvme_ctrlr_unmap_pmr(struct spdk_nvme_ctrlr *ctrlr);

/**
 * The bytes of the persistent memory region: there is none over fabrics.
 *
 * What must hold:
 * ctrlr is a handle that nobody else is detaching.
 */
uint64_t spdk_nvme_ctrlr_get_pmrsz(struct spdk_nvme_ctrlr *ctrlr);

/**
 * Begins to read a boot partition into payload: -ENOTSUP. If the controller has any (CAP.BPS), it would put what it reads to an address in the
 * host's memory (BPMBL), which it does not reach over fabrics.
 *
 * What must hold:
 * ctrlr is a handle that nobody else is detaching.
 */
int spdk_nvme_ctrlr_read_boot_partition_start(struct spdk_nvme_ctrlr *ctrlr,
                                              void *payload,
                                              uint32_t bprsz,
                                              uint32_t bprof,
                                              uint32_t bpid);

/**
 * How far reading a boot partition has come: -EIO if the controller does not say, -EINVAL if it has none. Nothing was begun,
 * so it is never 0.
 *
 * What must hold:
 * ctrlr is a handle that nobody else is detaching.
 */
int spdk_nvme_ctrlr_read_boot_partition_poll(struct spdk_nvme_ctrlr *ctrlr);

/**
 * Whether a reset of the NVM subsystem is known to leave the controller attached: not over fabrics.
 *
 * What must hold:
 * ctrlr is a handle that nobody else is detaching.
 */
bool spdk_nvme_ctrlr_is_nssr_supported(struct spdk_nvme_ctrlr *ctrlr);

/**
 * Resets the NVM subsystem. The connection may be lost by that. 0, -ENOTSUP if the controller cannot (CAP.NSSRS), -1 if it
 * does not answer.
 *
 * What must hold:
 * ctrlr is a handle that nobody else is detaching.
 */
int spdk_nvme_ctrlr_reset_subsystem(struct spdk_nvme_ctrlr *ctrlr);

/**
 * Sends a command whose data pointer the program has filled in. Over fabrics only this library can: -EINVAL.
 *
 * What must hold:
 * Both are handles that nobody else is freeing. cmd is not touched.
 */
int spdk_nvme_ctrlr_io_cmd_raw_no_payload_build(struct spdk_nvme_ctrlr *ctrlr,
                                                struct spdk_nvme_qpair *qpair,
                                                struct spdk_nvme_cmd *cmd,
                                                spdk_nvme_cmd_cb cb_fn,
                                                void *cb_arg);

/**
 * Sets what is called when the controller is removed. Over RDMA nothing is: a device that goes away shows as the failure of
 * the queue pairs that it carried.
 *
 * What must hold:
 * ctrlr is a handle that nobody else is detaching.
 */
void spdk_nvme_ctrlr_set_remove_cb(struct spdk_nvme_ctrlr *ctrlr,
                                   spdk_nvme_remove_cb remove_cb,
                                   void *remove_ctx);

/**
 * Says which PCIe devices that are plugged in are looked at: for another library, if there is one that has such. There are none over RDMA.
 *
 * What must hold:
 * filter_cb is NULL or stays good for as long as the program probes for PCIe devices.
 */
void spdk_nvme_pcie_set_hotplug_filter(spdk_nvme_pcie_hotplug_filter_cb filter_cb);

/**
 * The memory domains that buffers of I/O may come from, besides the process's own: there are none. domains is not touched.
 *
 * What must hold:
 * ctrlr is a handle that nobody else is detaching.
 */
int spdk_nvme_ctrlr_get_memory_domains(const struct spdk_nvme_ctrlr *ctrlr,
                                       struct spdk_memory_domain **domains,
                                       int array_size);

/**
 * Makes a character device for the controller and each of its namespaces: -ENOTSUP.
 *
 * What must hold:
 * ctrlr is a handle that nobody else is detaching.
 */
int spdk_nvme_cuse_register(struct spdk_nvme_ctrlr *ctrlr);

/**
 * Takes the character devices of the controller away: -ENOTSUP, as there are none.
 *
 * What must hold:
 * ctrlr is a handle that nobody else is detaching.
 */
int spdk_nvme_cuse_unregister(struct spdk_nvme_ctrlr *ctrlr);

/**
 * Makes the character devices those of the namespaces that there are now: there are none.
 *
 * What must hold:
 * ctrlr is a handle that nobody else is detaching.
 */
void spdk_nvme_cuse_update_namespaces(struct spdk_nvme_ctrlr *ctrlr);

/**
 * The name of the controller's character device: -ENOTSUP, as there is none.
 *
 * What must hold:
 * ctrlr is a handle that nobody else is detaching.
 */
int spdk_nvme_cuse_get_ctrlr_name(struct spdk_nvme_ctrlr *ctrlr, char *name, size_t *size);

/**
 * The name of the character device of a namespace: -ENOTSUP, as there is none.
 *
 * What must hold:
 * ctrlr is a handle that nobody else is detaching.
 */
int spdk_nvme_cuse_get_ns_name(struct spdk_nvme_ctrlr *ctrlr, uint32_t nsid, char *name, size_t *size);

/**
 * The namespace's identifier; 0 for a handle that is no namespace.
 *
 * What must hold:
 * ns is a handle whose controller nobody else is detaching.
 */
uint32_t spdk_nvme_ns_get_id(struct spdk_nvme_ns *ns);

/**
 * Whether the namespace is active: there, and with a capacity.
 *
 * What must hold:
 * ns is a handle whose controller nobody else is detaching.
 */
bool spdk_nvme_ns_is_active(struct spdk_nvme_ns *ns);

/**
 * The namespace's size in bytes, without metadata.
 *
 * What must hold:
 * ns is a handle whose controller nobody else is detaching.
 */
uint64_t spdk_nvme_ns_get_size(struct spdk_nvme_ns *ns);

/**
 * The namespace's size in blocks.
 *
 * What must hold:
 * ns is a handle whose controller nobody else is detaching.
 */
uint64_t spdk_nvme_ns_get_num_sectors(struct spdk_nvme_ns *ns);

/**
 * The size of a block in bytes, without metadata.
 *
 * What must hold:
 * ns is a handle whose controller nobody else is detaching.
 */
uint32_t spdk_nvme_ns_get_sector_size(struct spdk_nvme_ns *ns);

/**
 * The namespace's Identify data; zeros if it is not active. They stay where they are as long as the controller is
 * attached. NULL for a handle that is no namespace, or if there is no memory for them.
 *
 * What must hold:
 * ns is a handle whose controller nobody else is detaching.
 */
const struct spdk_nvme_ns_data *spdk_nvme_ns_get_data(struct spdk_nvme_ns *ns);

/**
 * The namespace's command set.
 *
 * What must hold:
 * ns is a handle whose controller nobody else is detaching.
 */
enum spdk_nvme_csi spdk_nvme_ns_get_csi(const struct spdk_nvme_ns *ns);

/**
 * The Identify data that the NVM command set has of the namespace; as spdk_nvme_ns_get_data(). NULL if it is of another command set, or if
 * the controller has no such data: they come with extended LBA formats.
 *
 * What must hold:
 * ns is a handle whose controller nobody else is detaching.
 */
const struct spdk_nvme_nvm_ns_data *spdk_nvme_nvm_ns_get_data(struct spdk_nvme_ns *ns);

/**
 * The ANA group that the namespace is in, by the controller's log. 0 if there is no such log, or if it was not read.
 *
 * What must hold:
 * ns is a handle whose controller nobody else is detaching.
 */
uint32_t spdk_nvme_ns_get_ana_group_id(const struct spdk_nvme_ns *ns);

/**
 * The state of the ANA group that the namespace is in: optimized if there is no such log, or if it was not read. A change shows before
 * the callback for asynchronous events is called.
 *
 * What must hold:
 * ns is a handle whose controller nobody else is detaching.
 */
enum spdk_nvme_ana_state spdk_nvme_ns_get_ana_state(const struct spdk_nvme_ns *ns);

/**
 * The controller that the namespace is of. NULL for a handle that is no namespace.
 *
 * What must hold:
 * ns is a handle whose controller nobody else is detaching.
 */
struct spdk_nvme_ctrlr *spdk_nvme_ns_get_ctrlr(struct spdk_nvme_ns *ns);

/**
 * The bytes of a block in a buffer: with its metadata, if these are transferred with the data.
 *
 * What must hold:
 * ns is a handle whose controller nobody else is detaching.
 */
uint32_t spdk_nvme_ns_get_extended_sector_size(struct spdk_nvme_ns *ns);

/**
 * The bytes of metadata of a block, wherever they are.
 *
 * What must hold:
 * ns is a handle whose controller nobody else is detaching.
 */
uint32_t spdk_nvme_ns_get_md_size(struct spdk_nvme_ns *ns);

/**
 * Whether metadata are transferred with the data of each block.
 *
 * What must hold:
 * ns is a handle whose controller nobody else is detaching.
 */
bool spdk_nvme_ns_supports_extended_lba(struct spdk_nvme_ns *ns);

/**
 * The bytes that one command may transfer, not always a multiple of the block size. A longer I/O is split.
 *
 * What must hold:
 * ns is a handle whose controller nobody else is detaching.
 */
uint32_t spdk_nvme_ns_get_max_io_xfer_size(struct spdk_nvme_ns *ns);

/**
 * The blocks between two boundaries that an I/O had better not cross, and is split at; 0 if there are none.
 *
 * What must hold:
 * ns is a handle whose controller nobody else is detaching.
 */
uint32_t spdk_nvme_ns_get_optimal_io_boundary(struct spdk_nvme_ns *ns);

/**
 * The type of the protection information.
 *
 * What must hold:
 * ns is a handle whose controller nobody else is detaching.
 */
enum spdk_nvme_pi_type spdk_nvme_ns_get_pi_type(struct spdk_nvme_ns *ns);

/**
 * The format of the protection information: that of a 16-bit guard unless the controller has extended LBA formats and says otherwise.
 *
 * What must hold:
 * ns is a handle whose controller nobody else is detaching.
 */
enum spdk_nvme_pi_format spdk_nvme_ns_get_pi_format(struct spdk_nvme_ns *ns);

/**
 * What a block reads as that was deallocated.
 *
 * What must hold:
 * ns is a handle whose controller nobody else is detaching.
 */
enum spdk_nvme_dealloc_logical_block_read_value spdk_nvme_ns_get_dealloc_logical_block_read_value(struct spdk_nvme_ns *ns);

/**
 * The namespace's UUID. It stays where it is as long as the controller is attached. NULL if the controller lists none.
 *
 * What must hold:
 * ns is a handle whose controller nobody else is detaching.
 */
const struct spdk_uuid *spdk_nvme_ns_get_uuid(const struct spdk_nvme_ns *ns);

/**
 * The 16 bytes of the namespace's NGUID, as spdk_nvme_ns_get_uuid().
 *
 * What must hold:
 * ns is a handle whose controller nobody else is detaching.
 */
const uint8_t *spdk_nvme_ns_get_nguid(const struct spdk_nvme_ns *ns);

/**
 * What the namespace can do, as bits of enum spdk_nvme_ns_flags.
 *
 * What must hold:
 * ns is a handle whose controller nobody else is detaching.
 */
uint32_t spdk_nvme_ns_get_flags(struct spdk_nvme_ns *ns);

/**
 * Whether Compare is supported.
 *
 * What must hold:
 * ns is a handle whose controller nobody else is detaching.
 */
bool spdk_nvme_ns_supports_compare(struct spdk_nvme_ns *ns);

/**
 * Whether Write Uncorrectable is supported.
 *
 * What must hold:
 * ns is a handle whose controller nobody else is detaching.
 */
bool spdk_nvme_ns_supports_write_uncorrectable(struct spdk_nvme_ns *ns);

/**
 * The index of the LBA format that Identify Namespace data name (FLBAS). 0 for NULL.
 *
 * What must hold:
 * nsdata is NULL or points to Identify Namespace data.
 */
uint32_t spdk_nvme_ns_get_format_index(const struct spdk_nvme_ns_data *nsdata);

/**
 * Reads lba_count blocks from lba into payload; calls cb_fn from a poll of the queue pair when done.
 *
 * payload stays untouched until then. It may be any memory of the program: what the program has registered, or what came from
 * spdk_dma_malloc() and its kin, is used in place; other memory is copied, or registered for the length of the command, which
 * costs more. Returns 0; -EINVAL for flags or a length that cannot be; -1 for a payload that is no memory, or not writable;
 * -ENOMEM if no request is free, so try again after a poll; -ENXIO if the queue pair is not connected. cb_fn is called if, and only if, this returns 0.
 *
 * What must hold:
 * Both are handles that nobody else is freeing, and no other thread uses qpair. payload is as large as the blocks.
 */
int spdk_nvme_ns_cmd_read(struct spdk_nvme_ns *ns,
                          struct spdk_nvme_qpair *qpair,
                          void *payload,
                          uint64_t lba,
                          uint32_t lba_count,
                          spdk_nvme_cmd_cb cb_fn,
                          void *cb_arg,
                          uint32_t io_flags);

/**
 * Writes lba_count blocks from payload to lba; calls cb_fn from a poll of the queue pair when done.
 *
 * The same as spdk_nvme_ns_cmd_read() otherwise.
 *
 * What must hold:
 * Both are handles that nobody else is freeing, and no other thread uses qpair. payload is as large as the blocks.
 */
int spdk_nvme_ns_cmd_write(struct spdk_nvme_ns *ns,
                           struct spdk_nvme_qpair *qpair,
                           void *payload,
                           uint64_t lba,
                           uint32_t lba_count,
                           spdk_nvme_cmd_cb cb_fn,
                           void *cb_arg,
                           uint32_t io_flags);

/**
 * Compares lba_count blocks from lba with payload: the completion is COMPARE FAILURE if they differ. As spdk_nvme_ns_cmd_read() otherwise.
 *
 * What must hold:
 * Both are handles that nobody else is freeing, and no other thread uses qpair. payload is as large as the blocks.
 */
int spdk_nvme_ns_cmd_compare(struct spdk_nvme_ns *ns,
                             struct spdk_nvme_qpair *qpair,
                             void *payload,
                             uint64_t lba,
                             uint32_t lba_count,
                             spdk_nvme_cmd_cb cb_fn,
                             void *cb_arg,
                             uint32_t io_flags);

/**
 * Makes lba_count blocks, 1 to 65,536, read as zeros.
 *
 * What must hold:
 * Both are handles that nobody else is freeing, and no other thread uses qpair.
 */
int spdk_nvme_ns_cmd_write_zeroes(struct spdk_nvme_ns *ns,
                                  struct spdk_nvme_qpair *qpair,
                                  uint64_t lba,
                                  uint32_t lba_count,
                                  spdk_nvme_cmd_cb cb_fn,
                                  void *cb_arg,
                                  uint32_t io_flags);

/**
 * Has the controller read lba_count blocks, 1 to 65,536, and check what it can, without transferring them.
 *
 * What must hold:
 * Both are handles that nobody else is freeing, and no other thread uses qpair.
 */
int spdk_nvme_ns_cmd_verify(struct spdk_nvme_ns *ns,
                            struct spdk_nvme_qpair *qpair,
                            uint64_t lba,
                            uint32_t lba_count,
                            spdk_nvme_cmd_cb cb_fn,
                            void *cb_arg,
                            uint32_t io_flags);

/**
 * Marks lba_count blocks, 1 to 65,536, as invalid: reads of them fail until they are written.
 *
 * What must hold:
 * Both are handles that nobody else is freeing, and no other thread uses qpair.
 */
int spdk_nvme_ns_cmd_write_uncorrectable(struct spdk_nvme_ns *ns,
                                         struct spdk_nvme_qpair *qpair,
                                         uint64_t lba,
                                         uint32_t lba_count,
                                         spdk_nvme_cmd_cb cb_fn,
                                         void *cb_arg);

/**
 * Has the controller make all that was written, and completed, durable.
 *
 * What must hold:
 * Both are handles that nobody else is freeing, and no other thread uses qpair.
 */
int spdk_nvme_ns_cmd_flush(struct spdk_nvme_ns *ns,
                           struct spdk_nvme_qpair *qpair,
                           spdk_nvme_cmd_cb cb_fn,
                           void *cb_arg);

/**
 * Says how num_ranges ranges, 1 to 256, are used, or that they are not any more: attributes are those of the command's Dword 11.
 *
 * What must hold:
 * Both are handles that nobody else is freeing, and no other thread uses qpair. ranges has as many elements.
 */
int spdk_nvme_ns_cmd_dataset_management(struct spdk_nvme_ns *ns,
                                        struct spdk_nvme_qpair *qpair,
                                        uint32_t attributes,
                                        const struct spdk_nvme_dsm_range *ranges,
                                        uint16_t num_ranges,
                                        spdk_nvme_cmd_cb cb_fn,
                                        void *cb_arg);

/**
 * Copies num_ranges source ranges, 1 to 256, one behind the other to dest_lba.
 *
 * What must hold:
 * Both are handles that nobody else is freeing, and no other thread uses qpair. ranges has as many elements.
 */
int spdk_nvme_ns_cmd_copy(struct spdk_nvme_ns *ns,
                          struct spdk_nvme_qpair *qpair,
                          const struct spdk_nvme_scc_source_range *ranges,
                          uint16_t num_ranges,
                          uint64_t dest_lba,
                          spdk_nvme_cmd_cb cb_fn,
                          void *cb_arg);

/**
 * Registers, unregisters or replaces this host's reservation key.
 *
 * What must hold:
 * Both are handles that nobody else is freeing, and no other thread uses qpair. payload points to the keys.
 */
int spdk_nvme_ns_cmd_reservation_register(struct spdk_nvme_ns *ns,
                                          struct spdk_nvme_qpair *qpair,
                                          struct spdk_nvme_reservation_register_data *payload,
                                          bool ignore_key,
                                          enum spdk_nvme_reservation_register_action action,
                                          enum spdk_nvme_reservation_register_cptpl cptpl,
                                          spdk_nvme_cmd_cb cb_fn,
                                          void *cb_arg);

/**
 * Acquires or preempts a reservation.
 *
 * What must hold:
 * Both are handles that nobody else is freeing, and no other thread uses qpair. payload points to the keys.
 */
int spdk_nvme_ns_cmd_reservation_acquire(struct spdk_nvme_ns *ns,
                                         struct spdk_nvme_qpair *qpair,
                                         struct spdk_nvme_reservation_acquire_data *payload,
                                         bool ignore_key,
                                         enum spdk_nvme_reservation_acquire_action action,
                                         enum spdk_nvme_reservation_type rtype,
                                         spdk_nvme_cmd_cb cb_fn,
                                         void *cb_arg);

/**
 * Releases or clears a reservation.
 *
 * What must hold:
 * Both are handles that nobody else is freeing, and no other thread uses qpair. payload points to the keys.
 */
int spdk_nvme_ns_cmd_reservation_release(struct spdk_nvme_ns *ns,
                                         struct spdk_nvme_qpair *qpair,
                                         struct spdk_nvme_reservation_key_data *payload,
                                         bool ignore_key,
                                         enum spdk_nvme_reservation_release_action action,
                                         enum spdk_nvme_reservation_type rtype,
                                         spdk_nvme_cmd_cb cb_fn,
                                         void *cb_arg);

/**
 * Reads len bytes, a multiple of 4, of the report of a reservation and its registrants; in the extended form if the controller has host
 * identifiers of 128 bits.
 *
 * What must hold:
 * Both are handles that nobody else is freeing, and no other thread uses qpair. payload is NULL or has len bytes until cb_fn is called.
 */
int spdk_nvme_ns_cmd_reservation_report(struct spdk_nvme_ns *ns,
                                        struct spdk_nvme_qpair *qpair,
                                        void *payload,
                                        uint32_t len,
                                        spdk_nvme_cmd_cb cb_fn,
                                        void *cb_arg);

/**
 * Receives len bytes, a multiple of 4, of I/O management: mo is the operation, mos specific to that.
 *
 * What must hold:
 * Both are handles that nobody else is freeing, and no other thread uses qpair. payload is NULL or has len bytes until cb_fn is called.
 */
int spdk_nvme_ns_cmd_io_mgmt_recv(struct spdk_nvme_ns *ns,
                                  struct spdk_nvme_qpair *qpair,
                                  void *payload,
                                  uint32_t len,
                                  uint8_t mo,
                                  uint16_t mos,
                                  spdk_nvme_cmd_cb cb_fn,
                                  void *cb_arg);

/**
 * Sends len bytes of I/O management: mo is the operation, mos specific to that.
 *
 * What must hold:
 * Both are handles that nobody else is freeing, and no other thread uses qpair. payload is NULL or has len bytes.
 */
int spdk_nvme_ns_cmd_io_mgmt_send(struct spdk_nvme_ns *ns,
                                  struct spdk_nvme_qpair *qpair,
                                  void *payload,
                                  uint32_t len,
                                  uint8_t mo,
                                  uint16_t mos,
                                  spdk_nvme_cmd_cb cb_fn,
                                  void *cb_arg);

/**
 * Reads lba_count blocks from lba into payload, as spdk_nvme_ns_cmd_read(), with an application tag. metadata is not looked at.
 *
 * What must hold:
 * Both are handles that nobody else is freeing, and no other thread uses qpair. payload is as large as the blocks.
 */
int spdk_nvme_ns_cmd_read_with_md(struct spdk_nvme_ns *ns,
                                  struct spdk_nvme_qpair *qpair,
                                  void *payload,
                                  void *metadata,
                                  uint64_t lba,
                                  uint32_t lba_count,
                                  spdk_nvme_cmd_cb cb_fn,
                                  void *cb_arg,
                                  uint32_t io_flags,
                                  uint16_t apptag_mask,
                                  uint16_t apptag);

/**
 * Writes lba_count blocks to lba from payload, as spdk_nvme_ns_cmd_write(), with an application tag. metadata is not looked at.
 *
 * What must hold:
 * Both are handles that nobody else is freeing, and no other thread uses qpair. payload is as large as the blocks.
 */
int spdk_nvme_ns_cmd_write_with_md(struct spdk_nvme_ns *ns,
                                   struct spdk_nvme_qpair *qpair,
                                   void *payload,
                                   void *metadata,
                                   uint64_t lba,
                                   uint32_t lba_count,
                                   spdk_nvme_cmd_cb cb_fn,
                                   void *cb_arg,
                                   uint32_t io_flags,
                                   uint16_t apptag_mask,
                                   uint16_t apptag);

/**
 * Compares lba_count blocks from lba with payload, as spdk_nvme_ns_cmd_compare(), with an application tag. metadata is not looked at.
 *
 * What must hold:
 * Both are handles that nobody else is freeing, and no other thread uses qpair. payload is as large as the blocks.
 */
int spdk_nvme_ns_cmd_compare_with_md(struct spdk_nvme_ns *ns,
                                     struct spdk_nvme_qpair *qpair,
                                     void *payload,
                                     void *metadata,
                                     uint64_t lba,
                                     uint32_t lba_count,
                                     spdk_nvme_cmd_cb cb_fn,
                                     void *cb_arg,
                                     uint32_t io_flags,
                                     uint16_t apptag_mask,
                                     uint16_t apptag);

/**
 * Reads lba_count blocks from lba into payload, with options, which are read during the call, up to their size. A memory domain or an accelerated
 * sequence is refused with -EINVAL.
 *
 * What must hold:
 * Both are handles that nobody else is freeing, and no other thread uses qpair. payload is as large as the blocks; opts is NULL, which is
 * refused, or points to options.
 */
int spdk_nvme_ns_cmd_read_ext(struct spdk_nvme_ns *ns,
                              struct spdk_nvme_qpair *qpair,
                              void *payload,
                              uint64_t lba,
                              uint32_t lba_count,
                              spdk_nvme_cmd_cb cb_fn,
                              void *cb_arg,
                              struct spdk_nvme_ns_cmd_ext_io_opts *opts);

/**
 * Reads lba_count blocks from lba into the iovcnt pieces of iov, with options or none. Both are read during the call.
 *
 * What must hold:
 * Both are handles that nobody else is freeing, and no other thread uses qpair. iov has as many elements, which are together as
 * large as the blocks; opts is NULL or points to options.
 */
int spdk_nvme_ns_cmd_read_iov(struct spdk_nvme_ns *ns,
                              struct spdk_nvme_qpair *qpair,
                              uint64_t lba,
                              uint32_t lba_count,
                              spdk_nvme_cmd_cb cb_fn,
                              void *cb_arg,
                              struct iovec *iov,
                              uint32_t iovcnt,
                              struct spdk_nvme_ns_cmd_ext_io_opts *opts);

/**
 * Writes lba_count blocks to lba from payload, with options, which are read during the call, up to their size. A memory domain or an accelerated
 * sequence is refused with -EINVAL.
 *
 * What must hold:
 * Both are handles that nobody else is freeing, and no other thread uses qpair. payload is as large as the blocks; opts is NULL, which is
 * refused, or points to options.
 */
int spdk_nvme_ns_cmd_write_ext(struct spdk_nvme_ns *ns,
                               struct spdk_nvme_qpair *qpair,
                               void *payload,
                               uint64_t lba,
                               uint32_t lba_count,
                               spdk_nvme_cmd_cb cb_fn,
                               void *cb_arg,
                               struct spdk_nvme_ns_cmd_ext_io_opts *opts);

/**
 * Writes lba_count blocks to lba from the iovcnt pieces of iov, with options or none. Both are read during the call.
 *
 * What must hold:
 * Both are handles that nobody else is freeing, and no other thread uses qpair. iov has as many elements, which are together as
 * large as the blocks; opts is NULL or points to options.
 */
int spdk_nvme_ns_cmd_write_iov(struct spdk_nvme_ns *ns,
                               struct spdk_nvme_qpair *qpair,
                               uint64_t lba,
                               uint32_t lba_count,
                               spdk_nvme_cmd_cb cb_fn,
                               void *cb_arg,
                               struct iovec *iov,
                               uint32_t iovcnt,
                               struct spdk_nvme_ns_cmd_ext_io_opts *opts);

/**
 * Reads lba_count blocks from lba into the pieces that the program's functions give.
 *
 * What must hold:
 * Both are handles that nobody else is freeing, and no other thread uses qpair. The functions give pieces that are together as
 * large as the blocks.
 */
int spdk_nvme_ns_cmd_readv(struct spdk_nvme_ns *ns,
                           struct spdk_nvme_qpair *qpair,
                           uint64_t lba,
                           uint32_t lba_count,
                           spdk_nvme_cmd_cb cb_fn,
                           void *cb_arg,
                           uint32_t io_flags,
                           spdk_nvme_req_reset_sgl_cb reset_sgl_fn,
                           spdk_nvme_req_next_sge_cb next_sge_fn);

/**
 * As spdk_nvme_ns_cmd_readv(), with an application tag. metadata is not looked at.
 *
 * What must hold:
 * Both are handles that nobody else is freeing, and no other thread uses qpair. As for spdk_nvme_ns_cmd_readv().
 */
int spdk_nvme_ns_cmd_readv_with_md(struct spdk_nvme_ns *ns,
                                   struct spdk_nvme_qpair *qpair,
                                   uint64_t lba,
                                   uint32_t lba_count,
                                   spdk_nvme_cmd_cb cb_fn,
                                   void *cb_arg,
                                   uint32_t io_flags,
                                   spdk_nvme_req_reset_sgl_cb reset_sgl_fn,
                                   spdk_nvme_req_next_sge_cb next_sge_fn,
                                   void *metadata,
                                   uint16_t apptag_mask,
                                   uint16_t apptag);

/**
 * As spdk_nvme_ns_cmd_readv(), with options or none: see spdk_nvme_ns_cmd_read_ext().
 *
 * What must hold:
 * Both are handles that nobody else is freeing, and no other thread uses qpair. As for spdk_nvme_ns_cmd_readv(); opts is NULL or
 * points to options.
 */
int spdk_nvme_ns_cmd_readv_ext(struct spdk_nvme_ns *ns,
                               struct spdk_nvme_qpair *qpair,
                               uint64_t lba,
                               uint32_t lba_count,
                               spdk_nvme_cmd_cb cb_fn,
                               void *cb_arg,
                               spdk_nvme_req_reset_sgl_cb reset_sgl_fn,
                               spdk_nvme_req_next_sge_cb next_sge_fn,
                               struct spdk_nvme_ns_cmd_ext_io_opts *opts);

/**
 * Writes lba_count blocks to lba from the pieces that the program's functions give.
 *
 * What must hold:
 * Both are handles that nobody else is freeing, and no other thread uses qpair. The functions give pieces that are together as
 * large as the blocks.
 */
int spdk_nvme_ns_cmd_writev(struct spdk_nvme_ns *ns,
                            struct spdk_nvme_qpair *qpair,
                            uint64_t lba,
                            uint32_t lba_count,
                            spdk_nvme_cmd_cb cb_fn,
                            void *cb_arg,
                            uint32_t io_flags,
                            spdk_nvme_req_reset_sgl_cb reset_sgl_fn,
                            spdk_nvme_req_next_sge_cb next_sge_fn);

/**
 * As spdk_nvme_ns_cmd_writev(), with an application tag. metadata is not looked at.
 *
 * What must hold:
 * Both are handles that nobody else is freeing, and no other thread uses qpair. As for spdk_nvme_ns_cmd_writev().
 */
int spdk_nvme_ns_cmd_writev_with_md(struct spdk_nvme_ns *ns,
                                    struct spdk_nvme_qpair *qpair,
                                    uint64_t lba,
                                    uint32_t lba_count,
                                    spdk_nvme_cmd_cb cb_fn,
                                    void *cb_arg,
                                    uint32_t io_flags,
                                    spdk_nvme_req_reset_sgl_cb reset_sgl_fn,
                                    spdk_nvme_req_next_sge_cb next_sge_fn,
                                    void *metadata,
                                    uint16_t apptag_mask,
                                    uint16_t apptag);

/**
 * As spdk_nvme_ns_cmd_writev(), with options or none: see spdk_nvme_ns_cmd_write_ext().
 *
 * What must hold:
 * Both are handles that nobody else is freeing, and no other thread uses qpair. As for spdk_nvme_ns_cmd_writev(); opts is NULL or
 * points to options.
 */
int spdk_nvme_ns_cmd_writev_ext(struct spdk_nvme_ns *ns,
                                struct spdk_nvme_qpair *qpair,
                                uint64_t lba,
                                uint32_t lba_count,
                                spdk_nvme_cmd_cb cb_fn,
                                void *cb_arg,
                                spdk_nvme_req_reset_sgl_cb reset_sgl_fn,
                                spdk_nvme_req_next_sge_cb next_sge_fn,
                                struct spdk_nvme_ns_cmd_ext_io_opts *opts);

/**
 * Compares lba_count blocks from lba with the pieces that the program's functions give.
 *
 * What must hold:
 * Both are handles that nobody else is freeing, and no other thread uses qpair. The functions give pieces that are together as
 * large as the blocks.
 */
int spdk_nvme_ns_cmd_comparev(struct spdk_nvme_ns *ns,
                              struct spdk_nvme_qpair *qpair,
                              uint64_t lba,
                              uint32_t lba_count,
                              spdk_nvme_cmd_cb cb_fn,
                              void *cb_arg,
                              uint32_t io_flags,
                              spdk_nvme_req_reset_sgl_cb reset_sgl_fn,
                              spdk_nvme_req_next_sge_cb next_sge_fn);

/**
 * As spdk_nvme_ns_cmd_comparev(), with an application tag. metadata is not looked at.
 *
 * What must hold:
 * Both are handles that nobody else is freeing, and no other thread uses qpair. As for spdk_nvme_ns_cmd_comparev().
 */
int spdk_nvme_ns_cmd_comparev_with_md(struct spdk_nvme_ns *ns,
                                      struct spdk_nvme_qpair *qpair,
                                      uint64_t lba,
                                      uint32_t lba_count,
                                      spdk_nvme_cmd_cb cb_fn,
                                      void *cb_arg,
                                      uint32_t io_flags,
                                      spdk_nvme_req_reset_sgl_cb reset_sgl_fn,
                                      spdk_nvme_req_next_sge_cb next_sge_fn,
                                      void *metadata,
                                      uint16_t apptag_mask,
                                      uint16_t apptag);

/**
 * Sends a command with len bytes of data at buf, any memory as spdk_nvme_ns_cmd_read() has it, which stays untouched until cb_fn is
 * called. NULL and 0 say that there are none.
 *
 * What must hold:
 * Both are handles that nobody else is freeing, and no other thread uses qpair. cmd is NULL, which is refused, or points to a
 * command; buf has len bytes.
 */
int spdk_nvme_ctrlr_cmd_io_raw(struct spdk_nvme_ctrlr *ctrlr,
                               struct spdk_nvme_qpair *qpair,
                               struct spdk_nvme_cmd *cmd,
                               void *buf,
                               uint32_t len,
                               spdk_nvme_cmd_cb cb_fn,
                               void *cb_arg);

/**
 * As spdk_nvme_ctrlr_cmd_io_raw(). There are no metadata apart from the data over RDMA: what md_buf points to is not looked at. A command
 * with metadata is one of a namespace: -EINVAL if the controller can have none of its NSID.
 *
 * What must hold:
 * As for spdk_nvme_ctrlr_cmd_io_raw().
 */
int spdk_nvme_ctrlr_cmd_io_raw_with_md(struct spdk_nvme_ctrlr *ctrlr,
                                       struct spdk_nvme_qpair *qpair,
                                       struct spdk_nvme_cmd *cmd,
                                       void *buf,
                                       uint32_t len,
                                       void *md_buf,
                                       spdk_nvme_cmd_cb cb_fn,
                                       void *cb_arg);

/**
 * As spdk_nvme_ctrlr_cmd_io_raw_with_md(), with len bytes of data in the pieces that the program's functions give, called during this
 * call with cb_arg: no more of them than spdk_nvme_ctrlr_get_max_sges() says.
 *
 * What must hold:
 * As for spdk_nvme_ctrlr_cmd_io_raw(). The functions give pieces that have len bytes together.
 */
int spdk_nvme_ctrlr_cmd_iov_raw_with_md(struct spdk_nvme_ctrlr *ctrlr,
                                        struct spdk_nvme_qpair *qpair,
                                        struct spdk_nvme_cmd *cmd,
                                        uint32_t len,
                                        void *md_buf,
                                        spdk_nvme_cmd_cb cb_fn,
                                        void *cb_arg,
                                        spdk_nvme_req_reset_sgl_cb reset_sgl_fn,
                                        spdk_nvme_req_next_sge_cb next_sge_fn);

/**
 * Ends a queue pair. NULL is allowed.
 *
 * Waits until the hardware is done with every buffer, but not for a controller that is silent. Callbacks of requests that
 * were not done are called with "aborted, SQ deletion" before this returns, in the order of their submission. The queue
 * pair leaves its poll group. Returns 0, also if it is being freed already: by a callback of this call, by another
 * thread, or with its controller; those go on with it.
 *
 * What must hold:
 * No other thread uses qpair, but for one that frees it or detaches its controller, too, and nobody uses it afterwards.
 */
int spdk_nvme_ctrlr_free_io_qpair(struct spdk_nvme_qpair *qpair);

/**
 * Disconnects a queue pair, and aborts the requests that are not done.
 *
 * Waits for the end, and their callbacks run before this returns; in async_mode it only begins, goes on while the queue
 * pair or its group is polled, and they run then.
 *
 * What must hold:
 * qpair is a handle that no other thread uses.
 */
void spdk_nvme_ctrlr_disconnect_io_qpair(struct spdk_nvme_qpair *qpair);

/**
 * Polls a queue pair: delivers what is done, and goes on with connecting or disconnecting.
 *
 * At most max_completions commands are completed; 0 is no limit. Callbacks may do anything, even free this queue
 * pair. Returns how many were completed, or a negated errno: -ENXIO if it is not connected.
 *
 * What must hold:
 * qpair is a handle that no other thread uses.
 */
int32_t spdk_nvme_qpair_process_completions(struct spdk_nvme_qpair *qpair,
                                            uint32_t max_completions);

/**
 * Whether a queue pair is connected, so that commands can be submitted.
 *
 * What must hold:
 * qpair is a handle that no other thread uses.
 */
bool spdk_nvme_qpair_is_connected(struct spdk_nvme_qpair *qpair);

/**
 * Why a queue pair is not connected any more.
 *
 * What must hold:
 * qpair is a handle that no other thread uses.
 */
spdk_nvme_qp_failure_reason spdk_nvme_qpair_get_failure_reason(struct spdk_nvme_qpair *qpair);

/**
 * The queue identifier. 0, which is the Admin Queue's, for a handle that is no queue pair.
 *
 * What must hold:
 * qpair is a handle that no other thread uses.
 */
uint16_t spdk_nvme_qpair_get_id(struct spdk_nvme_qpair *qpair);

/**
 * Whether it is an Admin Queue: never, since those have no handles.
 *
 * What must hold:
 * qpair is a handle that no other thread uses.
 */
bool spdk_nvme_qpair_is_admin_queue(struct spdk_nvme_qpair *qpair);

/**
 * How many requests were accepted whose callback did not run yet, whether they are on the wire or wait.
 *
 * What must hold:
 * qpair is a handle that no other thread uses.
 */
uint32_t spdk_nvme_qpair_get_num_outstanding_reqs(struct spdk_nvme_qpair *qpair);

/**
 * How many commands of a queue pair are with its controller. 0 for a handle that is no queue pair.
 *
 * What must hold:
 * qpair is a handle that no other thread uses.
 */
uint16_t spdk_nvme_qpair_get_queue_depth(struct spdk_nvme_qpair *qpair);

/**
 * Says whether commands that end with their queue pair's connection have the DNR bit (do not retry) in their status from now on.
 *
 * What must hold:
 * qpair is a handle that no other thread uses.
 */
void spdk_nvme_qpair_set_abort_dnr(struct spdk_nvme_qpair *qpair,
                                   bool dnr);

/**
 * The poll group that a queue pair would do best in: over RDMA there is none such, so NULL.
 *
 * What must hold:
 * qpair is a handle that no other thread uses.
 */
struct spdk_nvme_poll_group *spdk_nvme_qpair_get_optimal_poll_group(struct spdk_nvme_qpair *qpair);

/**
 * The descriptor that a program could wait on for the queue pair: there is none over RDMA, where queue pairs are polled. The
 * answer is -ENOTSUP, and opts is not touched.
 *
 * What must hold:
 * qpair is a handle that no other thread uses.
 */
int spdk_nvme_qpair_get_fd(struct spdk_nvme_qpair *qpair,
                           struct spdk_event_handler_opts *opts);

/**
 * As spdk_nvme_qpair_get_fd(), for the Admin Queue.
 *
 * What must hold:
 * ctrlr is a handle that nobody else is detaching.
 */
int spdk_nvme_ctrlr_get_admin_qp_fd(struct spdk_nvme_ctrlr *ctrlr, struct spdk_event_handler_opts *opts);

/**
 * Makes a poll group. ctx is given back with each queue pair that is found disconnected.
 *
 * table, which may be NULL, is read up to its table_size. Returns NULL if it has some of the three functions for
 * sequences and not the others, or functions that append without those.
 *
 * What must hold:
 * table is NULL or points to as many bytes as its table_size says.
 */
struct spdk_nvme_poll_group *spdk_nvme_poll_group_create(void *ctx,
                                                         struct spdk_nvme_accel_fn_table *table);

/**
 * Adds a queue pair that is not connected. Returns 0, or -EINVAL if it is connected.
 *
 * What must hold:
 * Both are handles that no other thread uses.
 */
int spdk_nvme_poll_group_add(struct spdk_nvme_poll_group *group, struct spdk_nvme_qpair *qpair);

/**
 * Removes a queue pair that is not connected. Returns 0, -EINVAL if it is connected, -ENOENT if it is in another
 * group or in none.
 *
 * What must hold:
 * Both are handles that no other thread uses.
 */
int spdk_nvme_poll_group_remove(struct spdk_nvme_poll_group *group,
                                struct spdk_nvme_qpair *qpair);

/**
 * Polls all queue pairs of a group; calls disconnected_qpair_cb, before anything else, for each whose connection is over.
 *
 * Each queue pair completes at most completions_per_qpair commands; 0 is 128. Callbacks may do anything. Returns
 * how many commands were completed, 0 if called from a callback of this group's own poll, -EINVAL without a callback,
 * -ENXIO if a queue pair was found to have lost its connection, unless a failed work request told that, or -EIO if a
 * completion queue cannot be polled; all others were polled nevertheless.
 *
 * What must hold:
 * group is a handle that no other thread uses.
 */
int64_t spdk_nvme_poll_group_process_completions(struct spdk_nvme_poll_group *group,
                                                 uint32_t completions_per_qpair,
                                                 spdk_nvme_disconnected_qpair_cb disconnected_qpair_cb);

/**
 * Destroys a poll group. Returns 0, or -EBUSY if it still has queue pairs.
 *
 * What must hold:
 * group is a handle that no other thread uses; nobody uses it after a 0.
 */
int spdk_nvme_poll_group_destroy(struct spdk_nvme_poll_group *group);

/**
 * The context that the group was made with. NULL for a handle that is no poll group.
 *
 * What must hold:
 * group is a handle that no other thread uses.
 */
void *spdk_nvme_poll_group_get_ctx(struct spdk_nvme_poll_group *group);

/**
 * Whether all queue pairs of the group are connected: 0, also if there are none; -EIO if one is disconnected, or was never connected;
 * else -EAGAIN, since one is on its way.
 *
 * What must hold:
 * group is a handle that no other thread uses.
 */
int spdk_nvme_poll_group_all_connected(struct spdk_nvme_poll_group *group);

/**
 * Waits for the queue pairs of another library in the group, as that library does. There is nothing to wait for in queue pairs over
 * RDMA: -EINVAL if the group has any, or none of either kind; and without disconnected_qpair_cb.
 *
 * What must hold:
 * group is a handle that no other thread uses.
 */
int spdk_nvme_poll_group_wait(struct spdk_nvme_poll_group *group,
                              spdk_nvme_disconnected_qpair_cb disconnected_qpair_cb);

/**
 * The descriptor that a program can wait on for queue pairs of another library in the group, as that library gives it. There is none over
 * RDMA: -EINVAL where there is no such library.
 *
 * What must hold:
 * group is a handle that no other thread uses.
 */
int spdk_nvme_poll_group_get_fd(struct spdk_nvme_poll_group *group);

/**
 * As spdk_nvme_poll_group_get_fd(), or NULL.
 *
 * What must hold:
 * group is a handle that no other thread uses.
 */
struct spdk_fd_group *spdk_nvme_poll_group_get_fd_group(struct spdk_nvme_poll_group *group);

/**
 * Sets what is called when queue pairs of another library in the group have something to do; over RDMA it never is. Returns 0, or -EEXIST if
 * another function was set before and not taken away with NULL.
 *
 * What must hold:
 * group is a handle that no other thread uses.
 */
int spdk_nvme_poll_group_set_interrupt_callback(struct spdk_nvme_poll_group *group,
                                                spdk_nvme_poll_group_interrupt_cb cb_fn,
                                                void *cb_ctx);

/**
 * What was counted of a group: polls, completions, work requests and doorbells, for each device that its queue pairs are connected over,
 * as long as one is. Through *stats, which is to be given to spdk_nvme_poll_group_free_stats().
 *
 * Returns 0, -ENOTSUP if the group never had a queue pair, -ENOMEM if there is no memory; *stats is not written then.
 *
 * What must hold:
 * group is a handle that no other thread uses. stats is NULL or can be written.
 */
int spdk_nvme_poll_group_get_stats(struct spdk_nvme_poll_group *group,
                                   struct spdk_nvme_poll_group_stat **stats);

/**
 * Frees what spdk_nvme_poll_group_get_stats() gave. NULL is nothing.
 *
 * What must hold:
 * group is a handle that no other thread uses. stat is NULL or what the other function gave for this group, and is not used any more.
 */
void spdk_nvme_poll_group_free_stats(struct spdk_nvme_poll_group *group,
                                     struct spdk_nvme_poll_group_stat *stat);

/**
 * The text of a status, as the answer to a command with this opcode.
 *
 * What must hold:
 * status is NULL, which gives "RESERVED", or points to a status.
 */
const char *spdk_nvme_cpl_get_status_string_ext(const struct spdk_nvme_status *status, uint8_t opc);

/**
 * The text of a status, as the answer to a command of any but the Fabrics command set.
 *
 * What must hold:
 * status is NULL, which gives "RESERVED", or points to a status.
 */
const char *spdk_nvme_cpl_get_status_string(const struct spdk_nvme_status *status);

/**
 * The name of a status's type: "GENERIC", "COMMAND SPECIFIC", "MEDIA ERROR", "PATH", "VENDOR SPECIFIC" or "RESERVED".
 *
 * What must hold:
 * status is NULL, which gives "RESERVED", or points to a status.
 */
const char *spdk_nvme_cpl_get_status_type_string(const struct spdk_nvme_status *status);

/**
 * Writes a command as a notice to the log, as one of the queue with this identifier; 0 is the admin queue.
 *
 * What must hold:
 * cmd is NULL, which a line in the log says, or points to a command.
 */
void spdk_nvme_print_command(uint16_t qid, struct spdk_nvme_cmd *cmd);

/**
 * Writes a completion as a notice to the log, as one of the queue with this identifier, without knowing its command.
 *
 * What must hold:
 * cpl is NULL, which a line in the log says, or points to a completion.
 */
void spdk_nvme_print_completion(uint16_t qid,
                                struct spdk_nvme_cpl *cpl);

/**
 * Writes a completion as a notice to the log, as one of the queue with this identifier and the answer to a command with
 * this opcode.
 *
 * What must hold:
 * cpl is NULL, which a line in the log says, or points to a completion.
 */
void spdk_nvme_print_completion_ext(uint16_t qid,
                                    const struct spdk_nvme_cpl *cpl,
                                    uint8_t opc);

/**
 * Writes a command as a notice to the log, behind what its queue pair is.
 *
 * What must hold:
 * qpair is a handle that no other thread uses. cmd is NULL, which a line in the log says, or points to a command.
 */
void spdk_nvme_qpair_print_command(struct spdk_nvme_qpair *qpair,
                                   struct spdk_nvme_cmd *cmd);

/**
 * Writes a completion as a notice to the log, behind what its queue pair is, without knowing its command.
 *
 * What must hold:
 * qpair is a handle that no other thread uses. cpl is NULL, which a line in the log says, or points to a completion.
 */
void spdk_nvme_qpair_print_completion(struct spdk_nvme_qpair *qpair,
                                      struct spdk_nvme_cpl *cpl);

/**
 * Writes a completion as a notice to the log, behind what its queue pair is, as the answer to a command with this opcode.
 *
 * What must hold:
 * qpair is a handle that no other thread uses. cpl is NULL, which a line in the log says, or points to a completion.
 */
void spdk_nvme_qpair_print_completion_ext(const struct spdk_nvme_qpair *qpair,
                                          const struct spdk_nvme_cpl *cpl,
                                          uint8_t opc);

/**
 * The identifier of a hash function (enum spdk_nvmf_dhchap_hash) by its name: "sha256", "sha384" or "sha512". -EINVAL if
 * it is not known.
 *
 * What must hold:
 * digest is NULL, which is not known, or a C string.
 */
int spdk_nvme_dhchap_get_digest_id(const char *digest);

/**
 * The name of a hash function; NULL if it is not known.
 */
const char *spdk_nvme_dhchap_get_digest_name(int id);

/**
 * How many bytes a hash function gives; 0 if it is not known.
 */
uint8_t spdk_nvme_dhchap_get_digest_length(int id);

/**
 * The identifier of a Diffie-Hellman group (enum spdk_nvmf_dhchap_dhgroup) by its name: "null", "ffdhe2048", "ffdhe3072",
 * "ffdhe4096", "ffdhe6144" or "ffdhe8192". -EINVAL if it is not known.
 *
 * What must hold:
 * dhgroup is NULL, which is not known, or a C string.
 */
int spdk_nvme_dhchap_get_dhgroup_id(const char *dhgroup);

/**
 * The name of a Diffie-Hellman group; NULL if it is not known.
 */
const char *spdk_nvme_dhchap_get_dhgroup_name(int id);

/**
 * Lets connections from now on use protection domains and memory keys of the program's.
 *
 * The three functions are copied, and one that is NULL is not used; NULL for all of them ends that. Call it before the first
 * connection.
 *
 * get_ibv_pd gives the protection domain for a controller, on the device that its connection goes over: it must be one of that device,
 * and stays the program's, until all connections over it are gone. NULL refuses the connection. get_rkey gives the key for a
 * region that is registered with the environment, which the controller gets, or 0 if there is none; data in such a region, and in memory
 * that is not registered, are copied. put_rkey hears when a region is unregistered, or the last connection over the domain is gone.
 * The library's own memory is registered with the program's protection domain.
 *
 * What must hold:
 * hooks is NULL or points to functions that can be called from any thread, as long as the process lives.
 */
void spdk_nvme_rdma_init_hooks(struct spdk_nvme_rdma_hooks *hooks);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* SPDK_NVME_H */
