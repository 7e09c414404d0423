/* SPDX-License-Identifier: BSD-3-Clause */

/* Checksums by their known values, UUIDs, Zipf's law, descriptors. */

#include "spdk/crc16.h"
#include "spdk/crc32.h"
#include "spdk/crc64.h"
#include "spdk/fd.h"
#include "spdk/uuid.h"
#include "spdk/zipf.h"

#include "check.h"

/* What catalogues of CRCs give the check value of. */
static char digits[] = "123456789";

static void
check_values(void)
{
	struct iovec pieces[3] = {
		{ .iov_base = digits, .iov_len = 4 },
		{ .iov_base = NULL, .iov_len = 1000 },
		{ .iov_base = digits + 4, .iov_len = 5 },
	};
	uint8_t copy[16] = { 0 };
	size_t cut;

	for (cut = 0; cut <= 9; cut++) {
		/* At once and in two parts, it is the same. */
		CHECK(spdk_crc16_t10dif(spdk_crc16_t10dif(0, digits, cut), digits + cut, 9 - cut) == 0xd0db);
		CHECK(spdk_crc32c_nvme(digits + cut, 9 - cut, spdk_crc32c_nvme(digits, cut, 0)) == 0xe3069283);
		CHECK(~spdk_crc32c_update(digits + cut, 9 - cut, spdk_crc32c_update(digits, cut, ~0u)) == 0xe3069283);
		CHECK(~spdk_crc32_ieee_update(digits + cut, 9 - cut, spdk_crc32_ieee_update(digits, cut, ~0u)) ==
		      0xcbf43926);
		CHECK(spdk_crc64_nvme(digits + cut, 9 - cut, spdk_crc64_nvme(digits, cut, 0)) == 0xae8b14860a799888);
	}
	CHECK(~spdk_crc32c_iov_update(pieces, 3, ~0u) == 0xe3069283);
	CHECK(spdk_crc16_t10dif_copy(0, copy, (uint8_t *)digits, 9) == 0xd0db);
	CHECK(memcmp(copy, digits, 9) == 0 && copy[9] == 0);
}

/* The NVM Command Set Specification's own examples for 64-bit guards: 4 KiB of 00h, FFh, and of counting bytes. */
static void
values_of_the_specification(void)
{
	uint8_t *block = malloc(4096);
	int i;

	CHECK(block != NULL);
	memset(block, 0, 4096);
	CHECK(spdk_crc64_nvme(block, 4096, 0) == 0x6482d367eb22b64e);
	CHECK(spdk_crc16_t10dif(0, block, 4096) == 0);
	memset(block, 0xff, 4096);
	CHECK(spdk_crc64_nvme(block, 4096, 0) == 0xc0ddba7302eca3ac);
	for (i = 0; i < 4096; i++) {
		block[i] = (uint8_t)i;
	}
	CHECK(spdk_crc64_nvme(block, 4096, 0) == 0x3e729f5f6750449c);
	free(block);
}

static void
nothing_to_sum(void)
{
	uint8_t byte = 7;

	CHECK(spdk_crc16_t10dif(0x1234, NULL, 9) == 0x1234 && spdk_crc16_t10dif(0x1234, digits, 0) == 0x1234);
	CHECK(spdk_crc16_t10dif(0x1234, NULL, SIZE_MAX) == 0x1234);
	CHECK(spdk_crc16_t10dif_copy(0x1234, &byte, NULL, 1) == 0x1234 && byte == 7);
	CHECK(spdk_crc16_t10dif_copy(0, NULL, (uint8_t *)digits, 9) == 0xd0db);
	CHECK(spdk_crc32_ieee_update(NULL, 9, 5) == 5 && spdk_crc32c_update(NULL, 9, 5) == 5);
	CHECK(spdk_crc32c_nvme(NULL, SIZE_MAX, 5) == 5 && spdk_crc64_nvme(NULL, 9, 5) == 5);
	CHECK(spdk_crc32c_iov_update(NULL, 3, 5) == 5 && spdk_crc32c_iov_update(NULL, INT_MIN, 5) == 5);
}

