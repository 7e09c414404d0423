/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Managing a controller: namespaces, format, firmware, and who hears of namespaces that changed. Most targets over fabrics have none of it: then
 * each call says so, and nothing changes. What it does where there is some is not tried here, since it is somebody's data.
 */

#include <errno.h>
#include <string.h>

#include "check.h"
#include "common.h"
#include "in_process.h"
#include "session.h"

static void changed(void *arg, const uint32_t *nsids, uint32_t num_nsids)
{
	CHECK((nsids == NULL) == (num_nsids == 0));
	++*(unsigned *)arg;
}

int main(int argc, char **argv)
{
	struct spdk_nvme_transport_id trid;
	struct session session;
	static struct spdk_nvme_ctrlr_list list;
	static struct spdk_nvme_ns_data data;
	static uint8_t image[8200];
	struct spdk_nvme_format format;
	struct spdk_nvme_status status;
	unsigned changes = 0;
	struct spdk_nvme_cdata_oacs oacs;
	uint32_t most;
	int rc;

	test_begin(argc, argv, &trid, 600);
	session_open(&session, &trid);
	memset(&format, 0, sizeof(format));
	spdk_nvme_ctrlr_register_ns_attr_changed_callback(session.ctrlr, changed, &changes);
	spdk_nvme_ctrlr_disable_read_changed_ns_list_log_page(session.ctrlr);
	oacs = spdk_nvme_ctrlr_get_data(session.ctrlr)->oacs;
	most = spdk_nvme_ctrlr_get_num_ns(session.ctrlr);

	CHECK_INT(spdk_nvme_ctrlr_attach_ns(session.ctrlr, 0, &list), -EINVAL);
	CHECK_INT(spdk_nvme_ctrlr_attach_ns(session.ctrlr, 1, NULL), -EINVAL);
	CHECK_INT(spdk_nvme_ctrlr_detach_ns(session.ctrlr, 0, &list), -EINVAL);
	CHECK_INT(spdk_nvme_ctrlr_detach_ns(session.ctrlr, 1, NULL), -EINVAL);
	CHECK_INT(spdk_nvme_ctrlr_delete_ns(session.ctrlr, 0), -EINVAL);
	CHECK_INT(spdk_nvme_ctrlr_create_ns(session.ctrlr, NULL), 0);
	CHECK_INT(spdk_nvme_ctrlr_format(session.ctrlr, 1, NULL), -EINVAL);
	CHECK_INT(spdk_nvme_ctrlr_update_firmware(session.ctrlr, image, 4096, 1, SPDK_NVME_FW_COMMIT_REPLACE_IMG, NULL), -EINVAL);
	CHECK_INT(spdk_nvme_ctrlr_update_firmware(session.ctrlr, image, 4095, 1, SPDK_NVME_FW_COMMIT_REPLACE_IMG, &status), -1);
	CHECK_INT(spdk_nvme_ctrlr_update_firmware(session.ctrlr, image, 4096, 1, SPDK_NVME_FW_COMMIT_RUN_IMG, &status), -1);
	if (!oacs.nms) {
		CHECK_INT(spdk_nvme_ctrlr_attach_ns(session.ctrlr, most, &list), -EIO);
		CHECK_INT(spdk_nvme_ctrlr_detach_ns(session.ctrlr, most, &list), -EIO);
		CHECK_INT(spdk_nvme_ctrlr_delete_ns(session.ctrlr, most), -EIO);
		CHECK_INT(spdk_nvme_ctrlr_create_ns(session.ctrlr, &data), 0);
	}
	if (!oacs.fnvms) {
		CHECK_INT(spdk_nvme_ctrlr_format(session.ctrlr, most, &format), -EIO);
	}
	if (!oacs.fwds) {
		memset(&status, 0xff, sizeof(status));
		rc = spdk_nvme_ctrlr_update_firmware(session.ctrlr, image, sizeof(image), 1, SPDK_NVME_FW_COMMIT_REPLACE_AND_ENABLE_IMG,
						     &status);
		CHECK_INT(rc, -EIO);
		CHECK_INT(status.sc, 0); /* of the commit, which there was none of */
	}
	CHECK(spdk_nvme_ctrlr_process_admin_completions(session.ctrlr) >= 0);
	CHECK(spdk_nvme_ns_is_active(session.ns));
	CHECK_INT(changes, 0);
	spdk_nvme_ctrlr_register_ns_attr_changed_callback(session.ctrlr, NULL, NULL);
	session_close(&session);
	test_end();
	return check_result("manage");
}
