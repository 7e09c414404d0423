/* SPDX-License-Identifier: BSD-3-Clause */

/* See pattern.h. */

#include "pattern.h"

#include <string.h>

#include "messages.h"

static uint64_t word_at(uint32_t nsid, uint64_t lba, uint32_t index)
{
	uint64_t value = (lba << 16 | index) + ((uint64_t)nsid << 56);

	value = (value ^ value >> 33) * 0xff51afd7ed558ccdull;
	value = (value ^ value >> 33) * 0xc4ceb9fe1a85ec53ull;
	return value ^ value >> 33;
}

void pattern_fill(uint8_t *buffer, uint32_t nsid, uint64_t lba, uint32_t blocks, uint32_t sector_size)
{
	uint32_t block, word;

	for (block = 0; block < blocks; block++) {
		for (word = 0; word < sector_size / 8; word++) {
			uint64_t value = word_at(nsid, lba + block, word);

			memcpy(buffer, &value, sizeof(value));
			buffer += sizeof(value);
		}
	}
}

uint64_t pattern_compare(const uint8_t *buffer, uint32_t nsid, uint64_t lba, uint32_t blocks, uint32_t sector_size, int say)
{
	uint64_t wrong = 0;
	uint32_t block, word;

	for (block = 0; block < blocks; block++) {
		for (word = 0; word < sector_size / 8; word++) {
			uint64_t expected = word_at(nsid, lba + block, word);
			uint64_t found;

			memcpy(&found, buffer, sizeof(found));
			buffer += sizeof(found);
			if (found == expected) {
				continue;
			}
			if (wrong++ == 0 && say) {
				complain(ENDED_BROKEN, "wrong data: namespace %u, sector %llu, byte %u: expected %016llx, found %016llx",
					 nsid, (unsigned long long)(lba + block), word * 8, (unsigned long long)expected,
					 (unsigned long long)found);
			}
		}
	}
	return wrong;
}

void random_fill(uint8_t *buffer, uint64_t size, uint64_t *state)
{
	uint64_t place;

	for (place = 0; place + sizeof(*state) <= size; place += sizeof(*state)) {
		uint64_t value = random_next(state);

		memcpy(buffer + place, &value, sizeof(value));
	}
}
