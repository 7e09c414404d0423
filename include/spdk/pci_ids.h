/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Numbers of the PCI ID database that NVMe programs compare a controller's Identify data with. Devices that are no NVMe
 * controllers are not listed.
 */

#ifndef SPDK_PCI_IDS
#define SPDK_PCI_IDS

#include "spdk/stdinc.h"

/** Matches every vendor and device. */
#define SPDK_PCI_ANY_ID 0xffff

#define SPDK_PCI_VID_AMD 0x1022
#define SPDK_PCI_VID_CNEXLABS 0x1d1d
#define SPDK_PCI_VID_HUAWEI 0x19e5
#define SPDK_PCI_VID_INTEL 0x8086
#define SPDK_PCI_VID_MEMBLAZE 0x1c5f
#define SPDK_PCI_VID_MICRON 0x1344
#define SPDK_PCI_VID_MICROSOFT 0x1414
#define SPDK_PCI_VID_NUTANIX 0x4e58
#define SPDK_PCI_VID_REDHAT 0x1b36
#define SPDK_PCI_VID_SAMSUNG 0x144d
#define SPDK_PCI_VID_VIRTIO 0x1af4
#define SPDK_PCI_VID_VIRTUALBOX 0x80ee
#define SPDK_PCI_VID_VMWARE 0x15ad

/** Matches every class. */
#define SPDK_PCI_CLASS_ANY_ID 0xffffff
/** Mass storage (01h), non-volatile memory (08h), NVM Express (02h). */
#define SPDK_PCI_CLASS_NVME 0x010802

#endif /* SPDK_PCI_IDS */
