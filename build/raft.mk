# What proves core/raft: scenarios, simulation, mutations, benchmark, coverage.
#
# All of it needs only a C compiler.  The simulation is built with -O2, since
# it has to run many seeds; sim-asan runs a few of them under the sanitizers.

RAFT_C := $(wildcard src/core/raft/*.c) src/core/base/arena.c \
	src/core/base/check.c src/core/base/status.c
RAFT_H := $(wildcard src/core/raft/*.h) $(wildcard src/core/base/*.h)
RAFT_CFLAGS := -std=gnu11 -g -Isrc -Wall -Wextra -Wconversion -Wshadow -Werror
RAFT_ASAN := -O1 -fsanitize=address,undefined -fno-sanitize-recover=all

RAFT_SIM_C := $(wildcard test/sim/raft/*.c)
RAFT_SIM_H := $(wildcard test/sim/raft/*.h)

$(OUT)/sim/raft: $(RAFT_C) $(RAFT_H) $(RAFT_SIM_C) $(RAFT_SIM_H)
	@mkdir -p $(@D)
	$(CC) $(RAFT_CFLAGS) -O2 -Itest/sim/raft $(RAFT_SIM_C) $(RAFT_C) -o $@

$(OUT)/sim/raft_asan: $(RAFT_C) $(RAFT_H) $(RAFT_SIM_C) $(RAFT_SIM_H)
	@mkdir -p $(@D)
	$(CC) $(RAFT_CFLAGS) $(RAFT_ASAN) -Itest/sim/raft $(RAFT_SIM_C) $(RAFT_C) -o $@

RAFT_SCENARIO_C := $(wildcard test/scenario/raft/*.c)
RAFT_SCENARIO_H := $(wildcard test/scenario/raft/*.h)

$(OUT)/scenario/raft: $(RAFT_C) $(RAFT_H) $(RAFT_SCENARIO_C) $(RAFT_SCENARIO_H)
	@mkdir -p $(@D)
	$(CC) $(RAFT_CFLAGS) $(RAFT_ASAN) -Itest/scenario/raft $(RAFT_SCENARIO_C) \
		$(RAFT_C) -o $@

$(OUT)/bench/raft: $(RAFT_C) $(RAFT_H) test/bench/raft_bench.c
	@mkdir -p $(@D)
	$(CC) $(RAFT_CFLAGS) -O2 test/bench/raft_bench.c $(RAFT_C) -o $@

.PHONY: raft-scenario raft-scenario-update raft-sim raft-sim-asan \
	sim-mutations raft-bench raft-coverage

scenario: raft-scenario

# A seed to replay is replayed alone.
sim: raft-sim $(if $(SEED),,raft-sim-asan sim-mutations)

raft-scenario: $(OUT)/scenario/raft
	$(OUT)/scenario/raft test/scenario/raft/*.txt

raft-scenario-update: $(OUT)/scenario/raft  ## write what the scenarios now print
	$(OUT)/scenario/raft --update test/scenario/raft/*.txt

raft-sim: $(OUT)/sim/raft
	SEED=$(SEED) STEPS=$(STEPS) SEEDS=$(or $(SEEDS),3000) FROM=$(or $(FROM),1) \
		$(OUT)/sim/raft

raft-sim-asan: $(OUT)/sim/raft_asan
	SEED=$(SEED) STEPS=$(STEPS) SEEDS=$(or $(ASAN_SEEDS),150) FROM=$(or $(FROM),1) \
		$(OUT)/sim/raft_asan

sim-mutations:         ## bugs put in on purpose, each of which the simulation must find
	test/sim/raft/mutations.sh $(OUT)/sim

raft-bench: $(OUT)/bench/raft  ## what the Raft core costs by itself
	$(OUT)/bench/raft

raft-coverage:         ## branch coverage of core/raft by its tests
	tools/raft_coverage.sh
