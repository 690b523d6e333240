#!/usr/bin/env bash
# Benchmarks of a throw-away node beside what they are compared with, in one
# run; prints a table of ratios and keeps it in out/bench/results.md.
#
# usage: test/bench/run.sh [full|quick|profile] [part...]
#   parts: build first_put idle unary streams txn txn_streams old_snapshot ycsb
#   tso scan tls replicas groups gc sizes sql fdw (default: all but sizes; quick
#   leaves out build, ycsb and replicas)
#
# full     what docs/performance.md shows; about 45 minutes
# quick    two minutes: does everything work?  Its figures say little, and
#          of streams it sees those with large messages only
# profile  where the store's time goes, by perf
#
# From the environment: QUICK=1 and MODE= choose as the first argument does,
# BENCH_OLD_SNAPSHOT_SECONDS how long a snapshot is held (quick 5, full 300),
# BENCH_SIZES_SECONDS how long sizes are watched (600),
# BENCH_SECONDS the length of one load, BENCH_ROUNDS how often each is run,
# BENCH_GROUPS into how many groups three nodes are split ("1000 10000"),
# BENCH_KEYS how many keys there are, BENCH_TRIES how often a load is repeated
# that others on the machine disturbed (BENCH_MAX_OTHERS, per cent of it),
# BENCH_QUIET_WAIT_SECONDS how long to wait for a quiet moment before it,
# BASE_PORT what is added to the ports of the node (8000).
#
# Measures what is installed in the server (make install).

BENCH=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$BENCH/../../scripts/lib.sh"
. "$BENCH/lib.sh"
. "$BENCH/node.sh"
. "$BENCH/rpc.sh"
. "$BENCH/sql.sh"
. "$BENCH/fdw.sh"

MODE=${MODE:-full}
[ -z "${QUICK:-}" ] || MODE=quick
case ${1:-} in
    full | quick | profile)
        MODE=$1
        shift
        ;;
    -*)
        sed -n '2,/^$/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
        exit 0
        ;;
esac

case $MODE in
    full)
        KEYS=${BENCH_KEYS:-200000}
        ROUNDS=${BENCH_ROUNDS:-5}
        SECONDS_PER_RUN=${BENCH_SECONDS:-5}
        OLD_SNAPSHOT_SECONDS=${BENCH_OLD_SNAPSHOT_SECONDS:-300}
        TRIES=${BENCH_TRIES:-3}
        QUIET_WAIT_SECONDS=${BENCH_QUIET_WAIT_SECONDS:-10}
        IDLE_SECONDS=30
        FIRST_PUTS=5
        STREAM_BATCHES=(1 16 128)
        PARTS=(build first_put idle unary streams txn txn_streams old_snapshot
            ycsb tso scan tls replicas groups gc sql fdw)
        read -ra GROUP_COUNTS <<<"${BENCH_GROUPS:-1000 10000}"
        GROUPS_SECONDS=60
        ;;
    quick)
        KEYS=${BENCH_KEYS:-20000}
        ROUNDS=${BENCH_ROUNDS:-1}
        SECONDS_PER_RUN=${BENCH_SECONDS:-1}
        OLD_SNAPSHOT_SECONDS=${BENCH_OLD_SNAPSHOT_SECONDS:-5}
        TRIES=${BENCH_TRIES:-1}
        QUIET_WAIT_SECONDS=0
        IDLE_SECONDS=5
        FIRST_PUTS=1
        STREAM_BATCHES=(128)
        PARTS=(first_put idle unary streams txn txn_streams old_snapshot tso
            scan tls groups gc sql fdw)
        read -ra GROUP_COUNTS <<<"${BENCH_GROUPS:-200}"
        GROUPS_SECONDS=5
        ;;
    profile)
        KEYS=${BENCH_KEYS:-200000}
        ROUNDS=1
        SECONDS_PER_RUN=${BENCH_SECONDS:-10}
        PARTS=(profile)
        ;;
    *) die "no mode '$MODE' (see $0 --help)" ;;
