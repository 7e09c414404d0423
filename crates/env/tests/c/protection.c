/* SPDX-License-Identifier: BSD-3-Clause */

/* Protection information: what is written where, what a check finds, and what is refused. */

#include "spdk/crc16.h"
#include "spdk/crc32.h"
#include "spdk/crc64.h"
#include "spdk/dif.h"
#include "spdk/endian.h"

#include "check.h"

#define GUARD SPDK_DIF_FLAGS_GUARD_CHECK
#define APPTAG SPDK_DIF_FLAGS_APPTAG_CHECK
#define REFTAG SPDK_DIF_FLAGS_REFTAG_CHECK
#define ALL (GUARD | APPTAG | REFTAG)

#define BLOCKS 5

/* CRC-16 of T10, bit by bit from its polynomial, so that guards are compared with something else than the library. */
static uint16_t
crc16(const uint8_t *bytes, size_t length)
{
	uint32_t crc = 0;
	int bit;

	while (length-- != 0) {
		crc ^= (uint32_t)*bytes++ << 8;
		for (bit = 0; bit < 8; bit++) {
			crc = (crc & 0x8000) != 0 ? (crc << 1) ^ SPDK_T10DIF_CRC16_POLYNOMIAL : crc << 1;
		}
	}
	return (uint16_t)crc;
}

/* Memory of exactly that length, so that valgrind sees what is read beyond. */
static uint8_t *
pattern(size_t length, unsigned int seed)
{
	uint8_t *bytes = malloc(length);
	size_t at;

	CHECK(bytes != NULL);
	for (at = 0; at < length; at++) {
		bytes[at] = (uint8_t)(at * 7 + at / 256 + seed);
	}
	return bytes;
}

static struct spdk_dif_ctx
context(uint32_t block, uint32_t md, bool interleave, bool first, enum spdk_dif_type type, uint32_t flags,
	enum spdk_dif_pi_format format)
{
	struct spdk_dif_ctx_init_ext_opts opts = { .size = sizeof(opts), .dif_pi_format = format };
	struct spdk_dif_ctx ctx;

	CHECK(spdk_dif_ctx_init(&ctx, block, md, interleave, first, type, flags, 0x11223344, 0xffff, 0xabcd, 0, 0,
				&opts) == 0);
	return ctx;
}

/* Cuts memory into pieces of that length; returns how many. */
static int
cut(uint8_t *bytes, size_t length, size_t piece, struct iovec *pieces, size_t most)
{
	size_t number = 0;

	while (length != 0) {
		size_t part = length < piece ? length : piece;

		CHECK(number < most);
		pieces[number].iov_base = bytes;
		pieces[number++].iov_len = part;
		bytes += part;
		length -= part;
	}
	return (int)number;
}

static void
bytes_of_each_format(void)
{
	static const uint32_t sizes[] = { 8, 16, 16 };
	int format;

	for (format = 0; format < 3; format++) {
		uint32_t md = sizes[format], block = 4096 + md;
		struct spdk_dif_ctx ctx =
			context(block, md, true, false, SPDK_DIF_TYPE1, ALL, (enum spdk_dif_pi_format)format);
		uint8_t *data = pattern(2 * (size_t)block, 1), *pi = data + block + 4096;
		struct iovec iov = { .iov_base = data, .iov_len = 2 * (size_t)block };
		struct spdk_dif_error error;

		CHECK(spdk_dif_pi_format_get_size((enum spdk_dif_pi_format)format) == md);
		CHECK(spdk_dif_generate(&iov, 1, 2, &ctx) == 0);
		/* Of the second block, whose reference tag is one more. */
		switch (format) {
		case SPDK_DIF_PI_FORMAT_16:
			CHECK(from_be16(pi) == crc16(data + block, 4096));
			CHECK(from_be16(pi + 2) == 0xabcd && from_be32(pi + 4) == 0x11223345);
			break;
		case SPDK_DIF_PI_FORMAT_32:
			CHECK(from_be32(pi) == spdk_crc32c_nvme(data + block, 4096, 0));
			CHECK(from_be16(pi + 4) == 0xabcd && from_be64(pi + 8) == 0x11223345);
			break;
		default:
			CHECK(from_be64(pi) == spdk_crc64_nvme(data + block, 4096, 0));
			CHECK(from_be16(pi + 8) == 0xabcd && from_be16(pi + 10) == 0 && from_be32(pi + 12) == 0x11223345);
			break;
		}
		CHECK(spdk_dif_verify(&iov, 1, 2, &ctx, NULL) == 0);
		data[block + 100] ^= 1;
		CHECK(spdk_dif_verify(&iov, 1, 2, &ctx, &error) == -1);
		CHECK(error.err_type == SPDK_DIF_GUARD_ERROR && error.err_offset == 1 && error.expected != error.actual);
		free(data);
	}
	CHECK(spdk_dif_pi_format_get_size((enum spdk_dif_pi_format)3) == 0);
}

