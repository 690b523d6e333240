/*
 * fuzz_raft.c
 *	  A Raft peer whose messages, and the moments they come at, are the input.
 *
 * The driver is that of test_raft_fuzz, whose choices are bytes here, so that
 * the fuzzer can look for those that lead to new places.
 */
#include "fuzz.h"

#include "raft_wild.h"

static FuzzInput choices;

/* Two bytes where one is too few; the large numbers of a few fields: eight. */
static uint64_t
rnd(uint64_t n)
{
	uint64_t value = fuzz_u8(&choices);

	if (n > 256)
		value = value << 8 | fuzz_u8(&choices);
	for (int i = 0; n > 65536 && i < 6; i++)
		value = value << 8 | fuzz_u8(&choices);
	return value % n;
}

static bool
used_up(void)
{
	return choices.left == 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	choices = fuzz_input(data, size);
	CHECK(wild_run(3000, used_up));
	return 0;
}

static void
write_seeds(void)
{
	uint64_t x = 88172645463325252u;

	for (int i = 0; i < 40; i++)
	{
		uint8_t bytes[3000];

		for (size_t k = 0; k < sizeof(bytes); k++)
		{
			x ^= x << 13;
			x ^= x >> 7;
			x ^= x << 17;
			bytes[k] = (uint8_t) (x >> 32);
		}
		fuzz_seed_bytes(bytes_make(bytes, sizeof(bytes)));
	}
}