static void
uuids(void)
{
	static const char text[] = "6ba7b810-9dad-11d1-80b4-00c04fd430c8";
	struct spdk_uuid dns, other, random[2];
	char written[SPDK_UUID_STRING_LEN];

	CHECK(spdk_uuid_parse(&dns, text) == 0 && dns.u.raw[0] == 0x6b && dns.u.raw[15] == 0xc8);
	CHECK(spdk_uuid_fmt_lower(written, sizeof(written), &dns) == 0 && strcmp(written, text) == 0);
	CHECK(spdk_uuid_fmt_lower(written, sizeof(written) - 1, &dns) == -EINVAL);
	CHECK(spdk_uuid_parse(&other, "6BA7B810-9DAD-11D1-80B4-00C04FD430C8") == 0);
	CHECK(spdk_uuid_compare(&dns, &other) == 0);
	other.u.raw[15]++;
	CHECK(spdk_uuid_compare(&dns, &other) < 0 && spdk_uuid_compare(&other, &dns) > 0);

	/* Whatever else is no UUID changes nothing. */
	CHECK(spdk_uuid_parse(&other, "") == -EINVAL && spdk_uuid_parse(&other, "6ba7b8109dad11d180b400c04fd430c8") == -EINVAL);
	CHECK(spdk_uuid_parse(&other, "{6ba7b810-9dad-11d1-80b4-00c04fd430c8}") == -EINVAL);
	CHECK(spdk_uuid_parse(&other, "6ba7b810-9dad-11d1-80b4-00c04fd430cg") == -EINVAL);
	CHECK(spdk_uuid_parse(&other, "6ba7b810-9dad-11d1-80b4-00c04fd430c8 ") == -EINVAL);
	CHECK(other.u.raw[15] == 0xc9);

	/* Name "www.example.com" in the DNS namespace (RFC 9562, A.4). */
	CHECK(spdk_uuid_generate_sha1(&other, &dns, "www.example.com", 15) == 0);
	CHECK(spdk_uuid_fmt_lower(written, sizeof(written), &other) == 0);
	CHECK(strcmp(written, "2ed6657d-e927-568b-95e1-2665a8aea6a2") == 0);

	spdk_uuid_generate(&random[0]);
	spdk_uuid_generate(&random[1]);
	CHECK(spdk_uuid_compare(&random[0], &random[1]) != 0);
	CHECK(random[0].u.raw[6] >> 4 == 4 && random[0].u.raw[8] >> 6 == 2);
	spdk_uuid_copy(&random[1], &random[0]);
	CHECK(spdk_uuid_compare(&random[0], &random[1]) == 0 && !spdk_uuid_is_null(&random[1]));
	spdk_uuid_set_null(&random[1]);
	CHECK(spdk_uuid_is_null(&random[1]));

	CHECK(spdk_uuid_parse(NULL, text) == -EINVAL && spdk_uuid_parse(&other, NULL) == -EINVAL);
	CHECK(spdk_uuid_fmt_lower(NULL, 100, &dns) == -EINVAL && spdk_uuid_fmt_lower(written, sizeof(written), NULL) == -EINVAL);
	CHECK(spdk_uuid_generate_sha1(NULL, &dns, "a", 1) == -EINVAL);
	CHECK(spdk_uuid_generate_sha1(&other, NULL, "a", 1) == -EINVAL);
	CHECK(spdk_uuid_generate_sha1(&other, &dns, NULL, 1) == -EINVAL);
	CHECK(spdk_uuid_generate_sha1(&other, &dns, NULL, 0) == 0);
	CHECK(spdk_uuid_compare(NULL, &random[1]) == 0 && spdk_uuid_compare(&dns, NULL) > 0);
	CHECK(spdk_uuid_is_null(NULL));
	spdk_uuid_generate(NULL);
	spdk_uuid_set_null(NULL);
	spdk_uuid_copy(NULL, &dns);
	spdk_uuid_copy(&dns, NULL);
	CHECK(dns.u.raw[0] == 0x6b);
}

