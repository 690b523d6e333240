# What a contributor types.  The rules are in build/; `make help` lists the
# targets.  PGXS is used for its paths and for pg_regress only, because it
# builds one library per directory and defines a `check` that does nothing.

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

include build/config.mk
-include build/proto.mk
include build/core.mk
include build/module.mk
include build/test.mk
-include build/raft.mk
-include build/txn.mk
-include build/pd_sim.mk
-include build/storage_test.mk
-include build/bench.mk
-include build/bus_test.mk
-include build/store_test.mk
-include build/asan.mk
-include build/fuzz.mk
-include build/pd_test.mk
-include build/deb.mk

.PHONY: all install uninstall clean help

all: libs tools        ## build both libraries and the tools of the tests

install: install-libs  ## install into the server that PG_CONFIG names

uninstall: uninstall-libs ## remove what install put there

clean:                 ## remove everything that was built
	rm -rf $(OUT) gen results tmp_check regression.diffs regression.out

help:                  ## this list
	@sed -n 's/^\([a-z][a-z-]*\):[^#]*## /\1\t/p' Makefile build/*.mk | \
		expand -t 14
	@echo
	@echo "Variables: V=1 (show commands) PG_CONFIG=path ROUNDS=n (crash) SEED=n STEPS=n (sim)"
