# PD's service, from bytes to answers, without a server: what stands in for the
# rest is test/fuzz/pd_world.h, which a source package leaves out.

PD_TEST_C := $(if $(wildcard test/fuzz/pd_world.h),$(wildcard \
	test/modules/pd_test/test_*.c))
PD_TEST := $(PD_TEST_C:test/modules/pd_test/%.c=$(OUT)/asan/bin/%)

ifneq ($(PD_TEST),)

$(OUT)/asan/test/modules/pd_test/%.o: test/modules/pd_test/%.c \
		$(FLAGS_STAMP) | $(GEN_H)
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(PG_CFLAGS) $(ASAN_CFLAGS) -Wno-unused-function \
		-Wno-missing-prototypes -Wno-unused-parameter $(INCLUDES) \
		-Itest/unit -Itest/fuzz -MMD -MP -c -o $@ $<

# What stands in for its tables alone is test/fuzz/pd_tables.h.
$(addprefix $(OUT)/asan/bin/test_pd_,behind promise sole): $(FUZZ_PD_MEMBER_C:%.c=$(OUT)/asan/%.o)

$(PD_TEST): $(OUT)/asan/bin/%: $(OUT)/asan/test/modules/pd_test/%.o \
		$(FUZZ_PD_C:%.c=$(OUT)/asan/%.o) $(OUT)/asan/libtikvserver.a \
		$(OUT)/asan/libtikvservice.a $(OUT)/asan/libtikvcore.a
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(ASAN_CFLAGS) -Wl,--as-needed -o $@ $^ \
		-L$(PG_LIBDIR) -L$(PG_PKGLIBDIR) -lpgcommon -lpgport \
		-lgrpc -lgpr -lprotobuf-c -lmicrohttpd -lgnutls -lssl -lcrypto -lz \
		-lm -lpthread

unit: $(PD_TEST)
endif
