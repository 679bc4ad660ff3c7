/* A fast keyed hash for tables in memory. Collisions cost time only: every table compares the whole key. */
#ifndef LIB_HASH_H
#define LIB_HASH_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/random.h>

#include "lib/clock.h"

/* For tables whose keys strangers choose. So early in a boot that there is no randomness: any seed serves. */
static inline uint64_t hash_seed(void)
{
	uint64_t seed;

	return getrandom(&seed, sizeof(seed), GRND_NONBLOCK) == sizeof(seed) ? seed : clock_boot_ns();
}

static inline uint64_t hash_mix(uint64_t h, uint64_t v)
{
	__uint128_t product = (__uint128_t)(h ^ v) * 0x9e3779b97f4a7c15ULL;

	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static inline uint64_t hash_bytes(uint64_t seed, const void *data, size_t len)
{
	const uint8_t *p = data;
	uint64_t h = hash_mix(seed, len + 0x51ed270b35ae14f1ULL), v;

	for (; len >= 8; p += 8, len -= 8) {
		memcpy(&v, p, 8);
		h = hash_mix(h, v);
	}
	if (len) {
		v = 0;
		memcpy(&v, p, len);
		h = hash_mix(h, v ^ 0xa5a5a5a5a5a5a5a5ULL);
	}
	return h;
}

#endif
