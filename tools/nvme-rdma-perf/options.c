/* SPDX-License-Identifier: BSD-3-Clause */

/* See options.h. */

#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "messages.h"
#include "text.h"

#ifndef NVME_RDMA_VERSION
#define NVME_RDMA_VERSION "unknown"
#endif

/* Options that have no letter. */
enum long_option {
	OPTION_JSON = 256,
	OPTION_ANNOUNCE,
	OPTION_RECONNECT,
	OPTION_VERSION,
};

static const struct {
	const char *name;
	enum pattern pattern;
	bool random;
	bool mixed;
	unsigned read_mix;
} patterns[] = {
	{"read", PATTERN_READ, false, false, 100},          {"write", PATTERN_WRITE, false, false, 0},
	{"randread", PATTERN_RANDREAD, true, false, 100},   {"randwrite", PATTERN_RANDWRITE, true, false, 0},
	{"rw", PATTERN_RW, false, true, 50},                {"randrw", PATTERN_RANDRW, true, true, 50},
	{"verify", PATTERN_VERIFY, false, false, 0},
};

static void usage(FILE *out)
{
	fputs("usage: " PROGRAM " -r TRID [-r TRID ...] [options]\n"
	      "\n"
	      "Keeps NVMe/RDMA targets busy and says how fast they are. A pattern that writes OVERWRITES THE DATA on all their\n"
	      "namespaces; the default one reads.\n"
	      "\n"
	      "  -r, --transport TRID      where: 'traddr:ADDRESS trsvcid:PORT subnqn:NQN', and as whom, if that matters: 'hostnqn:NQN';\n"
	      "                            again for each further target\n"
	      "  -w, --io-pattern PATTERN  read, write, randread, randwrite, rw or randrw (default randread); or verify: a pattern is\n"
	      "                            written over each namespace, once, read back and compared\n"
	      "  -M, --rwmixread PERCENT   of rw and randrw: how much of it reads (default 50)\n"
	      "  -q, --io-depth N          requests in flight on each qpair, 1 to 4096 (default 128)\n"
	      "  -o, --io-size BYTES       of one request, a multiple of the sector size (default 4K)\n"
	      "  -P, --num-qpairs N        qpairs to each target from each thread, 1 to 64 (default 1)\n"
	      "  -c, --core-mask CORES     a thread on each of these: a mask as 0x5, or a list as [0,2-3] (default: one thread, anywhere)\n"
	      "  -t, --time SECONDS        how long (default 10)\n"
	      "  -d, --number-ios N        end after so many requests of each thread to each target; without -t, however long it takes\n"
	      "  -n, --size BYTES          use only so much of each namespace (default all of it)\n"
	      "  -Q, --continue-on-error   an I/O error does not end the work on its target\n"
	      "      --reconnect SECONDS   a target that is gone may stay away so long; then the work goes on, on the same handles\n"
	      "      --announce N          say when N requests came back, for a script that waits for it\n"
	      "  -L, --histogram           draw the latencies also if the output is no terminal\n"
	      "      --json                one JSON document on the standard output, however it ends; all else on the standard error\n"
	      "  -h, --help                this text\n"
	      "      --version             the version\n"
	      "\n"
	      "BYTES may end in K, M or G (powers of 1024). Ctrl-C ends with a report of what was done until then; a second one at\n"
	      "once, without.\n"
	      "\n"
	      "Exit status: 0 all went well; 1 the options are wrong, or do not fit what was found; 2 a target was not reached, or gave\n"
	      "no queue pair or namespace; 3 I/O errors or a lost controller, each request came back once and all was released;\n"
	      "4 interrupted; 5 wrong data, a request that was lost or came back twice, or something that was not released; 6 this\n"
	      "machine lacks what it takes: the environment, an RDMA device, memory, a thread, or room for the report.\n",
	      out);
}

/* Says what is wrong. False, for the caller to return. */
#define refuse(...) (complain(ENDED_USAGE, __VA_ARGS__) == ENDED_WELL)

