/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Any memory works as a buffer: heap, stack, static data, shared memory, files, huge pages, misaligned, in each form of read, write and
 * compare. What is read and written is compared byte by byte, and so is what lies around it. What is no memory is an error. On any target.
 */

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "check.h"
#include "common.h"
#include "in_process.h"
#include "session.h"
#include "spdk/nvme_rdma.h"

#define MARGIN 64
#define CANARY 0xc7
#define ODD 13           /* where in a page a buffer begins */
#define BIG (1u << 20)   /* bytes of the longest transfer */
#define SMALL (16u << 10) /* of those in memory that there is little of */
#define MOST_PIECES 64
#define HUGE_PAGE (2u << 20)

static struct session g_session;
static struct spdk_nvme_qpair *g_qpair;
static uint8_t *g_registered; /* BIG bytes */
static uint64_t g_random = 0x853c49e6748fea9bull;

static uint8_t g_static[SMALL + 2 * MARGIN + ODD];

/* One kind of memory. */
struct kind {
	const char *name;
	uint8_t *memory;
	size_t size;
};

/* Pieces of a buffer, and the program's functions over them. */
struct pieces {
	struct single single; /* first: the callback's argument is the functions' */
	struct iovec iov[MOST_PIECES];
	unsigned count;
	unsigned at;
	uint32_t skip;
};

static void reset_sgl(void *arg, uint32_t offset)
{
	struct pieces *pieces = arg;

	pieces->at = 0;
	while (pieces->at < pieces->count && offset >= pieces->iov[pieces->at].iov_len) {
		offset -= (uint32_t)pieces->iov[pieces->at++].iov_len;
	}
	pieces->skip = offset;
}

static int next_sge(void *arg, void **address, uint32_t *length)
{
	struct pieces *pieces = arg;

	if (pieces->at == pieces->count) {
		return -1;
	}
	*address = (uint8_t *)pieces->iov[pieces->at].iov_base + pieces->skip;
	*length = (uint32_t)pieces->iov[pieces->at].iov_len - pieces->skip;
	pieces->skip = 0;
	pieces->at++;
	return 0;
}

/* Pieces of whole blocks, of which every third is memory that is registered: its content is copied from and to the buffer by the
 * test. No more than 16 of them. */
static void cut(struct pieces *pieces, uint8_t *buffer, uint32_t bytes)
{
	uint32_t sector = g_session.sector_size, done = 0;
	uint32_t most = (bytes / sector + 15) / 16 * sector;

	memset(pieces, 0, sizeof(*pieces));
	while (done < bytes) {
		uint32_t length = bytes - done < most ? bytes - done : most;
		uint8_t *base = pieces->count % 3 == 2 ? g_registered + done : buffer + done;

		pieces->iov[pieces->count++] = (struct iovec){.iov_base = base, .iov_len = length};
		done += length;
	}
}

static void gather(const struct pieces *pieces, uint8_t *to)
{
	unsigned i;

	for (i = 0; i < pieces->count; i++) {
		memcpy(to, pieces->iov[i].iov_base, pieces->iov[i].iov_len);
		to += pieces->iov[i].iov_len;
	}
}

static void scatter(const struct pieces *pieces, const uint8_t *from)
{
	unsigned i;

	for (i = 0; i < pieces->count; i++) {
		memcpy(pieces->iov[i].iov_base, from, pieces->iov[i].iov_len);
		from += pieces->iov[i].iov_len;
	}
}

enum form { FLAT, WITH_MD, EXT, RAW, RAW_WITH_MD, V, V_WITH_MD, V_EXT, IOV, IOV_RAW, FORMS };
enum what { WRITE, READ, COMPARE };

static bool is_in_pieces(enum form form)
{
	return form >= V;
}

