# Tests, checks and tools.
#
# A unit test is one program, test/unit/test_*.c, linked with the core; one
# that includes server/ or service/ headers gets those libraries and gRPC.

UNIT_C := $(sort $(wildcard test/unit/test_*.c))
UNIT_RPC_C := $(if $(UNIT_C),$(shell grep -lE '^\#include "(server/|service/|transport/|[a-z_]+\.pb-c\.h)' $(UNIT_C)))
UNIT_CORE_C := $(filter-out $(UNIT_RPC_C),$(UNIT_C))
UNIT_CORE := $(UNIT_CORE_C:test/unit/%.c=$(OUT)/asan/bin/%)
UNIT_RPC := $(UNIT_RPC_C:test/unit/%.c=$(OUT)/asan/bin/%)

ASAN_ENV := ASAN_OPTIONS=abort_on_error=0:detect_stack_use_after_return=1 \
	UBSAN_OPTIONS=print_stacktrace=1

$(UNIT_CORE): $(OUT)/asan/bin/%: $(OUT)/asan/test/unit/%.o $(OUT)/asan/libtikvcore.a
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(ASAN_CFLAGS) -o $@ $^ -lm -lpthread

$(UNIT_RPC): $(OUT)/asan/bin/%: $(OUT)/asan/test/unit/%.o \
		$(OUT)/asan/libtikvserver.a $(OUT)/asan/libtikvservice.a \
		$(OUT)/asan/libtikvcore.a
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(ASAN_CFLAGS) -Wl,--as-needed -o $@ $^ \
		-lgrpc -lgpr -lprotobuf-c -lmicrohttpd -lgnutls -lssl -lcrypto -lz -lm -lpthread

# Programs that the tests and scripts use: one per test/tools/*.c.
TOOLS_C := $(sort $(wildcard test/tools/*.c))
TOOLS := $(TOOLS_C:test/tools/%.c=$(OUT)/bin/%)

$(TOOLS): $(OUT)/bin/%: $(OUT)/obj/test/tools/%.o $(OUT)/obj/libtikvservice.a \
		$(OUT)/obj/libtikvcore.a
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) -Wl,--as-needed -o $@ $^ -lgrpc -lgpr -lprotobuf-c -lm -lpthread

.PHONY: tools unit check scenario sim installcheck regress isolation tap \
	crash txn-crash commit-steps chaos grow known-faults failpoints compat bench \
	soak fresh format lint

tools: $(TOOLS)

unit: $(UNIT_CORE) $(UNIT_RPC)  ## unit tests under ASan and UBSan
	$(ASAN_ENV) prove --exec 'timeout 120' -j2 $^

# Modules with scenarios and simulations bring them in a makefile of their own,
# such as build/raft.mk, as prerequisites of these two.
scenario:              ## scripted scenarios of the core, message by message
sim:                   ## simulation from a seed: SEED= STEPS=

check: unit scenario sim  ## all tests that need no server

installcheck: regress tap  ## all tests against the installed server

regress:               ## SQL tests (pg_regress, isolation specs)
	scripts/regress

tap: tools bench-programs             ## tests of whole instances (Perl TAP)
	test/tap/run.sh $(TESTS)

crash:                 ## SIGKILL at random while clients write: ROUNDS=8
	test/faults/run.sh crash $(or $(ROUNDS),8)

txn-crash:             ## the same with transactions of client-go: ROUNDS=5
	test/faults/run.sh txn $(or $(ROUNDS),5)

commit-steps:          ## a SQL commit of keys and tables, disturbed at every step: POINTS=name..
	test/faults/commit/run.sh $(POINTS)

chaos:                 ## all clients under all faults, a build with failpoints: MINUTES=10 NODES=3 TTL=1 SEED=
	test/faults/run.sh chaos 0 -failpoints -minutes $(or $(MINUTES),10) -nodes $(or $(NODES),3) $(if $(TTL),-ttl)

grow:                  ## nodes join and leave under load: ROUNDS=1 SEED=
	test/faults/run.sh grow $(or $(ROUNDS),1)

known-faults:          ## failures known from other systems, on three instances
	test/faults/run.sh known 0

failpoints:            ## a crash at every failpoint, of a build with those: ONLY=name,.. ROLES=LFPN SEED=
	test/faults/run.sh failpoints 0 $(if $(ONLY),-only $(ONLY)) $(if $(ROLES),-roles $(ROLES))

compat: tools          ## real Go, Rust and Java clients against a cluster
	test/compat/run.sh

bench: tools           ## benchmarks, as ratios in one run
	test/bench/run.sh

soak: tools            ## what is long: many crash rounds, idle, old snapshots, sizes
	test/soak.sh

fresh:                 ## README's commands on a new Debian, as root and as a user
	test/fresh.sh

format:                ## clang-format over our sources
	tools/format.sh

lint: all              ## format, layers, exports, tests listed, docs, shell
	tools/lint.sh
