# The modules with sanitizers, for a server of its own: test/asan.
#
# Their objects are those of the unit tests' build.  The server's program has
# no sanitizers, so their runtime is preloaded into it.

ASAN_MODULES := $(OUT)/asan/modules
ASAN_FDW_SO := $(ASAN_MODULES)/tikv_fdw.so
ASAN_WORKER_SO := $(ASAN_MODULES)/tikv_worker.so
ASAN_STATUS_SO := $(ASAN_MODULES)/tikv_status.so

$(ASAN_FDW_SO): $(FDW_O:$(OUT)/obj/%=$(OUT)/asan/%) build/exports_fdw.map
$(ASAN_WORKER_SO): $(WORKER_O:$(OUT)/obj/%=$(OUT)/asan/%) build/exports_worker.map
$(ASAN_STATUS_SO): $(STATUS_O:$(OUT)/obj/%=$(OUT)/asan/%) build/exports_status.map

# More libraries than each needs are named; what is not needed is left out.
$(ASAN_FDW_SO) $(ASAN_WORKER_SO) $(ASAN_STATUS_SO):
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS_SO) $(ASAN_CFLAGS) \
		-Wl,--version-script=$(filter %.map,$^) -L$(PG_LIBDIR) -o $@ $(filter %.o,$^) \
		-lgrpc -lgpr -lprotobuf-c -lpq -lmicrohttpd -lgnutls -lssl -lcrypto -lz \
		-lpthread -lm

ASAN_FIRST_SO := $(ASAN_MODULES)/asan_first.so

$(ASAN_FIRST_SO): test/asan/first.c
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(PLAIN_CFLAGS) -shared -Wl,-z,initfirst -o $@ $<

.PHONY: asan-modules fdw-asan

asan-modules: $(ASAN_FDW_SO) $(ASAN_WORKER_SO) $(ASAN_STATUS_SO) $(ASAN_FIRST_SO)

fdw-asan: all asan-modules  ## SQL, foreign tables and workers under ASan and UBSan: TESTS=name..
	test/asan/run.sh $(TESTS)
