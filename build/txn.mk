# What proves transactions as a whole: a simulation from a seed.
#
# It needs only a C compiler.  Built with -O2, since it has to run many seeds;
# txn-sim-asan runs a few of them under the sanitizers.

TXN_SIM_CORE := $(wildcard src/core/txn/*.c) $(wildcard src/core/mvcc/*.c) \
	$(wildcard src/core/codec/*.c) src/core/base/arena.c \
	src/core/base/check.c src/core/base/fingerprint.c src/core/base/status.c
TXN_SIM_C := $(wildcard test/sim/txn/*.c)
TXN_SIM_H := $(wildcard test/sim/txn/*.h) test/unit/mvcc_memory.h \
	$(wildcard src/core/txn/*.h) $(wildcard src/core/mvcc/*.h) \
	$(wildcard src/core/codec/*.h) $(wildcard src/core/base/*.h)
TXN_SIM_CFLAGS := -std=gnu11 -D_GNU_SOURCE -g -Isrc -Itest/sim/txn -Itest/unit \
	-Wall -Wextra -Wshadow -Werror
TXN_SIM_ASAN := -O1 -fsanitize=address,undefined -fno-sanitize-recover=all

$(OUT)/sim/txn: $(TXN_SIM_CORE) $(TXN_SIM_C) $(TXN_SIM_H)
	@mkdir -p $(@D)
	$(CC) $(TXN_SIM_CFLAGS) -O2 $(TXN_SIM_C) $(TXN_SIM_CORE) -o $@

$(OUT)/sim/txn_asan: $(TXN_SIM_CORE) $(TXN_SIM_C) $(TXN_SIM_H)
	@mkdir -p $(@D)
	$(CC) $(TXN_SIM_CFLAGS) $(TXN_SIM_ASAN) $(TXN_SIM_C) $(TXN_SIM_CORE) -o $@

.PHONY: txn-sim txn-sim-asan txn-sim-mutations

# A seed to replay is replayed alone.
sim: txn-sim $(if $(SEED),,txn-sim-asan txn-sim-mutations)

txn-sim: $(OUT)/sim/txn
	SEED=$(SEED) STEPS=$(STEPS) SEEDS=$(or $(SEEDS),2000) FROM=$(or $(FROM),1) \
		$(OUT)/sim/txn

txn-sim-asan: $(OUT)/sim/txn_asan
	SEED=$(SEED) STEPS=$(STEPS) SEEDS=$(or $(ASAN_SEEDS),60) FROM=$(or $(FROM),1) \
		$(OUT)/sim/txn_asan

txn-sim-mutations: $(OUT)/sim/txn
	test/sim/txn/mutations.sh $(OUT)/sim