/* Metadata of 16 bytes with 8 of protection information, first or last in them: the guard has what lies before it. */
static void
places_in_metadata(void)
{
	int first;

	for (first = 0; first < 2; first++) {
		struct spdk_dif_ctx with = context(528, 16, true, first, SPDK_DIF_TYPE1, ALL, SPDK_DIF_PI_FORMAT_16);
		struct spdk_dif_ctx apart = context(512, 16, false, first, SPDK_DIF_TYPE1, ALL, SPDK_DIF_PI_FORMAT_16);
		uint8_t *block = pattern(528, 3), *data = pattern(512, 3), *md = malloc(16);
		struct iovec whole = { .iov_base = block, .iov_len = 528 }, part = { .iov_base = data, .iov_len = 512 };
		struct iovec md_iov = { .iov_base = md, .iov_len = 16 };
		uint8_t *pi = block + 512 + (first ? 0 : 8);

		memcpy(md, block + 512, 16);
		CHECK(spdk_dif_generate(&whole, 1, 1, &with) == 0 && spdk_dix_generate(&part, 1, &md_iov, 1, &apart) == 0);
		CHECK(from_be16(pi) == crc16(block, first ? 512 : 520));
		/* The same bytes, and the others of the metadata as they were. */
		CHECK(memcmp(md, block + 512, 16) == 0 && memcmp(block, data, 512) == 0);
		CHECK(block[first ? 520 : 512] == (uint8_t)((first ? 520 : 512) * 7 + 2 + 3));
		CHECK(spdk_dix_verify(&part, 1, &md_iov, 1, &apart, NULL) == 0);
		md[first ? 15 : 0] ^= 1;
		CHECK(spdk_dix_verify(&part, 1, &md_iov, 1, &apart, NULL) == (first ? 0 : -1));
		free(block);
		free(data);
		free(md);
	}
}