static bool read_number(const char *option, const char *text, uint64_t minimum, uint64_t maximum, uint64_t *number)
{
	if (number_read(text, minimum, maximum, number)) {
		return true;
	}
	return refuse("%s %s: a number from %s to %s is needed", option, text, digits(minimum), digits(maximum));
}

/* The key of a transport id that is no part of it: hostnqn:NQN. */
static bool read_hostnqn(char *hostnqn, const char *text)
{
	const char *place = text;

	hostnqn[0] = '\0';
	while ((place = strcasestr(place, "hostnqn")) != NULL) {
		bool begins = place == text || strchr(" \t\n", place[-1]) != NULL;

		place += strlen("hostnqn");
		if (begins && (*place == ':' || *place == '=')) {
			size_t length = strcspn(place + 1, " \t\n");

			if (length == 0 || length > SPDK_NVMF_NQN_MAX_LEN) {
				return refuse("-r '%s': hostnqn has 1 to %d characters", text, SPDK_NVMF_NQN_MAX_LEN);
			}
			memcpy(hostnqn, place + 1, length);
			hostnqn[length] = '\0';
		}
	}
	return true;
}

static bool read_trid(struct options *options, const char *text)
{
	struct spdk_nvme_transport_id *trid = &options->trids[options->target_count];
	uint32_t index;
	int rc;

	if (options->target_count == MAX_TARGETS) {
		return refuse("no more than %d targets", MAX_TARGETS);
	}
	memset(trid, 0, sizeof(*trid));
	spdk_nvme_trid_populate_transport(trid, SPDK_NVME_TRANSPORT_RDMA);
	rc = spdk_nvme_transport_id_parse(trid, text);
	if (rc != 0) {
		return refuse("-r '%s' is no transport id: %s", text, strerror(abs(rc)));
	}
	if (trid->trtype != SPDK_NVME_TRANSPORT_RDMA) {
		return refuse("-r '%s': only trtype:RDMA is spoken here", text);
	}
	if ((int)trid->adrfam == 0) {
		trid->adrfam = strchr(trid->traddr, ':') == NULL ? SPDK_NVMF_ADRFAM_IPV4 : SPDK_NVMF_ADRFAM_IPV6;
	}
	if (trid->traddr[0] == '\0' || trid->trsvcid[0] == '\0' || trid->subnqn[0] == '\0') {
		return refuse("-r '%s': traddr, trsvcid and subnqn are needed", text);
	}
	if (!read_hostnqn(options->hostnqns[options->target_count], text)) {
		return false;
	}
	for (index = 0; index < options->target_count; index++) {
		/* It would be the same controller, and the same handle; as another host it is another one. */
		if (spdk_nvme_transport_id_compare(trid, &options->trids[index]) == 0 &&
		    strcmp(options->hostnqns[options->target_count], options->hostnqns[index]) == 0) {
			return refuse("-r '%s' is given twice", text);
		}
	}
	options->target_count++;
	return true;
}

static bool read_pattern(struct options *options, const char *text, bool *mixed)
{
	size_t index;

	for (index = 0; index < sizeof(patterns) / sizeof(patterns[0]); index++) {
		if (strcmp(text, patterns[index].name) == 0) {
			options->pattern = patterns[index].pattern;
			options->pattern_name = patterns[index].name;
			options->random = patterns[index].random;
			options->read_mix = patterns[index].read_mix;
			*mixed = patterns[index].mixed;
			return true;
		}
	}
	return refuse("-w %s: read, write, randread, randwrite, rw, randrw or verify is needed", text);
}

static bool add_core(struct options *options, const char *text, unsigned long core)
{
	uint32_t index;

	if (options->thread_count == MAX_THREADS || core >= CPU_SETSIZE) {
		return refuse("-c %s: no more than %d cores, of numbers below %d", text, MAX_THREADS, CPU_SETSIZE);
	}
	for (index = 0; index < options->thread_count; index++) {
		if (options->cores[index] == (int)core) {
			return refuse("-c %s: core %lu twice", text, core);
		}
	}
	options->cores[options->thread_count++] = (int)core;
	return true;
}

