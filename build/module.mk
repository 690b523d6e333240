# The libraries and where they go.
#
# tikv_fdw is preloaded into the postmaster and every backend and must not
# load gRPC; tikv_worker is loaded by the background workers that serve gRPC,
# tikv_status by the one that serves HTTP alone.

FDW_SO := $(OUT)/tikv_fdw.so
WORKER_SO := $(OUT)/tikv_worker.so
STATUS_SO := $(OUT)/tikv_status.so
EXTENSION_SQL := $(OUT)/tikv_fdw--$(VERSION).sql

# The last release, and how to come from it to this version.
RELEASED := 0.1
UPDATE_SQL := $(OUT)/tikv_fdw--$(RELEASED)--$(VERSION).sql
RELEASED_SQL := $(wildcard sql/released/tikv_fdw--*.sql)

FDW_O := $(patsubst %.c,$(OUT)/obj/%.o,$(FDW_C) $(GEN_C))
STATUS_O := $(STATUS_C:%.c=$(OUT)/obj/%.o)
WORKER_O := $(patsubst %.c,$(OUT)/obj/%.o,$(WORKER_C) $(GEN_C))

$(FDW_SO): $(FDW_O) build/exports_fdw.map
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS_SO) -Wl,--version-script=build/exports_fdw.map \
		-o $@ $(FDW_O) -lprotobuf-c -lm

$(WORKER_SO): $(WORKER_O) build/exports_worker.map
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS_SO) -Wl,--version-script=build/exports_worker.map \
		-L$(PG_LIBDIR) -o $@ $(WORKER_O) \
		-lgrpc -lgpr -lprotobuf-c -lpq -lmicrohttpd -lgnutls -lssl -lcrypto -lz -lpthread -lm

$(STATUS_SO): $(STATUS_O) build/exports_status.map
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS_SO) -Wl,--version-script=build/exports_status.map \
		-o $@ $(STATUS_O) -lmicrohttpd -lgnutls -lssl -lcrypto -lpthread -lm

$(EXTENSION_SQL): sql/tikv_fdw.sql tikv_fdw.control
	cp sql/tikv_fdw.sql $@

$(UPDATE_SQL): sql/tikv_fdw.sql sql/update/$(RELEASED)-$(VERSION).sql \
		tools/update_sql.sh tikv_fdw.control
	tools/update_sql.sh $(RELEASED) $(VERSION) > $@

.PHONY: libs install-libs uninstall-libs
libs: $(FDW_SO) $(WORKER_SO) $(STATUS_SO) $(EXTENSION_SQL) $(UPDATE_SQL)
	@rm -f $(filter-out $(EXTENSION_SQL) $(UPDATE_SQL),$(wildcard $(OUT)/tikv_fdw--*.sql))

PKGLIB := $(DESTDIR)$(PG_PKGLIBDIR)
EXTDIR := $(DESTDIR)$(PG_SHAREDIR)/extension

# install(1) replaces the file, so a running server keeps the one it mapped.
install-libs: libs
	install -d '$(PKGLIB)' '$(EXTDIR)'
	install -m 755 $(FDW_SO) $(WORKER_SO) $(STATUS_SO) '$(PKGLIB)'
	install -m 644 tikv_fdw.control $(EXTENSION_SQL) $(UPDATE_SQL) $(RELEASED_SQL) '$(EXTDIR)'

uninstall-libs:
	rm -f '$(PKGLIB)'/tikv_fdw.so '$(PKGLIB)'/tikv_worker.so \
		'$(PKGLIB)'/tikv_status.so
	rm -f '$(EXTDIR)'/tikv_fdw.control '$(EXTDIR)'/tikv_fdw--*.sql