/* However blocks are cut into pieces, the bytes are the same. */
static void
any_pieces(void)
{
	static const size_t lengths[] = { 1, 3, 8, 511, 512, 520, 521, 1000, 5 * 520 };
	struct spdk_dif_ctx ctx = context(520, 8, true, false, SPDK_DIF_TYPE2, ALL, SPDK_DIF_PI_FORMAT_16);
	struct spdk_dif_ctx apart = context(512, 8, false, false, SPDK_DIF_TYPE2, ALL, SPDK_DIF_PI_FORMAT_16);
	static struct iovec pieces[BLOCKS * 520];
	uint8_t *expected = pattern(BLOCKS * 520, 9);
	struct iovec iov = { .iov_base = expected, .iov_len = BLOCKS * 520 };
	size_t number;

	CHECK(spdk_dif_generate(&iov, 1, BLOCKS, &ctx) == 0);
	for (number = 0; number < sizeof(lengths) / sizeof(*lengths); number++) {
		uint8_t *bytes = pattern(BLOCKS * 520, 9), *data = malloc(BLOCKS * 512), *md = malloc(BLOCKS * 8);
		struct iovec md_iov = { .iov_base = md, .iov_len = BLOCKS * 8 };
		struct spdk_dif_error error = { 0 };
		uint32_t crc = ~0u, plain = ~0u;
		int count = cut(bytes, BLOCKS * 520, lengths[number], pieces, BLOCKS * 520), block;

		CHECK(spdk_dif_generate(pieces, count, BLOCKS, &ctx) == 0);
		CHECK(memcmp(bytes, expected, BLOCKS * 520) == 0);
		CHECK(spdk_dif_verify(pieces, count, BLOCKS, &ctx, &error) == 0 && error.err_type == 0);
		CHECK(spdk_dif_update_crc32c(pieces, count, BLOCKS, &crc, &ctx) == 0);
		/* What is checked is the bytes that are there. */
		bytes[3 * 520 + 519] ^= 0x80;
		CHECK(spdk_dif_verify(pieces, count, BLOCKS, &ctx, &error) == -1);
		CHECK(error.err_type == SPDK_DIF_REFTAG_ERROR && error.err_offset == 3);
		CHECK(error.expected == 0x11223347 && error.actual == (0x11223347 ^ 0x80));

		for (block = 0; block < BLOCKS; block++) {
			memcpy(data + block * 512, expected + block * 520, 512);
			plain = spdk_crc32c_update(expected + block * 520, 512, plain);
		}
		CHECK(crc == plain);
		count = cut(data, BLOCKS * 512, lengths[number], pieces, BLOCKS * 520);
		CHECK(spdk_dix_generate(pieces, count, &md_iov, BLOCKS, &apart) == 0);
		for (block = 0; block < BLOCKS; block++) {
			CHECK(memcmp(md + block * 8, expected + block * 520 + 512, 8) == 0);
		}
		CHECK(spdk_dix_verify(pieces, count, &md_iov, BLOCKS, &apart, &error) == 0);
		free(bytes);
		free(data);
		free(md);
	}
	free(expected);
}

/* Which part differs, and which parts are looked at. */
static void
differences(void)
{
	static const struct {
		size_t at;
		uint32_t flag;
		uint8_t type;
	} parts[] = {
		{ 5, GUARD, SPDK_DIF_GUARD_ERROR },
		{ 512, GUARD, SPDK_DIF_GUARD_ERROR },
		{ 515, APPTAG, SPDK_DIF_APPTAG_ERROR },
		{ 516, REFTAG, SPDK_DIF_REFTAG_ERROR },
	};
	size_t part;

	for (part = 0; part < sizeof(parts) / sizeof(*parts); part++) {
		struct spdk_dif_ctx ctx = context(520, 8, true, false, SPDK_DIF_TYPE1, ALL, SPDK_DIF_PI_FORMAT_16);
		uint8_t *block = pattern(520, 2);
		struct iovec iov = { .iov_base = block, .iov_len = 520 };
		struct spdk_dif_error error = { 0 };

		CHECK(spdk_dif_generate(&iov, 1, 1, &ctx) == 0);
		block[parts[part].at] ^= 1;
		CHECK(spdk_dif_verify(&iov, 1, 1, &ctx, &error) == -1 && error.err_type == parts[part].type);
		ctx.dif_flags = ALL & ~parts[part].flag;
		CHECK(spdk_dif_verify(&iov, 1, 1, &ctx, &error) == 0);
		ctx.dif_flags = ALL;
		if (parts[part].flag == APPTAG) {
			CHECK(error.expected == 0xabcd && error.actual == 0xabcc);
			ctx.apptag_mask = 0xff00;
			CHECK(spdk_dif_verify(&iov, 1, 1, &ctx, NULL) == 0);
			ctx.apptag_mask = 0xffff;
		}
		/* Nobody looks at a block whose application tag is all ones. */
		memset(block + 514, 0xff, 2);
		CHECK(spdk_dif_verify(&iov, 1, 1, &ctx, NULL) == 0);
		ctx.dif_type = SPDK_DIF_TYPE3;
		CHECK(spdk_dif_verify(&iov, 1, 1, &ctx, NULL) == -1);
		memset(block + 516, 0xff, 4);
		CHECK(spdk_dif_verify(&iov, 1, 1, &ctx, NULL) == 0);
		free(block);
	}
}

