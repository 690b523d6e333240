# The storage layer as SQL functions, for sql/storage.sql; never installed.

STORAGE_TEST_SO := $(OUT)/storage_test.so
STORAGE_TEST_C := $(sort $(wildcard test/modules/storage_test/*.c)) \
	$(sort $(wildcard src/storage/*.c)) src/bus/places.c \
	src/bus/grants.c $(sort $(wildcard src/bus/lock_*.c))
STORAGE_TEST_O := $(STORAGE_TEST_C:%.c=$(OUT)/obj/%.o)

$(OUT)/obj/test/modules/%.o: test/modules/%.c $(FLAGS_STAMP)
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(PG_CFLAGS) $(INCLUDES) -I$(<D) -MMD -MP -c -o $@ $<

$(STORAGE_TEST_SO): $(STORAGE_TEST_O) $(OUT)/obj/libtikvcore.a \
		build/exports_storage_test.map
	$(call say,LINK,$@)
	$(Q)$(CC) $(LDFLAGS_SO) \
		-Wl,--version-script=build/exports_storage_test.map \
		-o $@ $(STORAGE_TEST_O) $(OUT)/obj/libtikvcore.a -lm

regress: $(STORAGE_TEST_SO)
tools: $(STORAGE_TEST_SO)
