# Files of the store alone, without a server: each test has stand-ins for the
# rest of it.

STORE_TEST_C := $(wildcard test/modules/store_test/test_*.c)
STORE_TEST := $(STORE_TEST_C:test/modules/store_test/%.c=$(OUT)/asan/bin/%)

$(OUT)/asan/test/modules/store_test/%.o: test/modules/store_test/%.c \
		$(FLAGS_STAMP) | $(GEN_H)
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(PG_CFLAGS) $(ASAN_CFLAGS) $(INCLUDES) -Itest/unit \
		-MMD -MP -c -o $@ $<

# test_x is of src/store/x.c
$(STORE_TEST): $(OUT)/asan/bin/test_%: $(OUT)/asan/test/modules/store_test/test_%.o \
		$(OUT)/asan/src/store/%.o $(OUT)/asan/libtikvcore.a
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(ASAN_CFLAGS) -o $@ $^ \
		-L$(PG_LIBDIR) -L$(PG_PKGLIBDIR) -lpgcommon -lpgport -lm

unit: $(STORE_TEST)