static void
tags_of_types(void)
{
	struct spdk_dif_ctx ctx = context(520, 8, true, false, SPDK_DIF_TYPE3, REFTAG, SPDK_DIF_PI_FORMAT_16);
	uint8_t *blocks = pattern(3 * 520, 4);
	struct iovec iov = { .iov_base = blocks, .iov_len = 3 * 520 };
	struct spdk_dif_error error;

	/* Type 3 does not count; what is not asked for is 0. */
	CHECK(spdk_dif_generate(&iov, 1, 3, &ctx) == 0);
	CHECK(from_be32(blocks + 2 * 520 + 516) == 0x11223344 && from_be32(blocks + 512) == 0);
	blocks[516] ^= 1;
	CHECK(spdk_dif_verify(&iov, 1, 3, &ctx, NULL) == 0);

	/* An offset in the data counts blocks; a reference tag goes round. */
	CHECK(spdk_dif_ctx_init(&ctx, 520, 8, true, false, SPDK_DIF_TYPE1, REFTAG, 0xfffffffe, 0, 0, 512, 0, NULL) == 0);
	CHECK(ctx.ref_tag_offset == 1);
	CHECK(spdk_dif_generate(&iov, 1, 3, &ctx) == 0 && spdk_dif_verify(&iov, 1, 3, &ctx, NULL) == 0);
	CHECK(from_be32(blocks + 516) == 0xffffffff && from_be32(blocks + 520 + 516) == 0);
	spdk_dif_ctx_set_data_offset(&ctx, 3 * 512 + 511);
	CHECK(ctx.data_offset == 3 * 512 + 511 && ctx.ref_tag_offset == 3);
	CHECK(spdk_dif_verify(&iov, 1, 3, &ctx, &error) == -1 && error.expected == 1 && error.actual == 0xffffffff);

	/* Ones, whichever block. */
	CHECK(spdk_dif_ctx_init(&ctx, 520, 8, true, false, SPDK_DIF_TYPE1, REFTAG, SPDK_DIF_REFTAG_IGNORE, 0, 0, 0, 0, NULL) == 0);
	CHECK(spdk_dif_generate(&iov, 1, 3, &ctx) == 0 && spdk_dif_verify(&iov, 1, 3, &ctx, NULL) == 0);
	CHECK(from_be32(blocks + 2 * 520 + 516) == 0xffffffff);
	free(blocks);
}

static void
new_reference_tags(void)
{
	struct spdk_dif_ctx ctx = context(520, 8, true, false, SPDK_DIF_TYPE1, ALL, SPDK_DIF_PI_FORMAT_16);
	struct spdk_dif_ctx apart = context(512, 8, false, false, SPDK_DIF_TYPE1, ALL, SPDK_DIF_PI_FORMAT_16);
	uint8_t *blocks = pattern(2 * 520, 6), *data = pattern(2 * 512, 6), md[16];
	struct iovec iov = { .iov_base = blocks, .iov_len = 2 * 520 }, data_iov = { .iov_base = data, .iov_len = 2 * 512 };
	struct iovec md_iov = { .iov_base = md, .iov_len = sizeof(md) };
	struct spdk_dif_error error;

	spdk_dif_ctx_set_remapped_init_ref_tag(&ctx, 77);
	spdk_dif_ctx_set_remapped_init_ref_tag(&apart, 77);
	CHECK(spdk_dif_generate(&iov, 1, 2, &ctx) == 0 && spdk_dix_generate(&data_iov, 1, &md_iov, 2, &apart) == 0);
	CHECK(spdk_dif_remap_ref_tag(&iov, 1, 2, &ctx, &error, true) == 0);
	CHECK(spdk_dix_remap_ref_tag(&md_iov, 2, &apart, &error, true) == 0);
	CHECK(from_be32(blocks + 520 + 516) == 78 && from_be32(md + 4) == 77 && from_be32(md + 12) == 78);
	/* A second time they are not what they must be, which can be left unchecked. */
	CHECK(spdk_dif_remap_ref_tag(&iov, 1, 2, &ctx, &error, true) == -1);
	CHECK(error.err_type == SPDK_DIF_REFTAG_ERROR && error.expected == 0x11223344 && error.actual == 77);
	CHECK(spdk_dix_remap_ref_tag(&md_iov, 2, &apart, NULL, true) == -1);
	CHECK(spdk_dif_remap_ref_tag(&iov, 1, 2, &ctx, NULL, false) == 0);
	free(blocks);
	free(data);
}

