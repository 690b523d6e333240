# The bus and the board with many processes and without a server.

BUS_TESTS := $(OUT)/asan/bin/test_bus $(OUT)/asan/bin/test_board \
	$(OUT)/asan/bin/test_locks $(OUT)/asan/bin/test_lock_order \
	$(OUT)/asan/bin/test_tso
BUS_TEST_O := $(patsubst %.c,$(OUT)/asan/%.o,test/modules/bus_test/shims.c \
	src/bus/bus.c src/bus/slot.c src/bus/board.c src/bus/board_write.c \
	src/bus/lock_table.c src/bus/lock_change.c src/bus/lock_order.c \
	src/bus/lock_memory.c src/bus/grants.c src/bus/table_cut.c \
	src/bus/tso_shared.c)

# Reads as the server's processes take them.
LOCK_ORDER := $(OUT)/asan/bin/test_lock_order
LOCK_ORDER_O := $(patsubst %.c,$(OUT)/asan/%.o, \
	test/modules/bus_test/test_lock_order.c \
	test/modules/bus_test/order_reader.c src/read/read.c src/read/txn_look.c)

$(OUT)/asan/test/modules/bus_test/%.o: test/modules/bus_test/%.c \
		$(FLAGS_STAMP) | $(GEN_H)
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(PG_CFLAGS) $(ASAN_CFLAGS) $(INCLUDES) -Itest/unit -I$(<D) \
		-MMD -MP -c -o $@ $<

# Its clock is the test's.
TSO_TEST := $(OUT)/asan/bin/test_tso

$(filter-out $(LOCK_ORDER) $(TSO_TEST),$(BUS_TESTS)): $(OUT)/asan/bin/%: \
		$(OUT)/asan/test/modules/bus_test/%.o $(BUS_TEST_O) $(OUT)/asan/libtikvcore.a
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(ASAN_CFLAGS) -o $@ $^ -lm

$(LOCK_ORDER): $(LOCK_ORDER_O) $(BUS_TEST_O) $(OUT)/asan/libtikvservice.a \
		$(OUT)/asan/libtikvcore.a
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(ASAN_CFLAGS) -Wl,--wrap=lock_table_raise_max_ts -o $@ $^ \
		-lprotobuf-c -lm

$(TSO_TEST): $(OUT)/asan/test/modules/bus_test/test_tso.o \
		$(OUT)/asan/pd/tso_local.o $(BUS_TEST_O) $(OUT)/asan/libtikvcore.a
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(ASAN_CFLAGS) -Wl,--wrap=board_now_us -o $@ $^ -lm

unit: $(BUS_TESTS)
