/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * A controller that can be locked by TCG Opal, from its first owner to its revert: ownership, users, ranges, what locks do to reads and writes,
 * erasing, wrong passwords, commands of two threads, and a device that outlives its controller. Without Opal there is no device, and that is
 * all. Its data are lost.
 */

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "check.h"
#include "common.h"
#include "in_process.h"
#include "session.h"
#include "spdk/env.h"
#include "spdk/opal.h"

#define NOT_AUTHORIZED 1
#define INVALID_PARAMETER 12
#define RANGE OPAL_LOCKING_RANGE_1
#define START 16u
#define LENGTH 64u
#define ROUNDS 20u

static char g_owner[] = "the owner's";
static const char g_user[] = "the user's";

static struct session g_session;
static struct spdk_nvme_qpair *g_qpair;
static struct spdk_opal_dev *g_dev;
static uint8_t *g_buffer;

/* The status code of a read or write of one block: 0, or 0x86 of the media errors (Access Denied). */
static int status_of(bool write, uint64_t lba)
{
	struct single single = {0};
	int rc = write ? single_write(&g_session, g_qpair, &single, g_buffer, lba, 1)
		       : single_read(&g_session, g_qpair, &single, g_buffer, lba, 1);

	if (!CHECK_INT(rc, 0) || !single_wait(NULL, g_qpair, &single)) {
		return -1;
	}
	return single.cpl.status.sct << 8 | single.cpl.status.sc;
}

#define DENIED 0x286

/* Locks, and looks at what is locked then: the first and the last block of the range, and those beside it. */
static void check_lock(enum spdk_opal_user user, const char *password, enum spdk_opal_lock_state state, bool reads, bool writes)
{
	CHECK_INT(spdk_opal_cmd_lock_unlock(g_dev, user, state, RANGE, password), 0);
	CHECK_INT(status_of(true, START - 1), 0);
	CHECK_INT(status_of(false, START + LENGTH), 0);
	CHECK_INT(status_of(false, START), reads ? 0 : DENIED);
	CHECK_INT(status_of(false, START + LENGTH - 1), reads ? 0 : DENIED);
	CHECK_INT(status_of(true, START), writes ? 0 : DENIED);
	CHECK_INT(status_of(true, START + LENGTH - 1), writes ? 0 : DENIED);
}