static void
copies(void)
{
	uint32_t metadata, flags;

	for (metadata = 8; metadata <= 16; metadata += 8) {
		for (flags = 0; flags < 2; flags++) {
			uint32_t block = 512 + metadata, own = flags != 0 && metadata > 8 ? block : 512;
			struct spdk_dif_ctx ctx = context(block, metadata, true, false, SPDK_DIF_TYPE1,
							  ALL | (flags != 0 ? SPDK_DIF_FLAGS_NVME_PRACT : 0),
							  SPDK_DIF_PI_FORMAT_16);
			uint8_t *data = pattern(2 * (size_t)own, 8), *back = calloc(2, own), *bounce = calloc(2, block);
			struct iovec iov = { .iov_base = data, .iov_len = 2 * (size_t)own };
			struct iovec back_iov = { .iov_base = back, .iov_len = 2 * (size_t)own };
			struct iovec pieces[16];
			struct spdk_dif_error error;
			int count = cut(bounce, 2 * (size_t)block, 300, pieces, 16);

			CHECK(spdk_dif_generate_copy(&iov, 1, pieces, count, 2, &ctx) == 0);
			CHECK(spdk_dif_verify(pieces, count, 2, &ctx, NULL) == 0);
			CHECK(memcmp(bounce + block, data + own, 512) == 0);
			CHECK(spdk_dif_verify_copy(&back_iov, 1, pieces, count, 2, &ctx, NULL) == 0);
			CHECK(memcmp(back, data, 512) == 0 && memcmp(back + own, data + own, 512) == 0);
			bounce[block] ^= 1;
			CHECK(spdk_dif_verify_copy(&back_iov, 1, pieces, count, 2, &ctx, &error) == -1);
			CHECK(error.err_type == SPDK_DIF_GUARD_ERROR && error.err_offset == 1);
			/* Each side must be long enough. */
			back_iov.iov_len--;
			iov.iov_len--;
			CHECK(spdk_dif_verify_copy(&back_iov, 1, pieces, count, 2, &ctx, NULL) == -EINVAL);
			CHECK(spdk_dif_generate_copy(&iov, 1, pieces, count, 2, &ctx) == -EINVAL);
			CHECK(spdk_dif_generate_copy(&iov, 1, pieces, count - 1, 1, &ctx) == 0);
			CHECK(spdk_dif_generate_copy(&iov, 1, pieces, 1, 1, &ctx) == -EINVAL);
			/* Disabled, data are copied and nothing else. */
			ctx.dif_type = SPDK_DIF_DISABLE;
			memset(bounce, 0x55, 2 * (size_t)block);
			CHECK(spdk_dif_generate_copy(&iov, 1, pieces, count, 1, &ctx) == 0);
			CHECK(memcmp(bounce, data, own) == 0 && bounce[block] == 0x55 && (own == block || bounce[512] == 0x55));
			CHECK(spdk_dif_verify_copy(&back_iov, 1, pieces, count, 1, &ctx, NULL) == 0);
			free(data);
			free(back);
			free(bounce);
		}
	}
}

static int
init(uint32_t block, uint32_t md, bool interleave, uint32_t type, struct spdk_dif_ctx_init_ext_opts *opts)
{
	struct spdk_dif_ctx ctx;

	return spdk_dif_ctx_init(&ctx, block, md, interleave, false, (enum spdk_dif_type)type, ALL, 0, 0, 0, 0, 0, opts);
}

