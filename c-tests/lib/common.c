/* SPDX-License-Identifier: BSD-3-Clause */

/* See common.h. */

#include "common.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "spdk/env.h"

bool environment_start(const char *name)
{
	struct spdk_env_opts options;
	int rc;

	memset(&options, 0, sizeof(options));
	options.opts_size = sizeof(options);
	spdk_env_opts_init(&options);
	options.name = name;
	rc = spdk_env_init(&options);
	if (rc != 0) {
		fprintf(stderr, "%s: the environment did not start: %s\n", name, strerror(abs(rc)));
		return false;
	}
	return true;
}

bool trid_read(struct spdk_nvme_transport_id *trid, const char *text)
{
	int rc;

	memset(trid, 0, sizeof(*trid));
	spdk_nvme_trid_populate_transport(trid, SPDK_NVME_TRANSPORT_RDMA);
	rc = spdk_nvme_transport_id_parse(trid, text);
	if (rc != 0) {
		fprintf(stderr, "'%s' is not a transport id: %s\n", text, strerror(abs(rc)));
		return false;
	}
	if (trid->trtype != SPDK_NVME_TRANSPORT_RDMA) {
		fprintf(stderr, "'%s': only trtype:RDMA is spoken here\n", text);
		return false;
	}
	if ((int)trid->adrfam == 0) {
		trid->adrfam = strchr(trid->traddr, ':') == NULL ? SPDK_NVMF_ADRFAM_IPV4 : SPDK_NVMF_ADRFAM_IPV6;
	}
	if (trid->traddr[0] == '\0' || trid->trsvcid[0] == '\0' || trid->subnqn[0] == '\0') {
		fprintf(stderr, "'%s': traddr, trsvcid and subnqn are needed\n", text);
		return false;
	}
	return true;
}

struct spdk_nvme_ctrlr *connect_patiently(const struct spdk_nvme_transport_id *trid)
{
	return connect_as_host(trid, 0);
}

struct spdk_nvme_ctrlr *connect_as_host(const struct spdk_nvme_transport_id *trid, unsigned host)
{
	struct spdk_nvme_ctrlr_opts opts;

	spdk_nvme_ctrlr_get_default_ctrlr_opts(&opts, sizeof(opts));
	opts.fabrics_connect_timeout_us = FABRICS_CONNECT_SECONDS * 1000 * 1000;
	opts.keep_alive_timeout_ms = KEEP_ALIVE_SECONDS * 1000;
	if (host != 0) {
		snprintf(opts.hostnqn, sizeof(opts.hostnqn), "nqn.2016-06.io.spdk:host%u", host);
		/* A subsystem may refuse one Host Identifier with two Host NQNs. */
		memset(opts.extended_host_id, 0, sizeof(opts.extended_host_id));
		memcpy(opts.extended_host_id, &host, sizeof(host));
	}
	return spdk_nvme_connect(trid, &opts, sizeof(opts));
}

bool size_read(const char *text, uint64_t maximum, uint64_t *size)
{
	unsigned long long value;
	unsigned shift = 0;
	char *end;

	if (text[0] < '0' || text[0] > '9') {
		return false;
	}
	errno = 0;
	value = strtoull(text, &end, 10);
	switch (*end) {
	case 'k':
	case 'K':
		shift = 10;
		end++;
		break;
	case 'm':
	case 'M':
		shift = 20;
		end++;
		break;
	case 'g':
	case 'G':
		shift = 30;
		end++;
		break;
	default:
		break;
	}
	if (errno != 0 || *end != '\0' || value > maximum >> shift) {
		return false;
	}
	*size = (uint64_t)value << shift;
	return true;
}

double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

double deadline_in(double seconds)
{
	return now() + seconds;
}

bool deadline_passed(double deadline)
{
	return now() >= deadline;
}

static void on_alarm(int number)
{
	static const char text[] = "\nwatchdog: the program hangs\n";
	ssize_t written = write(STDERR_FILENO, text, sizeof(text) - 1);

	(void)number;
	(void)written;
	_exit(EXIT_WRONG);
}

void watchdog(unsigned seconds)
{
	struct sigaction action = {.sa_handler = on_alarm};

	sigaction(SIGALRM, &action, NULL);
	alarm(seconds);
}

uint64_t random_next(uint64_t *state)
{
	uint64_t value = *state;

	value ^= value << 13;
	value ^= value >> 7;
	value ^= value << 17;
	*state = value;
	return value;
}

/* More than any one line of output holds. */
#define TEXTS 16

static char *next_text(size_t *size)
{
	static char texts[TEXTS][32];
	static unsigned turn;

	*size = sizeof(texts[0]);
	return texts[turn++ % TEXTS];
}

const char *digits(uint64_t value)
{
	size_t size;
	char *text = next_text(&size);
	char *place = text + size;
	unsigned count = 0;

	*--place = '\0';
	do {
		if (count != 0 && count % 3 == 0) {
			*--place = ',';
		}
		*--place = (char)('0' + value % 10);
		value /= 10;
		count++;
	} while (value != 0);
	return place;
}

const char *binary_size(double bytes)
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
	size_t size;
	char *text = next_text(&size);
	size_t unit = 0;

	while (bytes >= 1024.0 && unit + 1 < sizeof(units) / sizeof(units[0])) {
		bytes /= 1024.0;
		unit++;
	}
	snprintf(text, size, unit == 0 ? "%.0f %s" : "%.1f %s", bytes, units[unit]);
	return text;
}

uint32_t queue_entries(struct spdk_nvme_ctrlr *ctrlr, uint32_t commands)
{
	uint32_t most = spdk_nvme_ctrlr_get_regs_cap(ctrlr).bits.mqes + 1u;
	uint32_t wanted = commands < 1 ? 2 : commands + 1;

	return wanted < most ? wanted : most;
}
