# Generated C: one pair gen/X.pb-c.{c,h} per proto/X.proto.
#
# gen/ holds nothing else, is not committed, and is made anew by deleting it.
# A pair depends on what its .proto imports, too: names of imported
# messages stand in the generated code.

PROTO_FILES := $(sort $(wildcard proto/*.proto))
GEN_SRCS := $(PROTO_FILES:proto/%.proto=gen/%.pb-c.c)
GEN_HDRS := $(GEN_SRCS:.c=.h)
GEN_OBJS := $(GEN_SRCS:gen/%.c=$(OUT)/obj/gen/%.o)

PROTOC_C ?= protoc-c

# The files that $(1) imports directly.
proto_imports = $(shell sed -n 's/^import "\([^"]*\)";/proto\/\1/p' $(1))

# Both files of a pair come from one run. The .c is touched last so that it is
# never older than its header.
define proto_rule
gen/$(1).pb-c.c gen/$(1).pb-c.h &: proto/$(1).proto $(call proto_imports,proto/$(1).proto)
	@mkdir -p gen
	$(PROTOC_C) -Iproto --c_out=gen $$<
	@touch gen/$(1).pb-c.h gen/$(1).pb-c.c
endef

$(foreach p,$(PROTO_FILES:proto/%.proto=%),$(eval $(call proto_rule,$(p))))

.PHONY: gen
gen: $(GEN_SRCS) $(GEN_HDRS)