static void
refused(void)
{
	struct spdk_dif_ctx_init_ext_opts large = { .size = sizeof(large), .dif_pi_format = SPDK_DIF_PI_FORMAT_64 };
	struct spdk_dif_ctx_init_ext_opts none = { .size = sizeof(none), .dif_pi_format = 3 };
	struct spdk_dif_ctx_init_ext_opts shorter = { .size = offsetof(struct spdk_dif_ctx_init_ext_opts, dif_pi_format), .dif_pi_format = 3 };
	struct spdk_dif_ctx ctx = context(520, 8, true, false, SPDK_DIF_TYPE1, ALL, SPDK_DIF_PI_FORMAT_16), bad;
	struct spdk_dif_ctx apart = context(512, 8, false, false, SPDK_DIF_TYPE1, ALL, SPDK_DIF_PI_FORMAT_16);
	uint8_t *blocks = pattern(2 * 520, 1), md[16] = { 0 };
	struct iovec iov = { .iov_base = blocks, .iov_len = 2 * 520 - 1 }, md_iov = { .iov_base = md, .iov_len = 15 };
	struct iovec whole = { .iov_base = blocks, .iov_len = 2 * 520 }, nowhere = { .iov_base = NULL, .iov_len = SIZE_MAX };
	struct spdk_dif_error error = { .err_type = 99 };
	uint32_t crc = 1;

	CHECK(init(520, 8, true, 1, NULL) == 0 && init(520, 8, true, 4, NULL) == -EINVAL);
	CHECK(init(520, 7, true, 1, NULL) == -EINVAL && init(520, 0, true, 1, NULL) == -EINVAL);
	CHECK(init(8, 8, true, 1, NULL) == -EINVAL && init(7, 8, true, 1, NULL) == -EINVAL && init(0, 8, false, 1, NULL) == -EINVAL);
	CHECK(init(521, 8, true, 1, NULL) == -EINVAL && init(513, 8, false, 1, NULL) == -EINVAL);
	CHECK(init(512, UINT32_MAX, true, 1, NULL) == -EINVAL && init(UINT32_MAX, 8, false, 1, NULL) == -EINVAL);
	CHECK(init(512 + 16, 16, true, 1, &large) == -EINVAL && init(4096 + 16, 16, true, 1, &large) == 0);
	CHECK(init(4096 + 8, 8, true, 1, &large) == -EINVAL && init(520, 8, true, 1, &none) == -EINVAL);
	CHECK(init(520, 8, true, 1, &shorter) == 0);
	CHECK(spdk_dif_ctx_init(NULL, 520, 8, true, false, SPDK_DIF_TYPE1, ALL, 0, 0, 0, 0, 0, NULL) == -EINVAL);

	/* One byte too few, and many too few. */
	CHECK(spdk_dif_generate(&iov, 1, 2, &ctx) == -EINVAL && spdk_dif_verify(&iov, 1, 2, &ctx, &error) == -EINVAL);
	CHECK(spdk_dif_generate(&iov, 1, UINT32_MAX, &ctx) == -EINVAL);
	CHECK(spdk_dif_verify(&iov, 1, UINT32_MAX, &ctx, NULL) == -EINVAL);
	CHECK(spdk_dif_update_crc32c(&iov, 1, 2, &crc, &ctx) == -EINVAL && crc == 1);
	CHECK(spdk_dif_remap_ref_tag(&iov, 1, 2, &ctx, &error, true) == -EINVAL);
	CHECK(spdk_dix_generate(&whole, 1, &md_iov, 2, &apart) == -EINVAL);
	CHECK(spdk_dix_verify(&whole, 1, &md_iov, 2, &apart, &error) == -EINVAL);
	CHECK(spdk_dix_remap_ref_tag(&md_iov, 2, &apart, &error, true) == -EINVAL);
	CHECK(spdk_dix_generate(&whole, 1, &md_iov, UINT32_MAX, &apart) == -EINVAL);
	CHECK(error.err_type == 99 && blocks[512] == (uint8_t)(512 * 7 + 2 + 1) && md[0] == 0);

	/* NULL, and no pieces. */
	CHECK(spdk_dif_generate(NULL, 1, 2, &ctx) == -EINVAL && spdk_dif_generate(&whole, 0, 2, &ctx) == -EINVAL);
	CHECK(spdk_dif_generate(&whole, INT_MIN, 2, &ctx) == -EINVAL && spdk_dif_generate(&whole, 1, 2, NULL) == -EINVAL);
	CHECK(spdk_dif_generate(&nowhere, 1, 1, &ctx) == -EINVAL && spdk_dif_generate(NULL, 0, 0, &ctx) == 0);
	CHECK(spdk_dif_verify(NULL, 1, 2, &ctx, NULL) == -EINVAL && spdk_dif_verify(&whole, 1, 2, NULL, NULL) == -EINVAL);
	CHECK(spdk_dif_update_crc32c(&whole, 1, 2, NULL, &ctx) == -EINVAL && spdk_dif_update_crc32c(&whole, 1, 2, &crc, NULL) == -EINVAL);
	CHECK(spdk_dif_generate_copy(NULL, 0, &whole, 1, 1, &ctx) == -EINVAL && spdk_dif_generate_copy(&whole, 1, NULL, 1, 1, &ctx) == -EINVAL);
	CHECK(spdk_dif_verify_copy(NULL, 0, &whole, 1, 1, &ctx, NULL) == -EINVAL && spdk_dif_verify_copy(&whole, 1, NULL, 1, 1, &ctx, NULL) == -EINVAL);
	CHECK(spdk_dif_remap_ref_tag(&whole, 1, 1, NULL, NULL, true) == -EINVAL && spdk_dix_remap_ref_tag(NULL, 1, &apart, NULL, true) == -EINVAL);
	CHECK(spdk_dix_generate(&whole, 1, NULL, 1, &apart) == -EINVAL && spdk_dix_generate(&whole, 1, &nowhere, 1, &apart) == -EINVAL);
	CHECK(spdk_dix_verify(&whole, 1, NULL, 1, &apart, NULL) == -EINVAL && spdk_dix_verify(NULL, 1, &md_iov, 1, &apart, NULL) == -EINVAL);
	spdk_dif_ctx_set_data_offset(NULL, 1);
	spdk_dif_ctx_set_remapped_init_ref_tag(NULL, 1);

	/* The other kind of metadata, and a context that nobody has initialised. */
	CHECK(spdk_dif_generate(&whole, 1, 1, &apart) == -EINVAL && spdk_dix_generate(&whole, 1, &md_iov, 1, &ctx) == -EINVAL);
	memset(&bad, 0xff, sizeof(bad));
	CHECK(spdk_dif_generate(&whole, 1, 1, &bad) == -EINVAL);
	memset(&bad, 0, sizeof(bad));
	CHECK(spdk_dif_generate(&whole, 1, 1, &bad) == -EINVAL && spdk_dix_generate(&whole, 1, &md_iov, 1, &bad) == -EINVAL);
	spdk_dif_ctx_set_data_offset(&bad, 7);
	bad = ctx;
	bad.guard_interval = 513;
	CHECK(spdk_dif_generate(&whole, 1, 1, &bad) == -EINVAL);
	bad.guard_interval = UINT32_MAX;
	CHECK(spdk_dif_verify(&whole, 1, 1, &bad, NULL) == -EINVAL);
	bad = ctx;
	bad.md_size = 520;
	CHECK(spdk_dif_generate(&whole, 1, 1, &bad) == -EINVAL);

	/* Disabled: nothing is made, nothing is checked. */
	ctx.dif_type = SPDK_DIF_DISABLE;
	CHECK(spdk_dif_generate(&whole, 1, 2, &ctx) == 0 && blocks[512] == (uint8_t)(512 * 7 + 2 + 1));
	CHECK(spdk_dif_verify(&whole, 1, 2, &ctx, NULL) == 0);
	free(blocks);
}

int
main(void)
{
	bytes_of_each_format();
	places_in_metadata();
	any_pieces();
	differences();
	tags_of_types();
	new_reference_tags();
	copies();
	refused();
	puts("ok");
	return 0;
}