/* A list in brackets: [0,2-3]. */
static bool read_core_list(struct options *options, const char *text)
{
	const char *place = text;

	do {
		unsigned long first, last;
		char *end;

		place++;
		if (*place < '0' || *place > '9') {
			break;
		}
		errno = 0;
		first = last = strtoul(place, &end, 10);
		if (*end == '-' && end[1] >= '0' && end[1] <= '9') {
			last = strtoul(end + 1, &end, 10);
		}
		place = end;
		if (errno != 0 || last < first) {
			break;
		}
		for (; first <= last; first++) {
			if (!add_core(options, text, first)) {
				return false;
			}
		}
		if (place[0] == ']' && place[1] == '\0') {
			return true;
		}
	} while (*place == ',');
	return refuse("-c %s: a mask as 0x5 or a list as [0,2-3] is needed", text);
}

/* A mask in hexadecimal digits, with 0x in front of them or not. */
static bool read_core_mask(struct options *options, const char *text)
{
	const char *mask = text[0] == '0' && (text[1] == 'x' || text[1] == 'X') ? text + 2 : text;
	size_t length = strlen(mask);
	size_t index;

	if (length == 0 || mask[strspn(mask, "0123456789abcdefABCDEF")] != '\0') {
		return refuse("-c %s: a mask as 0x5 or a list as [0,2-3] is needed", text);
	}
	for (index = 0; index < length; index++) {
		char digit[2] = {mask[length - 1 - index], '\0'};
		unsigned long four = strtoul(digit, NULL, 16);
		unsigned bit;

		for (bit = 0; bit < 4; bit++) {
			if ((four >> bit & 1) != 0 && !add_core(options, text, index * 4 + bit)) {
				return false;
			}
		}
	}
	return options->thread_count != 0 || refuse("-c %s: no core is in it", text);
}

static bool read_cores(struct options *options, const char *text)
{
	options->thread_count = 0;
	return text[0] == '[' ? read_core_list(options, text) : read_core_mask(options, text);
}

/* One option. False after a message. `*mixed`, `*mix` and `*timed` are remembered for the end. */
static bool read_option(struct options *options, int letter, bool *mixed, int *mix, bool *timed)
{
	uint64_t number = 0;
	bool good = true;

	switch (letter) {
	case 'r':
		return read_trid(options, optarg);
	case 'w':
		return read_pattern(options, optarg, mixed);
	case 'M':
		good = read_number("-M", optarg, 0, 100, &number);
		*mix = (int)number;
		return good;
	case 'q':
		good = read_number("-q", optarg, 1, MAX_DEPTH, &number);
		options->depth = (uint32_t)number;
		return good;
	case 'o':
		good = read_number("-o", optarg, 512, 64u << 20, &number);
		options->io_size = (uint32_t)number;
		return good;
	case 'P':
		good = read_number("-P", optarg, 1, MAX_QPAIRS, &number);
		options->qpairs = (uint32_t)number;
		return good;
	case 'c':
		return read_cores(options, optarg);
	case 't':
		good = read_number("-t", optarg, 1, 365 * 24 * 3600, &number);
		options->seconds = (double)number;
		*timed = true;
		return good;
	case 'd':
		return read_number("-d", optarg, 1, UINT64_MAX >> 1, &options->count);
	case 'n':
		return read_number("-n", optarg, 512, UINT64_MAX >> 1, &options->limit);
	case 'Q':
		options->go_on = true;
		return true;
	case OPTION_RECONNECT:
		good = read_number("--reconnect", optarg, 1, 24 * 3600, &number);
		options->reconnect = (double)number;
		return good;
	case OPTION_ANNOUNCE:
		return read_number("--announce", optarg, 1, UINT64_MAX >> 1, &options->announce);
	case 'L':
		options->histogram = true;
		return true;
	case OPTION_JSON:
		return true; /* seen to before */
	default:
		return false;
	}
}

