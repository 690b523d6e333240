# Paths, flags and lists of sources that the other parts share.
#
# Three flavours of compilation, so that a slip of layer does not build:
#   core   src/core, pd/core: no include path but our own, strict warnings
#   plain  src/server, src/transport, src/service, gen: no Postgres include path
#   pg     everything else: Postgres's server headers

PG_CONFIG ?= pg_config
OUT := out

PG_INCLUDE := $(shell $(PG_CONFIG) --includedir-server)
PG_CLIENT_INCLUDE := $(shell $(PG_CONFIG) --includedir)
PG_BINDIR := $(shell $(PG_CONFIG) --bindir)
PG_LIBDIR := $(shell $(PG_CONFIG) --libdir)
PG_PKGLIBDIR := $(shell $(PG_CONFIG) --pkglibdir)
PG_SHAREDIR := $(shell $(PG_CONFIG) --sharedir)

ifeq ($(PG_INCLUDE),)
$(error pg_config not found: install postgresql-server-dev-15 or newer, or pass PG_CONFIG=/path/to/pg_config)
endif

VERSION := $(shell sed -n "s/^default_version *= *'\(.*\)'/\1/p" tikv_fdw.control 2>/dev/null)

# `make V=1` shows the commands, `make -s QUIET=1` shows nothing.
Q := $(if $(V),,@)
say = $(if $(QUIET),,@printf '  %-5s %s\n' $(1) $(2))

CC := gcc
OPT ?= -O2
INCLUDES := -I. -Isrc -Igen -I$(OUT)

# Places where tests stop, delay, fail or kill a process: not in releases.
FAILPOINT_CFLAGS := $(if $(FAILPOINTS),-DTIKV_FAILPOINTS)

BASE_CFLAGS := -std=gnu11 $(OPT) -g -fPIC -fvisibility=hidden -pthread \
	-fno-omit-frame-pointer -fstack-protector-strong -D_GNU_SOURCE \
	-D_FORTIFY_SOURCE=2 $(FAILPOINT_CFLAGS)
CORE_CFLAGS := $(BASE_CFLAGS) -Wall -Wextra -Wconversion -Wshadow -Werror
PLAIN_CFLAGS := $(BASE_CFLAGS) -Wall -Wextra -Wmissing-prototypes -Werror
GEN_CFLAGS := $(BASE_CFLAGS) -w

# Postgres's own code relies on the first two; its headers are not ours to
# mend, hence -isystem.  Before Postgres 16 its macros for SQL functions do not
# mark them for export, so here the linker's version script alone hides names.
PG_CFLAGS := $(PLAIN_CFLAGS) -DTIKV_EXTENSION_VERSION=$(VERSION) -fno-strict-aliasing -fwrapv \
	-fvisibility=default -fno-semantic-interposition \
	-isystem $(PG_INCLUDE) -isystem $(PG_CLIENT_INCLUDE)

LDFLAGS_SO := -shared -Wl,-z,relro -Wl,-z,now -Wl,--as-needed

# Rebuild when the flags change, not when a makefile is touched.
FLAGS_STAMP := $(OUT)/flags
FLAGS_TEXT := $(CC) $(CORE_CFLAGS) $(PG_CFLAGS) $(shell $(CC) -dumpfullversion)
$(shell mkdir -p $(OUT); echo '$(FLAGS_TEXT)' | cmp -s - $(FLAGS_STAMP) || \
	echo '$(FLAGS_TEXT)' > $(FLAGS_STAMP))

# What tells libraries of two builds apart (src/build_id.h): the hash of all that
# they are made of, in a header of its own.
BUILD_ID := $(VERSION)-$(shell { echo '$(FAILPOINT_CFLAGS)'; \
	find src pd proto -name '*.[ch]' -o -name '*.proto' | LC_ALL=C sort | \
	xargs sha256sum; } | sha256sum | cut -c1-16)
$(shell printf '\043define TIKV_BUILD_ID "%s"\n' '$(BUILD_ID)' > $(OUT)/build_id_text.new; \
	cmp -s $(OUT)/build_id_text.new $(OUT)/build_id_text.h || \
	cp $(OUT)/build_id_text.new $(OUT)/build_id_text.h; \
	rm $(OUT)/build_id_text.new)

CORE_C := $(sort $(shell find src/core pd/core -name '*.c'))
GEN_C ?= $(patsubst proto/%.proto,gen/%.pb-c.c,$(sort $(wildcard proto/*.proto)))
GEN_H ?= $(GEN_C:.c=.h)
SERVICE_C := $(sort $(wildcard src/service/*.c))
SERVER_C := $(sort $(wildcard src/server/*.c src/transport/*.c))

# What both libraries carry, each with its own hidden copy.
SHARED_C := $(sort $(wildcard src/bus/*.c src/read/*.c src/storage/*.c)) \
	$(SERVICE_C) $(CORE_C) $(wildcard pd/tso_local.c)
FDW_C := $(wildcard src/main.c src/guc.c src/build_id.c) $(sort $(wildcard src/sqlapi/*.c src/fdw/*.c)) \
	$(SHARED_C)
STATUS_C := $(wildcard src/worker_common.c src/worker_tls.c) \
	$(sort $(wildcard src/status/*.c)) \
	src/server/http.c src/server/http_guests.c src/server/http_room.c \
	src/server/http_tls.c src/server/tls.c \
	src/server/tls_files.c src/server/address.c src/server/helper.c \
	$(sort $(wildcard src/bus/*.c src/storage/*.c)) $(CORE_C)
WORKER_C := $(wildcard src/worker_common.c src/worker_tls.c) \
	$(sort $(wildcard src/store/*.c)) \
	$(sort $(wildcard src/kvserver/*.c)) $(SERVER_C) \
	$(filter-out pd/tso_local.c,$(sort $(wildcard pd/*.c))) \
	$(SHARED_C)