static void check_ownership(void)
{
	char none[] = "";
	char other[] = "somebody else's";
	char longest[257];

	memset(longest, 'x', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	CHECK_INT(spdk_opal_cmd_take_ownership(g_dev, NULL), -EINVAL);
	CHECK_INT(spdk_opal_cmd_take_ownership(g_dev, none), -EINVAL);
	CHECK_INT(spdk_opal_cmd_take_ownership(g_dev, longest), -EINVAL);
	CHECK_INT(spdk_opal_cmd_activate_locking_sp(g_dev, g_owner), NOT_AUTHORIZED);
	CHECK_INT(spdk_opal_cmd_take_ownership(g_dev, g_owner), 0);
	CHECK_INT(spdk_opal_cmd_take_ownership(g_dev, other), NOT_AUTHORIZED);
	CHECK(spdk_opal_cmd_lock_unlock(g_dev, OPAL_ADMIN1, OPAL_RWLOCK, RANGE, g_owner) > 0);
	CHECK_INT(spdk_opal_cmd_activate_locking_sp(g_dev, other), NOT_AUTHORIZED);
	CHECK_INT(spdk_opal_cmd_activate_locking_sp(g_dev, g_owner), 0);
	CHECK_INT(spdk_opal_cmd_activate_locking_sp(g_dev, g_owner), -EINVAL);
}

static void check_users(void)
{
	CHECK_INT(spdk_opal_cmd_enable_user(g_dev, OPAL_ADMIN1, g_owner), -EINVAL);
	CHECK_INT(spdk_opal_cmd_enable_user(g_dev, OPAL_USER1, g_user), NOT_AUTHORIZED);
	CHECK_INT(spdk_opal_cmd_enable_user(g_dev, OPAL_USER1, g_owner), 0);
	CHECK_INT(spdk_opal_cmd_set_new_passwd(g_dev, OPAL_USER1, g_user, g_owner, true), 0);
	CHECK_INT(spdk_opal_cmd_add_user_to_locking_range(g_dev, OPAL_USER1, RANGE, OPAL_READONLY, g_owner), 0);
	CHECK_INT(spdk_opal_cmd_add_user_to_locking_range(g_dev, OPAL_USER1, RANGE, OPAL_READWRITE, g_owner), 0);
}

static void check_ranges(void)
{
	struct spdk_opal_locking_range_info *info = spdk_opal_get_locking_range_info(g_dev, RANGE);
	int most = spdk_opal_cmd_get_max_ranges(g_dev, g_owner);

	CHECK(most > 1);
	CHECK_INT(spdk_opal_cmd_setup_locking_range(g_dev, OPAL_ADMIN1, RANGE, START, LENGTH, g_owner), 0);
	/* Over the first one. */
	CHECK_INT(spdk_opal_cmd_setup_locking_range(g_dev, OPAL_ADMIN1, OPAL_LOCKING_RANGE_2, START + 1, LENGTH, g_owner), INVALID_PARAMETER);
	REQUIRE(info != NULL);
	CHECK_INT(info->range_length, 0);
	CHECK_INT(spdk_opal_cmd_get_locking_range_info(g_dev, g_user, OPAL_ADMIN1, RANGE), NOT_AUTHORIZED);
	CHECK_INT(spdk_opal_cmd_get_locking_range_info(g_dev, g_owner, OPAL_ADMIN1, RANGE), 0);
	CHECK_INT(info->range_start, START);
	CHECK_INT(info->range_length, LENGTH);
	CHECK(info->read_lock_enabled && info->write_lock_enabled && !info->read_locked && !info->write_locked);
	spdk_opal_free_locking_range_info(g_dev, RANGE);
	CHECK_INT(info->range_length, 0);
	CHECK(spdk_opal_get_locking_range_info(g_dev, (enum spdk_opal_locking_range)8) == NULL);
	CHECK_INT(spdk_opal_cmd_get_locking_range_info(g_dev, g_owner, OPAL_ADMIN1, (enum spdk_opal_locking_range)8), -EINVAL);
}

static void *lock_and_unlock(void *argument)
{
	unsigned *done = argument;
	unsigned round;
	int rc;

	/* Commands of one thread are refused while one of the other runs: none waits, and none gets the other's answer. */
	for (round = 0; round < ROUNDS; round++) {
		rc = spdk_opal_cmd_lock_unlock(g_dev, OPAL_USER1, round % 2 == 0 ? OPAL_RWLOCK : OPAL_READWRITE, RANGE, g_user);
		if (CHECK(rc == 0 || rc == -EBUSY) && rc == 0) {
			++*done;
		}
	}
	return NULL;
}

static void check_threads(void)
{
	unsigned here = 0, there = 0;
	pthread_t thread;

	REQUIRE(pthread_create(&thread, NULL, lock_and_unlock, &there) == 0);
	lock_and_unlock(&here);
	REQUIRE(pthread_join(thread, NULL) == 0);
	/* Whoever is refused is so because the other one got through. */
	CHECK(here + there > 0);
	check_lock(OPAL_USER1, g_user, OPAL_READWRITE, true, true);
}

static void check_erasing(void)
{
	memset(g_buffer, 0x5a, g_session.sector_size);
	CHECK_INT(status_of(true, START + 1), 0);
	CHECK_INT(spdk_opal_cmd_secure_erase_locking_range(g_dev, OPAL_ADMIN1, RANGE, g_user), NOT_AUTHORIZED);
	CHECK_INT(status_of(false, START + 1), 0);
	CHECK_INT(g_buffer[0], 0x5a);
	CHECK_INT(spdk_opal_cmd_secure_erase_locking_range(g_dev, OPAL_ADMIN1, RANGE, g_owner), 0);
	CHECK_INT(status_of(false, START + 1), 0);
	CHECK(g_buffer[0] != 0x5a);
}

static void check_life(bool alone)
{
	check_ownership();
	check_users();
	check_ranges();
	check_lock(OPAL_USER1, g_user, OPAL_READONLY, true, false);
	check_lock(OPAL_USER1, g_user, OPAL_RWLOCK, false, false);
	CHECK_INT(spdk_opal_cmd_lock_unlock(g_dev, OPAL_USER1, OPAL_READWRITE, RANGE, g_owner), NOT_AUTHORIZED);
	CHECK_INT(spdk_opal_cmd_lock_unlock(g_dev, OPAL_USER1, (enum spdk_opal_lock_state)0x7f, RANGE, g_user), -EINVAL);
	check_lock(OPAL_USER1, g_user, OPAL_READWRITE, true, true);
	/* A target in this process belongs to one thread. */
	if (!alone) {
		check_threads();
	}
	check_erasing();
	CHECK_INT(spdk_opal_cmd_lock_unlock(g_dev, OPAL_USER1, OPAL_RWLOCK, RANGE, g_user), 0);
	CHECK_INT(status_of(false, START), DENIED);
	CHECK_INT(spdk_opal_cmd_revert_tper(g_dev, g_user), NOT_AUTHORIZED);
	CHECK_INT(spdk_opal_cmd_revert_tper(g_dev, g_owner), 0);
	/* It is as it was when it was new. */
	CHECK_INT(status_of(false, START), 0);
	CHECK_INT(spdk_opal_cmd_take_ownership(g_dev, g_owner), 0);
	CHECK_INT(spdk_opal_cmd_revert_tper(g_dev, g_owner), 0);
}

int main(int argc, char **argv)
{
	static const struct in_process_room room = {.lingers = true, .format = ",opal"};
	struct spdk_nvme_transport_id trid;
	struct spdk_opal_d0_features_info *features;

	test_begin_with(argc, argv, &room, &trid, 600);
	session_open(&g_session, &trid);
	g_buffer = spdk_dma_zmalloc(g_session.sector_size, 4096, NULL);
	REQUIRE(g_buffer != NULL);
	g_qpair = qpair_open(&g_session, NULL, false);
	g_dev = spdk_opal_dev_construct(g_session.ctrlr);
	if (spdk_nvme_ctrlr_get_flags(g_session.ctrlr) & SPDK_NVME_CTRLR_SECURITY_SEND_RECV_SUPPORTED) {
		REQUIRE(g_dev != NULL);
		features = spdk_opal_get_d0_features_info(g_dev);
		CHECK(features != NULL && features->v200.hdr.length > 0);
		check_life(argc > 1 && strcmp(argv[1], "--in-process") == 0);
	} else {
		CHECK(g_dev == NULL);
	}
	CHECK_INT(spdk_nvme_ctrlr_free_io_qpair(g_qpair), 0);
	spdk_dma_free(g_buffer);
	session_close(&g_session);
	if (g_dev != NULL) {
		CHECK_INT(spdk_opal_cmd_take_ownership(g_dev, g_owner), -ENXIO);
		spdk_opal_dev_destruct(g_dev);
		/* It is no device any more. */
		CHECK_INT(spdk_opal_cmd_take_ownership(g_dev, g_owner), -EINVAL);
		CHECK(spdk_opal_get_d0_features_info(g_dev) == NULL);
		spdk_opal_dev_destruct(g_dev);
	}
	test_end();
	return check_result("opal");
}