/* What getopt_long() could make nothing of: `letter` is its answer, `word` the one before the next that it looks at. */
static bool refuse_option(int letter, const char *word)
{
	char name[] = {'-', (char)optopt, '\0'};

	if (letter == ':') { /* it is the last word of all */
		return refuse("%s needs an argument", strncmp(word, "--", 2) == 0 ? word : name);
	}
	if (optopt == 0) { /* a long name; of a letter, `word` may be the one before it */
		return refuse("unrecognized option '%s'", word);
	}
	if (optopt >= OPTION_JSON || strchr("QLh", optopt) != NULL) {
		return refuse("%s: no argument belongs there", word);
	}
	return refuse("unrecognized option '%s'", name);
}

bool options_read(struct options *options, int argc, char **argv, enum ending *ending)
{
	static const struct option names[] = {
		{"transport", required_argument, NULL, 'r'},
		{"io-pattern", required_argument, NULL, 'w'},
		{"rwmixread", required_argument, NULL, 'M'},
		{"io-depth", required_argument, NULL, 'q'},
		{"io-size", required_argument, NULL, 'o'},
		{"num-qpairs", required_argument, NULL, 'P'},
		{"core-mask", required_argument, NULL, 'c'},
		{"time", required_argument, NULL, 't'},
		{"number-ios", required_argument, NULL, 'd'},
		{"size", required_argument, NULL, 'n'},
		{"continue-on-error", no_argument, NULL, 'Q'},
		{"reconnect", required_argument, NULL, OPTION_RECONNECT},
		{"announce", required_argument, NULL, OPTION_ANNOUNCE},
		{"histogram", no_argument, NULL, 'L'},
		{"json", no_argument, NULL, OPTION_JSON},
		{"help", no_argument, NULL, 'h'},
		{"version", no_argument, NULL, OPTION_VERSION},
		{NULL, 0, NULL, 0},
	};
	bool mixed = false, timed = false, good = true;
	int letter, mix = -1;

	memset(options, 0, sizeof(*options));
	options->depth = 128;
	options->io_size = 4096;
	options->qpairs = 1;
	options->thread_count = 1;
	options->cores[0] = -1;
	read_pattern(options, "randread", &mixed);
	*ending = ENDED_USAGE;

	while ((letter = getopt_long(argc, argv, ":r:w:M:q:o:P:c:t:d:n:QLh", names, NULL)) != -1) {
		if (letter == OPTION_JSON || (letter == '?' && optopt == OPTION_JSON)) {
			options->json = true;
		}
		if (!good) {
			continue; /* what is wrong was said; whether a document is wanted may still come */
		}
		if (letter == 'h' || letter == OPTION_VERSION) {
			if (letter == 'h') {
				usage(stdout);
			} else {
				puts(PROGRAM " " NVME_RDMA_VERSION);
			}
			*ending = ENDED_WELL;
			options->json = false;
			return false;
		}
		if (letter == ':' || letter == '?') {
			good = refuse_option(letter, argv[optind - 1]);
		} else {
			good = read_option(options, letter, &mixed, &mix, &timed);
		}
	}
	if (good && optind < argc) {
		good = refuse("what is '%s'?", argv[optind]);
	}
	if (good && options->target_count == 0) {
		good = refuse("-r TRID is needed");
	}
	if (good && mix >= 0 && !mixed) {
		good = refuse("-M is for -w rw and -w randrw, not for -w %s", options->pattern_name);
	}
	if (good && options->pattern == PATTERN_VERIFY && (timed || options->count != 0 || options->reconnect > 0)) {
		good = refuse("-w verify goes over each namespace once: -t, -d and --reconnect are not for it");
	}
	if (!good) {
		fputs("Try '" PROGRAM " --help'.\n", stderr);
		return false;
	}
	if (mix >= 0) {
		options->read_mix = (unsigned)mix;
	}
	if (!timed && options->count == 0 && options->pattern != PATTERN_VERIFY) {
		options->seconds = 10;
	}
	return true;
}
