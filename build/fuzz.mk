# Fuzzing of everything that reads bytes of a client or a peer, with clang's
# libFuzzer; test/fuzz/README.md has the targets.
#
# A target is test/fuzz/fuzz_*.c.  What it includes says what it is linked
# with: gRPC and the server for server/ headers, PD for pd_world.h.

CLANG ?= clang
FUZZ_SANITIZERS := -fsanitize=address,undefined -fno-sanitize-recover=all

# Warnings are gcc's business; here they would be those of another compiler.
FUZZ_CFLAGS := -O1 $(FUZZ_SANITIZERS) -fsanitize=fuzzer-no-link \
	-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=0 -DTIKV_FUZZ -w

FUZZ_C := $(sort $(wildcard test/fuzz/fuzz_*.c))

# What stores send each other comes with several instances.
ifeq ($(wildcard src/core/cmd/peer_message.h),)
FUZZ_C := $(filter-out test/fuzz/fuzz_peer.c,$(FUZZ_C))
endif
FUZZ_TARGETS := $(FUZZ_C:test/fuzz/%.c=$(OUT)/fuzz/bin/%)

# PD without its tables, its loop and its ports: test/fuzz/pd_world.h is those.
FUZZ_PD_C := $(filter-out pd/adopt.c pd/group%.c pd/peers.c pd/forward%.c \
	pd/join.c pd/moved.c pd/round.c pd/worker.c pd/observe.c,$(wildcard pd/*.c))
FUZZ_PD_O := $(FUZZ_PD_C:%.c=$(OUT)/fuzz/%.o)

# A member among others: test/fuzz/pd_tables.h is its tables.
FUZZ_PD_MEMBER_C := pd/peers.c pd/join.c pd/round.c $(wildcard pd/forward*.c) \
	$(filter-out pd/group_table.c pd/group_lock.c,$(wildcard pd/group*.c))
FUZZ_PD_MEMBER_O := $(FUZZ_PD_MEMBER_C:%.c=$(OUT)/fuzz/%.o)

# The rules take the compiler that CC names while they are made.
FUZZ_SAVED_CC := $(CC)
override CC := $(CLANG)
$(eval $(call compile_rules,$(OUT)/fuzz,$(FUZZ_CFLAGS)))
override CC := $(FUZZ_SAVED_CC)

# What includes pd_world.h, or a file of the store, needs Postgres's headers.
FUZZ_PG_O := $(patsubst %.c,$(OUT)/fuzz/%.o,$(wildcard test/fuzz/fuzz_pd_*.c \
	test/fuzz/fuzz_store_*.c))
$(FUZZ_PG_O): $(OUT)/fuzz/%.o: %.c $(FLAGS_STAMP) | $(GEN_H)
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CLANG) $(PG_CFLAGS) $(FUZZ_CFLAGS) $(INCLUDES) -MMD -MP -c -o $@ $<

FUZZ_LIBS := $(OUT)/fuzz/libtikvserver.a $(OUT)/fuzz/libtikvservice.a \
	$(OUT)/fuzz/libtikvcore.a

$(filter $(OUT)/fuzz/bin/fuzz_pd_%,$(FUZZ_TARGETS)): $(FUZZ_PD_O)
$(filter $(OUT)/fuzz/bin/fuzz_pd_member,$(FUZZ_TARGETS)): $(FUZZ_PD_MEMBER_O)

$(FUZZ_TARGETS): $(OUT)/fuzz/bin/%: $(OUT)/fuzz/test/fuzz/%.o $(FUZZ_LIBS)
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CLANG) $(FUZZ_SANITIZERS) -fsanitize=fuzzer -Wl,--as-needed -o $@ \
		$(filter %.o,$^) $(FUZZ_LIBS) -L$(PG_LIBDIR) -L$(PG_PKGLIBDIR) \
		$(if $(filter %pd/service.o %/fuzz_store_detector.o,$^),-lpgcommon -lpgport) \
		-lgrpc -lgpr -lprotobuf-c -lmicrohttpd -lgnutls -lssl -lcrypto -lz \
		-lm -lpthread

.PHONY: fuzz fuzz-build fuzz-planted

fuzz-build: $(FUZZ_TARGETS)

fuzz: fuzz-build       ## fuzz every decoder: SECONDS=60 each, TARGETS=name...
	test/fuzz/run.sh $(or $(SECONDS),60) $(or $(TARGETS),$(notdir $(FUZZ_TARGETS)))

fuzz-planted:          ## bugs put in on purpose, each of which fuzzing must find
	test/fuzz/planted.sh $(or $(SECONDS),60)
