# shellcheck shell=bash
# rpc.sh: the parts that the gRPC load generator drives.  Sourced by run.sh.

RPC_LOAD=$TOP/out/bin/rpc_load
ECHO_SERVER=$TOP/out/bin/echo_server
ECHO_ADDR=127.0.0.1:$((20165 + BASE_PORT))
STORE_ADDR=127.0.0.1:$((20160 + BASE_PORT))
ECHO_PID=

start_echo_server()
{
    "$ECHO_SERVER" --addr "$ECHO_ADDR" --value-size "$VALUE_SIZE" \
        >"$OUT/echo_server.txt" 2>&1 &
    ECHO_PID=$!
    sleep 0.5
    kill -0 "$ECHO_PID" 2>/dev/null || {
        cat "$OUT/echo_server.txt" >&2
        die "the echo server does not run"
    }
}

stop_echo_server()
{
    [ -z "$ECHO_PID" ] || kill "$ECHO_PID" 2>/dev/null || :
    ECHO_PID=
}

# Run the generator for some seconds: mode, further arguments.  It has no
# warm-up, so that every operation it makes the server do is counted.
load_rpc()
{
    local mode=$1

    shift
    "$RPC_LOAD" --mode "$mode" --keys "$KEYS" --key-size "$KEY_SIZE" \
        --value-size "$VALUE_SIZE" --seconds "$SECONDS_PER_RUN" --warmup 0 "$@"
}

load_store()
{
    load_rpc "$@" --addr "$STORE_ADDR" --pd "$TIKV_PD"
}

load_echo()
{
    load_rpc "$@" --addr "$ECHO_ADDR"
}

# Write every key, so that a get finds one.
setup_rpc()
{
    local n

    step "writing $KEYS keys over gRPC"
    load_store stream-rawput --batch 128 --inflight 1024 --fill 1 --seconds 1 \
        >"$OUT/rpc_fill.txt" 2>&1 || rpc_failed fill
    n=$(psql_bench -c "SELECT count(*) FROM tikv_scan('key', 'kez', key_only => true)")
    [ "$n" -eq "$KEYS" ] || die "of $KEYS keys written, $n are there"
    psql_bench -c 'VACUUM ANALYZE tikv_internal.raw' -c CHECKPOINT
}

# Measure one load of the store: id, arguments of load_store.
bench_rpc()
{
    measure "$1" "$POSTMASTER" "$STORE" run_rpc load_store "$@"
}

# The same of the echo server, which stores nothing.
bench_echo()
{
    measure "$1" "$ECHO_PID" "$ECHO_PID" run_rpc load_echo "$@"
}

# Run a load for `measure`: function, id, its arguments.
run_rpc()
{
    local load=$1 id=$2

    shift 2
    "$load" "$@" >"$OUT/rpc_$id.txt" 2>&1 || rpc_failed "$id"
    RATE=$(rpc_field "$id" ops_per_s)
    if [ "${RATE:-0}" -eq 0 ] || [ "$(rpc_field "$id" errors)" -ne 0 ]; then
        rpc_failed "$id"
    fi
    OPS=$((RATE * SECONDS_PER_RUN))
    P50=$(rpc_field "$id" p50_us)
    P99=$(rpc_field "$id" p99_us)
}

rpc_failed()
{
    cat "$OUT/rpc_$1.txt" >&2
    die "the load $1 failed"
}

rpc_field()
{
    sed -n "s/.*\b$2=\([0-9.]*\).*/\1/p" "$OUT/rpc_$1.txt" | tail -n 1
}

bench_unary()
{
    bench_echo empty empty --inflight 64
    bench_rpc get rawget --inflight 64
    bench_rpc put rawput --inflight 64
    bench_echo echo_get rawget --inflight 64
}

# A stream keeps 64 commands or 8 batches on their way.
bench_streams()
{
    local batch inflight

    for batch in "${STREAM_BATCHES[@]}"; do
        inflight=$((batch < 8 ? 64 : batch * 8))
        bench_rpc "stream_get_$batch" stream-rawget --batch "$batch" --inflight $inflight
        bench_rpc "stream_put_$batch" stream-rawput --batch "$batch" --inflight $inflight
    done
    bench_echo echo_stream_get_128 stream-rawget --batch 128 --inflight 1024
}

bench_hot()
{
    bench_rpc "hot_put$1" rawput --inflight 64 --hot 1
    bench_rpc "hot_get$1" rawget --inflight 64 --hot 1
}

# A session that has read something and keeps its snapshot.
OLD_SNAPSHOT_NAME=bench_old_snapshot
HOLDER=

hold_snapshot()
{
    PGAPPNAME=$OLD_SNAPSHOT_NAME psql_bench \
        -c 'BEGIN ISOLATION LEVEL REPEATABLE READ' \
        -c 'SELECT count(*) FROM tikv_internal.store_meta' \
        -c 'SELECT pg_sleep(86400)' >/dev/null 2>&1 &
    HOLDER=$!
    sleep 1
    [ "$(holders)" -eq 1 ] || die "no session holds an old snapshot"
}

holders()
{
    psql_bench -c "SELECT count(*) FROM pg_stat_activity
        WHERE application_name = '$OLD_SNAPSHOT_NAME' AND backend_xmin IS NOT NULL"
}

release_snapshot()
{
    psql_bench -c "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
        WHERE application_name = '$OLD_SNAPSHOT_NAME'" >/dev/null
    wait "$HOLDER" || :
}

# Hot keys, raw and of transactions, are overwritten for minutes and then
# measured: first without an old snapshot, then while one grows old.  So both
# have the same behind them, the versions and checkpoints of minutes; the
# second has that of the first in addition.  Once more after its end.
bench_old_snapshot()
{
    step "hot keys overwritten for $OLD_SNAPSHOT_SECONDS s"
    overwrite_hot aged
    bench_overwritten _aged
    step "the same while a snapshot is held"
    hold_snapshot
    overwrite_hot old
    bench_overwritten _old
    [ "$(holders)" -eq 1 ] || die "the old snapshot was lost on the way"
    release_snapshot
    bench_hot _after
    bench_txn_hot _after
}

# Shows and keeps the rates of all spans in overwritten_$1.tsv.
overwrite_hot()
{
    local began=$SECONDS name=overwritten_$1

    : >"$OUT/$name.tsv"
    while [ $((SECONDS - began)) -lt "$OLD_SNAPSHOT_SECONDS" ]; do
        load_store rawput --inflight 64 --hot 1 >"$OUT/rpc_$name.txt" 2>&1 ||
            rpc_failed "$name"
        load_store 2pc --inflight 64 "${TXN_HOT[@]}" \
            >"$OUT/rpc_txn_$name.txt" 2>&1 || rpc_failed "txn_$name"
        printf '%s\t%s\t%s\n' $((SECONDS - began)) \
            "$(rpc_field "$name" ops_per_s)" \
            "$(rpc_field "txn_$name" ops_per_s)" |
            tee -a "$OUT/$name.tsv" | sed 's/^/    /'
    done
}

bench_overwritten()
{
    # shellcheck disable=SC2153 # run.sh sets it
    for ROUND in $(seq 1 "$ROUNDS"); do
        bench_hot "$1"
        bench_txn_hot "$1"
        bench_rpc "put$1" rawput --inflight 64
        bench_rpc "get$1" rawget --inflight 64
    done
    ROUND=1
}