/* Submits from or to a buffer, or the pieces of one. */
static int submit(enum form form, enum what what, struct pieces *p, uint8_t *buffer, uint64_t lba, uint32_t blocks)
{
	static const uint8_t opcodes[] = {SPDK_NVME_OPC_WRITE, SPDK_NVME_OPC_READ, SPDK_NVME_OPC_COMPARE};
	struct spdk_nvme_ns_cmd_ext_io_opts opts = {.size = sizeof(opts)};
	struct spdk_nvme_cmd cmd = {.opc = opcodes[what]};
	struct spdk_nvme_ctrlr *ctrlr = g_session.ctrlr;
	struct spdk_nvme_ns *ns = g_session.ns;
	struct spdk_nvme_qpair *q = g_qpair;
	uint32_t bytes = blocks * g_session.sector_size;

	cmd.nsid = spdk_nvme_ns_get_id(ns);
	cmd.cdw10 = (uint32_t)lba;
	cmd.cdw12 = blocks - 1;
	if (what == COMPARE && form != RAW && form != RAW_WITH_MD && form != IOV_RAW) {
		switch (form) {
		case FLAT:
		case EXT:
			return spdk_nvme_ns_cmd_compare(ns, q, buffer, lba, blocks, single_done, p, 0);
		case WITH_MD:
			return spdk_nvme_ns_cmd_compare_with_md(ns, q, buffer, NULL, lba, blocks, single_done, p, 0, 0, 0);
		case V_WITH_MD:
			return spdk_nvme_ns_cmd_comparev_with_md(ns, q, lba, blocks, single_done, p, 0, reset_sgl, next_sge, NULL, 0,
								 0);
		default:
			return spdk_nvme_ns_cmd_comparev(ns, q, lba, blocks, single_done, p, 0, reset_sgl, next_sge);
		}
	}
	switch (form) {
	case FLAT:
		return what == WRITE ? spdk_nvme_ns_cmd_write(ns, q, buffer, lba, blocks, single_done, p, 0)
				     : spdk_nvme_ns_cmd_read(ns, q, buffer, lba, blocks, single_done, p, 0);
	case WITH_MD:
		return what == WRITE ? spdk_nvme_ns_cmd_write_with_md(ns, q, buffer, NULL, lba, blocks, single_done, p, 0, 0, 0)
				     : spdk_nvme_ns_cmd_read_with_md(ns, q, buffer, NULL, lba, blocks, single_done, p, 0, 0, 0);
	case EXT:
		return what == WRITE ? spdk_nvme_ns_cmd_write_ext(ns, q, buffer, lba, blocks, single_done, p, &opts)
				     : spdk_nvme_ns_cmd_read_ext(ns, q, buffer, lba, blocks, single_done, p, &opts);
	case RAW:
		return spdk_nvme_ctrlr_cmd_io_raw(ctrlr, q, &cmd, buffer, bytes, single_done, p);
	case RAW_WITH_MD:
		return spdk_nvme_ctrlr_cmd_io_raw_with_md(ctrlr, q, &cmd, buffer, bytes, NULL, single_done, p);
	case V:
		return what == WRITE ? spdk_nvme_ns_cmd_writev(ns, q, lba, blocks, single_done, p, 0, reset_sgl, next_sge)
				     : spdk_nvme_ns_cmd_readv(ns, q, lba, blocks, single_done, p, 0, reset_sgl, next_sge);
	case V_WITH_MD:
		return what == WRITE ? spdk_nvme_ns_cmd_writev_with_md(ns, q, lba, blocks, single_done, p, 0, reset_sgl, next_sge, NULL,
								       0, 0)
				     : spdk_nvme_ns_cmd_readv_with_md(ns, q, lba, blocks, single_done, p, 0, reset_sgl, next_sge, NULL,
								      0, 0);
	case V_EXT:
		return what == WRITE ? spdk_nvme_ns_cmd_writev_ext(ns, q, lba, blocks, single_done, p, reset_sgl, next_sge, &opts)
				     : spdk_nvme_ns_cmd_readv_ext(ns, q, lba, blocks, single_done, p, reset_sgl, next_sge, &opts);
	case IOV:
		return what == WRITE ? spdk_nvme_ns_cmd_write_iov(ns, q, lba, blocks, single_done, p, p->iov, p->count, NULL)
				     : spdk_nvme_ns_cmd_read_iov(ns, q, lba, blocks, single_done, p, p->iov, p->count, NULL);
	default:
		return spdk_nvme_ctrlr_cmd_iov_raw_with_md(ctrlr, q, &cmd, bytes, NULL, single_done, p, reset_sgl, next_sge);
	}
}

static bool succeeded(struct pieces *pieces)
{
	return single_wait(NULL, g_qpair, &pieces->single) && !spdk_nvme_cpl_is_error(&pieces->single.cpl);
}

/* One command as the controller gets it: raw ones are not split. */
static bool fits(enum form form, uint32_t bytes)
{
	if (form == RAW || form == RAW_WITH_MD || form == IOV_RAW) {
		return bytes <= spdk_nvme_ns_get_max_io_xfer_size(g_session.ns) &&
		       (form != IOV_RAW || spdk_nvme_ctrlr_get_max_sges(g_session.ctrlr) >= 16);
	}
	return true;
}

