# shellcheck shell=bash
# more.sh: timestamps, scans, and what TLS costs.  Sourced by run.sh.

TSO_LOAD=$TOP/out/bin/tso_load
SCAN_PAIRS=$((KEYS < 20000 ? KEYS / 2 : 10000))
TLS_PORT=$((BASE_PORT + 30)) # its node stands beside the others
TLS_DIR=
TLS_CERTS=

# ------------------------------------------------------------ timestamps

load_tso()
{
    "$TSO_LOAD" --pd "$TIKV_PD" --seconds "$SECONDS_PER_RUN" --streams 16 "$@"
}

bench_tso()
{
    measure tso_1 "$POSTMASTER" "$(pd_pid)" run_rpc load_tso tso_1 --count 1
    record_value tso_requests_per_s "$(rpc_field tso_1 ops_per_s)"
    measure tso_64 "$POSTMASTER" "$(pd_pid)" run_rpc load_tso tso_64 --count 64
    record_value tso_timestamps_per_s "$(rpc_field tso_64 timestamps_per_s)"
}

pd_pid()
{
    psql_bench -c "SELECT pid FROM tikv_status() WHERE worker = 'pd'"
}

# ----------------------------------------------------------------- scans

SCANS=(--inflight 4 --connections 4 --limit "$SCAN_PAIRS")

# Scans by themselves; then gets alone, and beside scans.
bench_scan()
{
    local scans answer=0

    bench_rpc scan rawscan "${SCANS[@]}"
    record_value scan_mb_per_s "$(rpc_field scan mb_per_s)"
    if wants_txn; then
        bench_rpc txn_scan scan "${SCANS[@]}"
        record_value txn_scan_mb_per_s "$(rpc_field txn_scan mb_per_s)"
    fi
    bench_rpc get_4 rawget --inflight 4
    load_store rawscan "${SCANS[@]}" --seconds $((SECONDS_PER_RUN + 2)) \
        >"$OUT/rpc_scan_beside.txt" 2>&1 &
    scans=$!
    sleep 1
    TRIES=1 bench_rpc get_beside_scans rawget --inflight 4
    wait $scans || answer=$?
    [ $answer -eq 0 ] || rpc_failed scan_beside
}

# ------------------------------------------------------------------- TLS

load_tls()
{
    load_rpc "$@" --addr "127.0.0.1:$((20160 + TLS_PORT))" \
        --pd "127.0.0.1:$((2379 + TLS_PORT))" --tls "$TLS_CERTS"
}

setup_tls()
{
    step "a node with TLS, and $KEYS keys"
    TLS_CERTS=$(make_server_tmp tikv_bench_certs)
    TLS_DIR=$(make_server_tmp tikv_bench_tls)
    "$TOP/scripts/cluster" start --dir "$TLS_DIR" --base-port $TLS_PORT \
        --tls "$TLS_CERTS" "${CLUSTER_SETTINGS[@]}"
    TLS_POSTMASTER=$(head -n 1 "$TLS_DIR/node0/data/postmaster.pid")
    TLS_STORE=$(psql_bench -p $((54321 + TLS_PORT)) \
        -c "SELECT pid FROM tikv_status() WHERE worker = 'store'")
    load_tls stream-rawput --batch 128 --inflight 1024 --fill 1 --seconds 1 \
        >"$OUT/rpc_fill_tls.txt" 2>&1 || rpc_failed fill_tls
}

measure_tls()
{
    measure "$1" "$TLS_POSTMASTER" "$TLS_STORE" run_rpc load_tls "$@"
}

# What they are compared with runs in the same round.
bench_tls()
{
    measure_tls tls_get rawget --inflight 64
    measure_tls tls_put rawput --inflight 64
    ! wants streams ||
        measure_tls tls_stream_get_128 stream-rawget --batch 128 --inflight 1024
}

stop_tls()
{
    [ -n "$TLS_DIR" ] || return 0
    "$TOP/scripts/cluster" stop --wipe --dir "$TLS_DIR" || :
    rm -rf "$TLS_CERTS"
    TLS_DIR=
}
