# shellcheck shell=bash
# txn.sh: transactions, by the load generator.  Sourced by run.sh.
#
# An operation is a transaction on one key with all its RPCs, one after the
# other; PD gave the timestamps before the load began.

# Keys that are hot, but not so few that optimistic transactions collide: each
# of the 64 in flight keeps to two of its own.
TXN_HOT=(--keys 128)

# Longer than the longest load, whose timestamps are as old as it is.
GC_LIFE_S=$((SECONDS_PER_RUN + 5))
NO_GC=0

# Write every key once, and let no garbage be collected for now.
setup_txn()
{
    local n

    step "writing $KEYS keys in transactions"
    set_gc_life $NO_GC
    load_store stream-1pc --batch 128 --inflight 1024 --fill 1 --seconds 1 \
        >"$OUT/rpc_fill_txn.txt" 2>&1 || rpc_failed fill_txn
    n=$(psql_bench -c "SELECT count(DISTINCT key) FROM tikv_internal.write
        WHERE key >= 'key' AND key < 'kez'")
    [ "$n" -eq "$KEYS" ] || die "of $KEYS keys written, $n are there"
    psql_bench -c 'VACUUM ANALYZE tikv_internal.write' -c CHECKPOINT
}

set_gc_life()
{
    psql_bench -c "ALTER SYSTEM SET tikv.gc_life_time = '$1'" \
        -c 'SELECT pg_reload_conf()' >/dev/null
}

bench_txn()
{
    bench_rpc txn_get get --inflight 64
    bench_rpc txn_1pc 1pc --inflight 64
    bench_rpc txn_2pc 2pc --inflight 64
    bench_rpc txn_async async --inflight 64
    bench_rpc txn_pessimistic pessimistic --inflight 64
    bench_rpc txn_counter pessimistic --inflight 64 --hot 1
}

# As bench_streams: commands per message.
bench_txn_streams()
{
    local batch inflight kind

    for batch in "${STREAM_BATCHES[@]}"; do
        inflight=$((batch < 8 ? 64 : batch * 8))
        for kind in get 1pc 2pc async pessimistic; do
            bench_rpc "stream_txn_${kind}_$batch" stream-$kind --batch "$batch" \
                --inflight $inflight
        done
    done
}

bench_txn_hot()
{
    bench_rpc "txn_hot_1pc$1" 1pc --inflight 64 "${TXN_HOT[@]}"
    bench_rpc "txn_hot_2pc$1" 2pc --inflight 64 "${TXN_HOT[@]}"
    bench_rpc "txn_hot_get$1" get --inflight 64 "${TXN_HOT[@]}"
}

gc_removed()
{
    psql_bench -c "SELECT removed FROM tikv.tasks WHERE task = 'collect garbage'"
}

# Garbage for the collection to find, made while none is collected; then the
# same load while it works through it.  What it removed meanwhile is shown: a
# collection that did nothing would cost nothing.  It begins without what the
# parts before left, or it would be behind, and then it works three times as
# hard.
bench_gc()
{
    local before

    step 'garbage collection at work'
    [ "$MODE" = quick ] || collect_all
    set_gc_life $NO_GC
    load_store stream-1pc --batch 128 --inflight 1024 \
        >"$OUT/rpc_garbage.txt" 2>&1 || rpc_failed garbage
    sleep "$GC_LIFE_S"
    bench_rpc txn_without_gc 2pc --inflight 64
    before=$(gc_removed)
    set_gc_life ${GC_LIFE_S}s
    wait_for_gc "$before"
    before=$(gc_removed)
    bench_rpc txn_with_gc 2pc --inflight 64
    record_value gc_removed_per_s \
        $((($(gc_removed) - before) / SECONDS_PER_RUN))
    set_gc_life $NO_GC
}

wait_for_gc()
{
    local until=$((SECONDS + 60))

    while [ "$(gc_removed)" -eq "$1" ]; do
        [ $SECONDS -lt $until ] || die 'the garbage collection removes nothing'
        sleep 0.2
    done
}

# Until a pass has removed what there was.
collect_all()
{
    local removed until=$((SECONDS + 300))

    removed=$(gc_removed)
    sleep "$GC_LIFE_S"
    set_gc_life "${GC_LIFE_S}s"
    wait_for_gc "$removed"
    while removed=$(gc_removed) && sleep 3 && [ "$(gc_removed)" -ne "$removed" ]; do
        [ $SECONDS -lt $until ] || die 'the garbage collection does not end'
    done
}

# kB of the tables of transactions with their indexes.
txn_tables_kb()
{
    psql_bench -c "SELECT (sum(pg_total_relation_size('tikv_internal.' || t)) / 1024)::int8
        FROM unnest(ARRAY['write', 'value', 'lock_slot', 'lock_spill']) t"
}

# Sizes under minutes of overwriting with the garbage collected: grown once to
# hold a life time's versions, they stay.  Samples are in sizes.tsv.
bench_sizes()
{
    local began half=0 end

    step "sizes of tables over $SIZES_SECONDS s"
    set_gc_life ${GC_LIFE_S}s
    began=$SECONDS
    : >"$OUT/sizes.tsv"
    while [ $((SECONDS - began)) -lt "$SIZES_SECONDS" ]; do
        load_store 2pc --inflight 64 >"$OUT/rpc_sizes.txt" 2>&1 ||
            rpc_failed sizes
        end=$(txn_tables_kb)
        printf '%s\t%s\t%s\n' $((SECONDS - began)) "$end" \
            "$(rpc_field sizes ops_per_s)" >>"$OUT/sizes.tsv"
        [ $((2 * (SECONDS - began))) -ge "$SIZES_SECONDS" ] || half=$end
    done
    set_gc_life $NO_GC
    record_value txn_tables_mb $((end / 1024))
    record_value txn_tables_growth "$(awk "BEGIN {printf \"%.3f\", $end / $half}")"
}