static void fill(uint8_t *buffer, size_t bytes)
{
	size_t i;

	for (i = 0; i < bytes; i++) {
		buffer[i] = (uint8_t)(random_next(&g_random) >> 32);
	}
}

static bool is_all(const uint8_t *bytes, size_t count, uint8_t value)
{
	size_t i;

	for (i = 0; i < count; i++) {
		if (bytes[i] != value) {
			return false;
		}
	}
	return true;
}

static void counts(uint64_t into[5])
{
	memset(into, 0, 5 * sizeof(into[0]));
	CHECK_INT(spdk_nvme_rdma_qpair_get_memory_counts(g_qpair, into, 5), 5);
}

/* Writes from the memory in one form and reads into it in the same, compares with what went, and with what is around. */
static void round_trip(const struct kind *kind, enum form form, uint32_t bytes)
{
	static uint8_t *expected;
	static struct pieces out, in, compared;
	uint8_t *buffer = kind->memory + ODD + MARGIN;
	uint32_t blocks = bytes / g_session.sector_size;
	unsigned long failed = g_failed_checks;
	uint64_t lba = random_next(&g_random) % 100;

	if (expected == NULL) {
		expected = malloc(BIG);
		REQUIRE(expected != NULL);
	}
	memset(kind->memory, CANARY, ODD + MARGIN + bytes + MARGIN);
	memset(&out, 0, sizeof(out));
	memset(&in, 0, sizeof(in));
	memset(&compared, 0, sizeof(compared));
	fill(expected, bytes);
	if (is_in_pieces(form)) {
		cut(&out, buffer, bytes);
		cut(&in, buffer, bytes);
		cut(&compared, buffer, bytes);
		scatter(&out, expected);
	} else {
		memcpy(buffer, expected, bytes);
	}
	CHECK_INT(submit(form, WRITE, &out, buffer, lba, blocks), 0);
	CHECK(succeeded(&out));
	if (spdk_nvme_ns_supports_compare(g_session.ns)) {
		CHECK_INT(submit(form, COMPARE, &compared, buffer, lba, blocks), 0);
		CHECK(succeeded(&compared));
	}
	memset(buffer, 0x3c, bytes);
	memset(g_registered, 0x3d, bytes);
	CHECK_INT(submit(form, READ, &in, buffer, lba, blocks), 0);
	CHECK(succeeded(&in));
	if (is_in_pieces(form)) {
		static uint8_t *gathered;

		if (gathered == NULL) {
			gathered = malloc(BIG);
			REQUIRE(gathered != NULL);
		}
		gather(&in, gathered);
		CHECK(memcmp(gathered, expected, bytes) == 0);
	} else {
		CHECK(memcmp(buffer, expected, bytes) == 0);
	}
	CHECK(is_all(kind->memory, ODD + MARGIN, CANARY) && is_all(buffer + bytes, MARGIN, CANARY));
	CHECK_INT(out.single.calls + in.single.calls, 2);
	if (g_failed_checks != failed) {
		fprintf(stderr, "  that was: %s, form %d, %u bytes\n", kind->name, form, bytes);
	}
}

static void try_kind(const struct kind *kind)
{
	uint32_t sector = g_session.sector_size;
	uint32_t sizes[] = {sector, 8 * sector, SMALL, 72u << 10, BIG};
	uint64_t before[5], after[5];
	enum form form;
	unsigned i;

	counts(before);
	for (form = FLAT; form < FORMS; form++) {
		for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
			if (sizes[i] + ODD + 2 * MARGIN <= kind->size && fits(form, sizes[i])) {
				round_trip(kind, form, sizes[i]);
			}
		}
	}
	counts(after);
	printf("%-24s %" PRIu64 " commands copied, %" PRIu64 " registered for their length, %" PRIu64 " in place\n", kind->name,
	       after[3] - before[3], after[2] - before[2], after[0] - before[0] + after[1] - before[1]);
	CHECK_INT(after[4], before[4]);
	CHECK(after[3] > before[3]);
}

static struct kind mapped(const char *name, int fd, size_t size, int flags)
{
	struct kind kind = {.name = name, .size = size};

	kind.memory = mmap(NULL, size, PROT_READ | PROT_WRITE, flags, fd, 0);
	if (kind.memory == MAP_FAILED) {
		kind.memory = NULL;
	}
	return kind;
}

static void try_mapped(struct kind kind)
{
	REQUIRE(kind.memory != NULL);
	try_kind(&kind);
	CHECK_INT(munmap(kind.memory, kind.size), 0);
}