esac
[ $# -eq 0 ] || PARTS=("$@")

SIZES_SECONDS=${BENCH_SIZES_SECONDS:-600}
MAX_OTHERS=${BENCH_MAX_OTHERS:-15}
KEY_SIZE=16
VALUE_SIZE=100
WRITERS=64
SQL_CLIENTS=4

. "$BENCH/txn.sh"
. "$BENCH/ycsb.sh"
. "$BENCH/more.sh"
. "$BENCH/replicas.sh"
. "$BENCH/groups.sh"
. "$BENCH/profile.sh"

# Memory for all keys, no checkpoint in the middle of a load, and one region for
# all: the loads know no other.
CLUSTER_SETTINGS=(
    --set shared_buffers=1GB
    --set max_wal_size=8GB
    --set checkpoint_timeout=1h
    --set max_connections=200
    --set tikv.region_split_size=0 --set tikv.region_split_keys=1000000000
)

finish()
{
    local answer=$?

    trap - EXIT ERR
    stop_echo_server
    stop_tls
    stop_replicas
    stop_groups
    stop_cluster
    [ $answer -eq 0 ] || warn "failed; output of the parts is in out/bench"
    exit $answer
}

wants()
{
    local part

    for part in "${PARTS[@]}"; do
        [ "$part" != "$1" ] || return 0
    done
    return 1
}

# Is there a part that compares with unary calls?
wants_rpc()
{
    wants unary || wants streams || wants_txn || wants sql || wants tso ||
        wants scan || wants tls || wants replicas || wants profile
}

wants_txn()
{
    wants txn || wants txn_streams || wants old_snapshot || wants ycsb ||
        wants gc || wants sizes || wants profile
}

check_parts()
{
    local part

    for part in "${PARTS[@]}"; do
        case $part in
            build | first_put | idle | unary | streams | txn) ;;
            txn_streams | old_snapshot | ycsb | gc | sizes | sql | fdw | profile) ;;
            tso | scan | tls | replicas | groups) ;;
            *) die "no part '$part' (see $0 --help)" ;;
        esac
    done
}

# What stands side by side in a row of the table runs in the same round.
run_rounds()
{
    for ROUND in $(seq 1 "$ROUNDS"); do
        step "round $ROUND of $ROUNDS, $SECONDS_PER_RUN s each"
        bench_unary
        ! wants txn || bench_txn
        if wants unary || wants old_snapshot; then
            bench_hot ''
        fi
        ! wants old_snapshot || bench_txn_hot ''
        ! wants streams || bench_streams
        ! wants txn_streams || bench_txn_streams
        ! wants ycsb || bench_ycsb
        ! wants tso || bench_tso
        ! wants scan || bench_scan
        ! wants tls || bench_tls
        ! wants replicas || bench_replicas
        if wants sql; then
            bench_sql pg_upsert upsert $WRITERS
            bench_sql pg_select select $SQL_CLIENTS
            bench_sql sql_get get $SQL_CLIENTS
            bench_sql sql_put put $WRITERS
        fi
    done
    ROUND=1
}

run_parts()
{
    ! wants build || bench_build
    start_cluster
    ! wants first_put || bench_first_put "$FIRST_PUTS"
    ! wants idle || bench_idle "$IDLE_SECONDS"
    ! wants sql || setup_sql
    ! wants_rpc || setup_rpc
    ! wants_txn || setup_txn
    ! wants ycsb || setup_ycsb
    ! wants tls || setup_tls
    ! wants replicas || setup_replicas
    ! wants profile || bench_profile
    if wants_rpc && ! wants profile; then
        start_echo_server
        run_rounds
    fi
    ! wants old_snapshot || bench_old_snapshot
    ! wants gc || run_gc
    ! wants groups || bench_groups
    ! wants fdw || run_fdw_rounds
    ! wants sizes || bench_sizes
}

run_fdw_rounds()
{
    setup_fdw
    for ROUND in $(seq 1 "$ROUNDS"); do
        bench_fdw
    done
    ROUND=1
}

run_gc()
{
    for ROUND in $(seq 1 "$ROUNDS"); do
        bench_gc
    done
    ROUND=1
}

print_machine()
{
    printf 'Machine: %s cores, %s, %s GB; Linux %s; %s; gRPC %s.\n' "$(nproc)" \
        "$(awk -F': ' '/^model name/{print $2; exit}' /proc/cpuinfo)" \
        "$(awk '/^MemTotal/{printf "%.0f", $2 / 1048576}' /proc/meminfo)" \
        "$(uname -r | sed 's/-.*//')" "$("$PG_BINDIR/postgres" --version)" \
        "$(pkg-config --modversion grpc 2>/dev/null || echo '?')"
    printf 'Load: %s keys of %s bytes, values of %s bytes; %s round(s) of %s s.\n\n' \
        "$KEYS" "$KEY_SIZE" "$VALUE_SIZE" "$ROUNDS" "$SECONDS_PER_RUN"
}

print_results()
{
    print_machine
    awk -v max_others="$MAX_OTHERS" -f "$BENCH/report.awk" "$BENCH/rows.txt" "$RESULTS"
    ! wants groups || print_groups
}

# One function, so that the whole script has been read before it begins.
main()
{
    local program

    need_postgres
    check_parts
    is_installed ||
        warn "what is installed is not what was built last: measuring the former"
    for program in "$RPC_LOAD" "$ECHO_SERVER" "$TSO_LOAD"; do
        [ -x "$program" ] || die "$program is not built: start with make bench"
    done
    mkdir -p "$OUT"
    : >"$RESULTS"
    trap finish EXIT
    trap 'exit 130' INT TERM
    set -E
    trap 'warn "${BASH_SOURCE[0]}:$LINENO: failed: $BASH_COMMAND"' ERR
    run_parts
    stop_echo_server
    stop_tls
    stop_replicas
    stop_groups
    stop_cluster
    [ "$MODE" = profile ] || print_results | tee "$OUT/results.md"
}

main