/* Draws numbers and counts those below 10. */
static int
small_numbers(uint64_t range, double theta, int draws)
{
	struct spdk_zipf *zipf = spdk_zipf_create(range, theta, 1);
	int small = 0, i;

	CHECK(zipf != NULL);
	for (i = 0; i < draws; i++) {
		uint64_t number = spdk_zipf_generate(zipf);

		CHECK(number < range);
		small += number < 10;
	}
	spdk_zipf_free(&zipf);
	CHECK(zipf == NULL);
	return small;
}

static void
zipfs_law(void)
{
	struct spdk_zipf *first = spdk_zipf_create(1000, 1.2, 5), *second = spdk_zipf_create(1000, 1.2, 5), *none = NULL;
	int small, i;

	for (i = 0; i < 100; i++) {
		CHECK(spdk_zipf_generate(first) == spdk_zipf_generate(second));
	}
	spdk_zipf_free(&first);
	spdk_zipf_free(&second);

	/* With 0 each of 1000 numbers comes as often; with 1, the first ten have 2.93 of 7.49 parts. */
	small = small_numbers(1000, 0, 10000);
	CHECK(small > 50 && small < 200);
	small = small_numbers(1000, 1, 10000);
	CHECK(small > 3500 && small < 4300);
	CHECK(small_numbers(1, 0.9, 100) == 100 && small_numbers(2, 0.9, 100) == 100);
	small_numbers(UINT64_MAX, 0.5, 1000);
	small_numbers(UINT64_MAX, 0, 1000);
	small_numbers(UINT64_C(1) << 53, 1e-9, 1000);
	CHECK(small_numbers(UINT64_MAX, 1e300, 100) == 100);

	CHECK(spdk_zipf_create(0, 1, 1) == NULL && spdk_zipf_create(10, -1, 1) == NULL);
	CHECK(spdk_zipf_create(10, (double)NAN, 1) == NULL && spdk_zipf_create(10, (double)INFINITY, 1) == NULL);
	CHECK(spdk_zipf_generate(NULL) == 0);
	spdk_zipf_free(NULL);
	spdk_zipf_free(&none);
}

static void
descriptors(void)
{
	char path[] = "/tmp/spdk-env-rdma-XXXXXX";
	int fd = mkstemp(path), pipe_fds[2];

	CHECK(fd >= 0 && unlink(path) == 0 && ftruncate(fd, 12345) == 0);
	CHECK(spdk_fd_get_size(fd) == 12345 && spdk_fd_get_blocklen(fd) == 0);
	CHECK(pipe(pipe_fds) == 0);
	CHECK(spdk_fd_get_size(pipe_fds[0]) == 0 && spdk_fd_get_blocklen(pipe_fds[0]) == 0);
	CHECK(spdk_fd_set_nonblock(pipe_fds[0]) == 0 && (fcntl(pipe_fds[0], F_GETFL) & O_NONBLOCK) != 0);
	CHECK(spdk_fd_set_nonblock(pipe_fds[0]) == 0 && (fcntl(pipe_fds[0], F_GETFL) & O_NONBLOCK) != 0);
	CHECK(spdk_fd_clear_nonblock(pipe_fds[0]) == 0 && (fcntl(pipe_fds[0], F_GETFL) & O_NONBLOCK) == 0);
	close(fd);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
	CHECK(spdk_fd_get_size(-1) == 0 && spdk_fd_get_blocklen(-1) == 0);
	CHECK(spdk_fd_set_nonblock(-1) == -EBADF && spdk_fd_clear_nonblock(INT_MAX) == -EBADF);
}

int
main(void)
{
	check_values();
	values_of_the_specification();
	nothing_to_sum();
	uuids();
	zipfs_law();
	descriptors();
	puts("ok");
	return 0;
}