static void kinds(void)
{
	uint8_t stack[SMALL + 2 * MARGIN + ODD];
	size_t size = BIG + 2 * MARGIN + ODD;
	struct kind kind = {.name = "malloc", .memory = malloc(size), .size = size};
	char name[64], path[] = "/tmp/nvme-rdma-memory-XXXXXX";
	int fd;

	REQUIRE(kind.memory != NULL);
	try_kind(&kind);
	free(kind.memory);

	kind = (struct kind){.name = "the stack", .memory = stack, .size = sizeof(stack)};
	try_kind(&kind);
	kind = (struct kind){.name = "static data", .memory = g_static, .size = sizeof(g_static)};
	try_kind(&kind);

	try_mapped(mapped("anonymous memory", -1, size, MAP_PRIVATE | MAP_ANONYMOUS));
	try_mapped(mapped("shared anonymous memory", -1, size, MAP_SHARED | MAP_ANONYMOUS));

	snprintf(name, sizeof(name), "/nvme-rdma-memory-%d", (int)getpid());
	fd = shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0600);
	REQUIRE(fd >= 0);
	shm_unlink(name);
	REQUIRE(ftruncate(fd, (off_t)size) == 0);
	try_mapped(mapped("shm_open", fd, size, MAP_SHARED));
	close(fd);

	fd = mkstemp(path);
	REQUIRE(fd >= 0);
	unlink(path);
	REQUIRE(ftruncate(fd, (off_t)size) == 0);
	try_mapped(mapped("a file, shared", fd, size, MAP_SHARED));
	try_mapped(mapped("a file, private", fd, size, MAP_PRIVATE));
	close(fd);

	fd = memfd_create("nvme-rdma-memory", 0);
	REQUIRE(fd >= 0 && ftruncate(fd, (off_t)size) == 0);
	try_mapped(mapped("memfd", fd, size, MAP_SHARED));
	close(fd);

	fd = memfd_create("nvme-rdma-memory", MFD_HUGETLB);
	kind.memory = NULL;
	if (fd >= 0 && ftruncate(fd, HUGE_PAGE) == 0) {
		kind = mapped("memfd with huge pages", fd, HUGE_PAGE, MAP_SHARED);
	}
	if (kind.memory == NULL) {
		printf("%-24s skipped: there are none (%s)\n", "memfd with huge pages", strerror(errno));
	} else {
		try_mapped(kind);
	}
	if (fd >= 0) {
		close(fd);
	}
}

/* Refused, in whatever form: nothing is called back. A negative errno, or -1 as D3 of the behaviour has it. */
static void refused(enum what what, uint8_t *buffer, uint32_t bytes)
{
	static struct pieces none;
	enum form form;

	for (form = FLAT; form < FORMS; form++) {
		if (!fits(form, bytes) || (what == COMPARE && !spdk_nvme_ns_supports_compare(g_session.ns))) {
			continue;
		}
		memset(&none, 0, sizeof(none));
		none.iov[0] = (struct iovec){.iov_base = buffer, .iov_len = bytes};
		none.count = 1;
		if (!CHECK(submit(form, what, &none, buffer, 0, bytes / g_session.sector_size) < 0)) {
			fprintf(stderr, "  that was: form %d, %u bytes at %p\n", form, bytes, (void *)buffer);
			single_wait(NULL, g_qpair, &none.single);
		}
		CHECK_INT(none.single.calls, 0);
	}
}

