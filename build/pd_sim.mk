# What proves PD's scheduling as a whole: a simulation from a seed.
#
# It needs only a C compiler; pd-sim-asan runs a few seeds under sanitizers.

PD_SIM_CORE := $(wildcard pd/core/*.c) src/core/region/region.c \
	src/core/raft/empty_log.c src/core/codec/proto.c \
	src/core/base/arena.c src/core/base/check.c src/core/base/status.c \
	src/core/base/fingerprint.c
PD_SIM_C := $(wildcard test/sim/pd/*.c)
PD_SIM_H := $(wildcard pd/core/*.h) $(wildcard src/core/region/*.h) \
	$(wildcard src/core/base/*.h) $(wildcard src/core/codec/*.h)
PD_SIM_CFLAGS := -std=gnu11 -D_GNU_SOURCE -g -I. -Isrc -Wall -Wextra -Wshadow \
	-Werror
PD_SIM_ASAN := -O1 -fsanitize=address,undefined -fno-sanitize-recover=all

$(OUT)/sim/pd: $(PD_SIM_CORE) $(PD_SIM_C) $(PD_SIM_H)
	@mkdir -p $(@D)
	$(CC) $(PD_SIM_CFLAGS) -O2 $(PD_SIM_C) $(PD_SIM_CORE) -o $@ -lm

$(OUT)/sim/pd_asan: $(PD_SIM_CORE) $(PD_SIM_C) $(PD_SIM_H)
	@mkdir -p $(@D)
	$(CC) $(PD_SIM_CFLAGS) $(PD_SIM_ASAN) $(PD_SIM_C) $(PD_SIM_CORE) -o $@ -lm

.PHONY: pd-sim pd-sim-asan

# A seed to replay is replayed alone.
sim: pd-sim $(if $(SEED),,pd-sim-asan)

pd-sim: $(OUT)/sim/pd
	SEED=$(SEED) SEEDS=$(or $(SEEDS),200) FROM=$(or $(FROM),1) $(OUT)/sim/pd

pd-sim-asan: $(OUT)/sim/pd_asan
	SEED=$(SEED) SEEDS=$(or $(ASAN_SEEDS),10) FROM=$(or $(FROM),1) \
		$(OUT)/sim/pd_asan
