# How a source becomes an object, and the core as a library of its own.
#
# The same rules serve the release build and the one with sanitizers; a build
# is a folder with its flags.

ASAN_CFLAGS := -O1 -fsanitize=address,undefined -fno-sanitize-recover=all \
	-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=0

# $(1) folder of the build, $(2) flags added after the usual ones
define compile_rules
$(1)/src/core/%.o: src/core/%.c $(FLAGS_STAMP)
	@mkdir -p $$(@D)
	$(call say,CC,$$<)
	$(Q)$(CC) $(CORE_CFLAGS) $(2) $(INCLUDES) -MMD -MP -c -o $$@ $$<

$(1)/pd/core/%.o: pd/core/%.c $(FLAGS_STAMP)
	@mkdir -p $$(@D)
	$(call say,CC,$$<)
	$(Q)$(CC) $(CORE_CFLAGS) $(2) $(INCLUDES) -MMD -MP -c -o $$@ $$<

$(1)/src/server/%.o: src/server/%.c $(FLAGS_STAMP) | $(GEN_H)
	@mkdir -p $$(@D)
	$(call say,CC,$$<)
	$(Q)$(CC) $(PLAIN_CFLAGS) $(2) $(INCLUDES) -MMD -MP -c -o $$@ $$<

$(1)/src/transport/%.o: src/transport/%.c $(FLAGS_STAMP) | $(GEN_H)
	@mkdir -p $$(@D)
	$(call say,CC,$$<)
	$(Q)$(CC) $(PLAIN_CFLAGS) $(2) $(INCLUDES) -MMD -MP -c -o $$@ $$<

$(1)/src/service/%.o: src/service/%.c $(FLAGS_STAMP) | $(GEN_H)
	@mkdir -p $$(@D)
	$(call say,CC,$$<)
	$(Q)$(CC) $(PLAIN_CFLAGS) $(2) $(INCLUDES) -MMD -MP -c -o $$@ $$<

$(1)/gen/%.o: gen/%.c $(FLAGS_STAMP) | $(GEN_H)
	@mkdir -p $$(@D)
	$(call say,CC,$$<)
	$(Q)$(CC) $(GEN_CFLAGS) $(2) $(INCLUDES) -MMD -MP -c -o $$@ $$<

$(1)/src/%.o: src/%.c $(FLAGS_STAMP) | $(GEN_H)
	@mkdir -p $$(@D)
	$(call say,CC,$$<)
	$(Q)$(CC) $(PG_CFLAGS) $(2) $(INCLUDES) -MMD -MP -c -o $$@ $$<

$(1)/pd/%.o: pd/%.c $(FLAGS_STAMP) | $(GEN_H)
	@mkdir -p $$(@D)
	$(call say,CC,$$<)
	$(Q)$(CC) $(PG_CFLAGS) $(2) $(INCLUDES) -MMD -MP -c -o $$@ $$<

$(1)/test/%.o: test/%.c $(FLAGS_STAMP) | $(GEN_H)
	@mkdir -p $$(@D)
	$(call say,CC,$$<)
	$(Q)$(CC) $(PLAIN_CFLAGS) $(2) $(INCLUDES) -Itest/unit -MMD -MP -c -o $$@ $$<

$(1)/libtikvcore.a: $(CORE_C:%.c=$(1)/%.o)
	$(call say,AR,$$@)
	@rm -f $$@
	$(Q)ar rcs $$@ $$^

# Decoding and meaning of RPCs, without gRPC.
$(1)/libtikvservice.a: $(SERVICE_C:%.c=$(1)/%.o) $(GEN_C:%.c=$(1)/%.o)
	$(call say,AR,$$@)
	@rm -f $$@
	$(Q)ar rcs $$@ $$^

$(1)/libtikvserver.a: $(SERVER_C:%.c=$(1)/%.o)
	$(call say,AR,$$@)
	@rm -f $$@
	$(Q)ar rcs $$@ $$^
endef

$(eval $(call compile_rules,$(OUT)/obj,))
$(eval $(call compile_rules,$(OUT)/asan,$(ASAN_CFLAGS)))

-include $(shell find $(OUT) -name '*.d' 2>/dev/null)

.PHONY: core
core: $(OUT)/obj/libtikvcore.a  ## the core alone, with only a C compiler
