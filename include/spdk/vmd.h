/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Intel volume management devices. They hold PCIe drives, so libspdk_env_rdma never finds one: enumerating succeeds and
 * finds nothing, and whatever names a device gets -ENODEV.
 */

#ifndef SPDK_VMD_H
#define SPDK_VMD_H

#include "spdk/stdinc.h"

#include "spdk/env.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Most drives behind one device. */
#define MAX_VMD_TARGET 24

/** State of a drive's light. */
enum spdk_vmd_led_state {
	SPDK_VMD_LED_STATE_OFF,
	SPDK_VMD_LED_STATE_IDENTIFY,
	SPDK_VMD_LED_STATE_FAULT,
	SPDK_VMD_LED_STATE_REBUILD,
	SPDK_VMD_LED_STATE_UNKNOWN,
};

/** Looks for devices. Returns 0. */
int spdk_vmd_init(void);

/** Undoes spdk_vmd_init(). */
void spdk_vmd_fini(void);

/** Lists the drives behind a device. Returns their number: 0. */
int spdk_vmd_pci_device_list(struct spdk_pci_addr vmd_addr, struct spdk_pci_device *nvme_list);

/** Sets a drive's light. Returns -ENODEV. */
int spdk_vmd_set_led_state(struct spdk_pci_device *pci_device, enum spdk_vmd_led_state state);

/** Gets a drive's light. Returns -ENODEV. */
int spdk_vmd_get_led_state(struct spdk_pci_device *pci_device, enum spdk_vmd_led_state *state);

/** Number of drives that came or went: 0. */
int spdk_vmd_hotplug_monitor(void);

/** Removes a drive. Returns -ENODEV. */
int spdk_vmd_remove_device(const struct spdk_pci_addr *addr);

/** Number of drives found by looking again: 0. */
int spdk_vmd_rescan(void);

#ifdef __cplusplus
}
#endif

#endif /* SPDK_VMD_H */
