# Programs that the benchmark uses: one per test/bench/*.c, linked with the
# parts of the load generators, the core, the services and the gRPC server, as
# each needs.

BENCH_C := $(sort $(wildcard test/bench/*.c))
BENCH := $(BENCH_C:test/bench/%.c=$(OUT)/bin/%)
BENCH_LOAD_C := $(sort $(wildcard test/bench/load/*.c))

$(OUT)/obj/libbenchload.a: $(BENCH_LOAD_C:%.c=$(OUT)/obj/%.o)
	$(call say,AR,$@)
	@rm -f $@
	$(Q)ar rcs $@ $^

$(BENCH): $(OUT)/bin/%: $(OUT)/obj/test/bench/%.o $(OUT)/obj/libbenchload.a \
		$(OUT)/obj/libtikvserver.a $(OUT)/obj/libtikvservice.a \
		$(OUT)/obj/libtikvcore.a
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) -Wl,--as-needed -o $@ $^ \
		-lgrpc -lgpr -lprotobuf-c -lmicrohttpd -lgnutls -lssl -lcrypto -lz -lm -lpthread

.PHONY: bench-programs
bench-programs: $(BENCH)

bench: bench-programs
