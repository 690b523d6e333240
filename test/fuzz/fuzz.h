/*
 * fuzz.h
 *	  What the fuzz targets share: taking an input apart, and writing seeds.
 *
 * A target is one file with LLVMFuzzerTestOneInput, which must not remember
 * anything from one input to the next, and write_seeds, which calls
 * fuzz_seed for a few inputs that reach deep.  With FUZZ_SEEDS=dir in its
 * environment the program writes those and ends; see run.sh.
 */
#ifndef TIKV_FUZZ_H
#define TIKV_FUZZ_H

#include <stdio.h>
#include <stdlib.h>

#include "core/base/arena.h"
#include "core/base/check.h"

extern int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
extern int LLVMFuzzerInitialize(int *argc, char ***argv);

static void write_seeds(void);

/* ---- an input, from its front ---- */

typedef struct FuzzInput
{
	const uint8_t *next;
	size_t left;
} FuzzInput;

static inline FuzzInput
fuzz_input(const uint8_t *data, size_t size)
{
	FuzzInput in = {data, size};

	return in;
}

/* 0 behind the end. */
static inline uint8_t
fuzz_u8(FuzzInput *in)
{
	if (in->left == 0)
		return 0;
	in->left--;
	return *in->next++;
}

/* At most len bytes, fewer at the end. */
static inline Bytes
fuzz_bytes(FuzzInput *in, size_t len)
{
	Bytes b = bytes_make(in->next, len < in->left ? len : in->left);

	in->next += b.len;
	in->left -= b.len;
	return b;
}

/* A length of two bytes, then so many. */
static inline Bytes
fuzz_piece(FuzzInput *in)
{
	size_t len = (size_t) fuzz_u8(in) << 8;

	len |= fuzz_u8(in);
	return fuzz_bytes(in, len);
}

static inline Bytes
fuzz_rest(FuzzInput *in)
{
	return fuzz_bytes(in, in->left);
}

/*
 * The bytes in a block of their own, so that the sanitizer sees who reads
 * behind them; the caller frees it.
 */
static inline Bytes
fuzz_own(Bytes b)
{
	uint8_t *p = malloc(b.len > 0 ? b.len : 1);

	CHECK(p != NULL);
	if (b.len > 0)
		memcpy(p, b.data, b.len);
	return bytes_make(p, b.len);
}

static inline void
fuzz_disown(Bytes b)
{
	free((void *) (uintptr_t) b.data);
}

/* ---- seeds ---- */

/* Bytes that grow, for putting a seed together. */
typedef struct FuzzSeed
{
	uint8_t *data;
	size_t len;
} FuzzSeed;

static inline void
seed_add(FuzzSeed *seed, const void *data, size_t len)
{
	seed->data = realloc(seed->data, seed->len + len + 1);
	CHECK(seed->data != NULL);
	if (len > 0)
		memcpy(seed->data + seed->len, data, len);
	seed->len += len;
}

static inline void
seed_u8(FuzzSeed *seed, int value)
{
	uint8_t byte = (uint8_t) value;

	seed_add(seed, &byte, 1);
}

/* What fuzz_piece takes. */
static inline void
seed_piece(FuzzSeed *seed, Bytes b)
{
	CHECK(b.len <= 0xffff);
	seed_u8(seed, (int) (b.len >> 8));
	seed_u8(seed, (int) (b.len & 0xff));
	seed_add(seed, b.data, b.len);
}

/* Write it to the folder, and forget it. */
static inline void
fuzz_seed(FuzzSeed *seed)
{
	static int n;
	char path[4096];
	FILE *file;

	snprintf(path, sizeof(path), "%s/seed-%04d", getenv("FUZZ_SEEDS"), n++);
	file = fopen(path, "wb");
	CHECK(file != NULL);
	CHECK(fwrite(seed->data, 1, seed->len, file) == seed->len);
	CHECK(fclose(file) == 0);
	free(seed->data);
	memset(seed, 0, sizeof(*seed));
}

static inline void
fuzz_seed_bytes(Bytes b)
{
	FuzzSeed seed = {0};

	seed_add(&seed, b.data, b.len);
	fuzz_seed(&seed);
}

/* ---- a target of many decoders: the first byte says which has the rest ---- */

typedef void (*FuzzDecoder)(Bytes bytes, Arena *arena);

static inline void
fuzz_decode(const FuzzDecoder *decoders, size_t n, const uint8_t *data,
			size_t size)
{
	FuzzInput in = fuzz_input(data, size);
	uint8_t which = fuzz_u8(&in);
	Bytes bytes = fuzz_own(fuzz_rest(&in));
	Arena arena;

	arena_init(&arena);
	decoders[which % n](bytes, &arena);
	arena_free(&arena);
	fuzz_disown(bytes);
}

static inline void
fuzz_seed_for(int which, Bytes bytes)
{
	FuzzSeed seed = {0};

	seed_u8(&seed, which);
	seed_add(&seed, bytes.data, bytes.len);
	fuzz_seed(&seed);
}

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void) argc;
	(void) argv;
	if (getenv("FUZZ_SEEDS") == NULL)
		return 0;
	write_seeds();
	exit(0);
}

#endif /* TIKV_FUZZ_H */