static void no_memory(void)
{
	uint32_t sizes[] = {g_session.sector_size, 72u << 10}, i;
	struct kind kind = mapped("", -1, BIG, MAP_PRIVATE | MAP_ANONYMOUS);
	struct single write = {0}, read = {0};

	REQUIRE(kind.memory != NULL);
	for (i = 0; i < 2; i++) {
		refused(READ, NULL, sizes[i]);
		refused(WRITE, NULL, sizes[i]);
		refused(READ, (uint8_t *)0x1000, sizes[i]);
		refused(WRITE, (uint8_t *)0x1000, sizes[i]);
		CHECK_INT(mprotect(kind.memory, BIG, PROT_NONE), 0);
		refused(READ, kind.memory, sizes[i]);
		refused(WRITE, kind.memory, sizes[i]);
		refused(COMPARE, kind.memory, sizes[i]);
		/* Half of it. */
		CHECK_INT(mprotect(kind.memory, 4096, PROT_READ | PROT_WRITE), 0);
		refused(READ, kind.memory + 4096 - sizes[i] / 2 % 4096, sizes[i]);
		refused(WRITE, kind.memory + 4096 - sizes[i] / 2 % 4096, sizes[i]);
		CHECK_INT(mprotect(kind.memory, BIG, PROT_READ | PROT_WRITE), 0);
		fill(kind.memory, sizes[i]);
		CHECK_INT(mprotect(kind.memory, BIG, PROT_READ), 0);
		refused(READ, kind.memory, sizes[i]);
		memset(&write, 0, sizeof(write));
		memset(&read, 0, sizeof(read));
		CHECK_INT(single_write(&g_session, g_qpair, &write, kind.memory, 9, sizes[i] / g_session.sector_size), 0);
		CHECK(single_wait(NULL, g_qpair, &write) && !spdk_nvme_cpl_is_error(&write.cpl));
		CHECK_INT(single_read(&g_session, g_qpair, &read, g_registered, 9, sizes[i] / g_session.sector_size), 0);
		CHECK(single_wait(NULL, g_qpair, &read) && memcmp(g_registered, kind.memory, sizes[i]) == 0);
	}
	CHECK_INT(munmap(kind.memory, BIG), 0);
	refused(WRITE, kind.memory, sizes[0]);
	CHECK_INT(spdk_nvme_rdma_qpair_get_memory_counts(NULL, NULL, 0), 0);
	CHECK(qpair_works(&g_session, NULL, g_qpair, 0));
}

/* Admin commands that are built by hand use the program's memory, too. */
static void admin(void)
{
	struct spdk_nvme_cmd cmd = {.opc = SPDK_NVME_OPC_IDENTIFY, .cdw10 = 1 /* CNS: the controller */};
	struct single single = {0};
	uint8_t *page = malloc(4096 + 1);
	double deadline = deadline_in(STEP_SECONDS);

	REQUIRE(page != NULL);
	memset(page, 0, 4097);
	CHECK_INT(spdk_nvme_ctrlr_cmd_admin_raw(g_session.ctrlr, &cmd, page + 1, 4096, single_done, &single), 0);
	while (single.calls == 0 && !deadline_passed(deadline)) {
		spdk_nvme_ctrlr_process_admin_completions(g_session.ctrlr);
		in_process_poll();
	}
	CHECK(single.calls == 1 && !spdk_nvme_cpl_is_error(&single.cpl));
	CHECK(memcmp(page + 1, spdk_nvme_ctrlr_get_data(g_session.ctrlr), 1024) == 0);
	CHECK(spdk_nvme_ctrlr_cmd_admin_raw(g_session.ctrlr, &cmd, (void *)0x1000, 4096, single_done, &single) < 0);
	free(page);
}

/* The queue pair goes while its commands are out: each is told, and its memory is the program's from there on. */
static void freed_while_out(void)
{
	enum { COUNT = 100, BYTES = 4096 };
	static struct single singles[COUNT];
	static uint8_t memory[COUNT][BYTES];
	struct spdk_nvme_qpair *qpair = qpair_open(&g_session, NULL, false);
	unsigned i, aborted = 0;

	memset(singles, 0, sizeof(singles));
	for (i = 0; i < COUNT; i++) {
		CHECK_INT(single_read(&g_session, qpair, &singles[i], memory[i], i * 8, BYTES / g_session.sector_size), 0);
	}
	CHECK_INT(spdk_nvme_ctrlr_free_io_qpair(qpair), 0);
	memset(memory, CANARY, sizeof(memory));
	for (i = 0; i < COUNT; i++) {
		CHECK_INT(singles[i].calls, 1);
		aborted += was_aborted(&singles[i]);
	}
	CHECK(qpair_works(&g_session, NULL, g_qpair, 0));
	CHECK(is_all(&memory[0][0], sizeof(memory), CANARY));
	printf("%-24s %u of %d commands were aborted\n", "freed while out", aborted, COUNT);
}

int main(int argc, char **argv)
{
	struct spdk_nvme_transport_id trid;

	test_begin(argc, argv, &trid, 600);
	session_open(&g_session, &trid);
	g_qpair = qpair_open(&g_session, NULL, false);
	g_registered = spdk_zmalloc(BIG, 4096, NULL, SPDK_ENV_NUMA_ID_ANY, SPDK_MALLOC_DMA);
	REQUIRE(g_registered != NULL);
	kinds();
	no_memory();
	admin();
	freed_while_out();
	CHECK_INT(spdk_nvme_ctrlr_free_io_qpair(g_qpair), 0);
	spdk_free(g_registered);
	session_close(&g_session);
	test_end();
	return check_result("memory");
}
