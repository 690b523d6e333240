#!/usr/bin/env bash
# What takes too long for scripts/check: the package on a new system (as root, with
# the network), many crashes, clients at work on nodes that fail, a node that idles,
# and clients that do, with TLS and without, a table under an old snapshot, the
# sizes of transactions' tables, an hour of mixed load, many seeds of the
# simulation, hours of fuzzing.
#
# usage: test/soak.sh [step...]      ROUNDS=50 IDLE_S=120 SNAPSHOT_S=300 SEEDS=50
# SIZES_S=600 CLIENT_IDLE_S=600 CHAOS_MINUTES=30 GROW_ROUNDS=5 FUZZ_SECONDS=3600
# STREAM_IDLE_S=120 ABUSE_ROUNDS=20 MINUTES=60 PLOTS=docs DISTURBED=1 (others use
# the machine: what an operation costs is judged, not how many there are)

. "$(dirname "${BASH_SOURCE[0]}")/../scripts/lib.sh"

STEPS=(package crash worker_crash txn_crash chaos grow ride failpoints idle idle_streams idle_clients old_snapshot
    sizes hour simulation http2_abuse fdw_asan fuzz_planted fuzz)
BASE_PORT=${BASE_PORT:-7000}
IDLE_LIMIT_PERCENT=0.5
SNAPSHOT_S=${SNAPSHOT_S:-300}

DIR=

. "$TOP/test/soak/hour.sh"

stop_node()
{
    [ -z "$DIR" ] || "$TOP/scripts/cluster" stop --wipe --dir "$DIR"
    DIR=
}

start_node()
{
    DIR=$(make_server_tmp tikv_soak)
    "$TOP/scripts/cluster" start --dir "$DIR" --base-port "$BASE_PORT" "$@"
    eval "$("$TOP/scripts/cluster" env --dir "$DIR")"
}

query()
{
    "$PG_BINDIR/psql" -X -q -At -v ON_ERROR_STOP=1 -c "$1"
}

# The package as it is built now: installed by apt, it serves, and goes.
soak_package()
{
    install_packages debootstrap
    make -C "$TOP" PG_CONFIG="$PG_CONFIG" all
    "$TOP/test/deb.sh"
    BASE_PORT=$BASE_PORT "$TOP/test/fresh.sh" deb
}

soak_crash()
{
    "$TOP/test/faults/run.sh" crash "${ROUNDS:-50}" -mode all
}

soak_worker_crash()
{
    "$TOP/test/faults/run.sh" crash "${ROUNDS:-50}" -mode worker
}

# Versions live so short that readers outlive them: refused, never wrong.
soak_txn_crash()
{
    "$TOP/test/faults/run.sh" txn "${ROUNDS:-50}" -set tikv.gc_life_time=2s
}

# Of one node with times to live, of three with transactions.
soak_chaos()
{
    "$TOP/test/faults/run.sh" chaos 0 -failpoints -minutes "${CHAOS_MINUTES:-30}" -ttl
    "$TOP/test/faults/run.sh" chaos 0 -failpoints -minutes "${CHAOS_MINUTES:-30}" -nodes 3
}

# To five nodes, back to one, and so on.
soak_grow()
{
    "$TOP/test/faults/run.sh" grow "${GROW_ROUNDS:-5}"
}

# Go, Rust and Java at once, while each of three nodes is killed, shut down, stopped.
soak_ride()
{
    "$TOP/test/compat/run.sh" ride
}

# A crash at every failpoint, as each who reaches it.
soak_failpoints()
{
    "$TOP/test/faults/run.sh" failpoints 0 -faults
}

# CPU ticks of all workers so far.
worker_ticks()
{
    local pid total=0 ticks

    for pid in $(query "SELECT pid FROM pg_stat_activity WHERE backend_type LIKE 'tikv %'"); do
        ticks=$(awk '{sub(/.*\) /, ""); print $12 + $13}' "/proc/$pid/stat")
        total=$((total + ticks))
    done
    echo $total
}

# All workers together use next to no CPU when nobody asks for anything.
soak_idle()
{
    local seconds=${IDLE_S:-120} before after

    start_node
    query "SELECT tikv_put('idle', 'v')" >/dev/null
    sleep 10
    before=$(worker_ticks)
    sleep "$seconds"
    after=$(worker_ticks)
    stop_node
    awk -v ticks=$((after - before)) -v hz="$(getconf CLK_TCK)" -v s="$seconds" \
        -v limit=$IDLE_LIMIT_PERCENT 'BEGIN {
            used = 100 * ticks / hz / s
            printf "idle for %d s: %.2f %% of a core (limit %s %%)\n", s, used, limit
            exit used > limit
        }'
}

# Streams on which nothing is said for longer than any proxy, client or kernel
# likes, beside connections that ping.  Without those that do not even answer a
# ping of the server: they are taken for dead after 80 s.
soak_idle_streams()
{
    "$TOP/test/compat/run.sh" build
    start_node
    "$TOP/out/compat/bin/wire/idle" -connections 0 -duration "${STREAM_IDLE_S:-120}s"
    stop_node
}

# Abuse again and again: memory must not creep.
soak_http2_abuse()
{
    ABUSE_ROUNDS=${ABUSE_ROUNDS:-20} make -C "$TOP" PG_CONFIG="$PG_CONFIG" tap \
        TESTS='017_http2_abuse 017_tls_abuse'
}

# Clients that did nothing for ten minutes work on, without TLS and with it.  The
# Go client refuses all reads once it has not learned the safe point for 90 s.
soak_idle_clients()
{
    local certs

    "$TOP/test/compat/run.sh" build
    idle_clients plain
    certs=$(make_server_tmp tikv_certs)
    idle_clients tls --tls "$certs"
    rm -rf "$certs"
    unset TIKV_CA TIKV_CERT TIKV_KEY
}

# usage: idle_clients NAME [option of scripts/cluster start...]
idle_clients()
{
    local quiet=${CLIENT_IDLE_S:-600} bin=$TOP/out/compat/bin java=$TOP/test/compat/java/target
    local name=$1 logs=$TOP/out/compat client pids=() pid

    shift
    start_node "$@"
    for client in go go-2022; do
        "$bin/$client/txncheck" -idle "${quiet}s" >"$logs/$client-idle-$name.log" 2>&1 &
        pids+=($!)
    done
    "$TOP/test/compat/rust/target/debug/compat" idle "$quiet" >"$logs/rust-idle-$name.log" 2>&1 &
    pids+=($!)
    java -cp "$java/classes:$java/lib/*" compat.Main idle "$quiet" >"$logs/java-idle-$name.log" 2>&1 &
    pids+=($!)
    for pid in "${pids[@]}"; do
        wait "$pid" ||
            die "a client does not work after $quiet s: see out/compat/*-idle-$name.log"
    done
    tail -qn 1 "$logs"/*-idle-"$name".log
    stop_node
}

# One key overwritten while another session holds its snapshot: the rate must
# not collapse, and the table must shrink to use again afterwards.
soak_old_snapshot()
{
    local free busy pid

    start_node
    query "CREATE PROCEDURE hammer(n int) LANGUAGE plpgsql AS
        \$\$ BEGIN FOR i IN 1 .. n LOOP PERFORM tikv_put('hot', i::text::bytea); END LOOP; END \$\$"
    query 'CALL hammer(2000)'
    free=$(time_hammer 5000)
    query "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM pg_class;
        SELECT pg_sleep($SNAPSHOT_S)" >/dev/null &
    pid=$!
    sleep 1
    busy=$(time_hammer 5000)
    while kill -0 $pid 2>/dev/null; do
        query 'CALL hammer(2000)'
    done
    wait $pid || :
    query 'VACUUM tikv_internal.raw'
    say "5000 overwrites of a key: $free ms; under an old snapshot: $busy ms;" \
        "table after $SNAPSHOT_S s of them:" \
        "$(query "SELECT pg_size_pretty(pg_relation_size('tikv_internal.raw'))")"
    stop_node
    [ "$busy" -le $((free * 4)) ] ||
        die "an old snapshot slows overwrites of one key more than fourfold"
}

time_hammer()
{
    local began

    began=$(date +%s%3N)
    query "CALL hammer($1)"
    echo $(($(date +%s%3N) - began))
}

# Minutes of overwriting in transactions with the garbage collected: tables and
# indexes grow to hold a life time's versions, and no further.
soak_sizes()
{
    make -C "$TOP" PG_CONFIG="$PG_CONFIG" bench-programs
    BENCH_SIZES_SECONDS=${SIZES_S:-600} BENCH_ROUNDS=0 \
        "$TOP/test/bench/run.sh" full sizes
    awk -F'\t' '$2 == "txn_tables_growth" {
            printf "sizes at the end by half-time: %s (limit 1.1)\n", $4
            exit $4 > 1.1
        }' "$TOP/out/bench/results.tsv"
}

soak_simulation()
{
    local seed

    for seed in $(seq 1 "${SEEDS:-50}"); do
        make -s -C "$TOP" sim SEED="$seed" || die "make sim SEED=$seed fails"
    done
}

# Can the fuzzer find bugs at all?
# SQL, foreign tables and the workers under ASan and UBSan.
soak_fdw_asan()
{
    make -C "$TOP" -j"$(nproc)" PG_CONFIG="$PG_CONFIG" BASE_PORT="$BASE_PORT" fdw-asan
}

soak_fuzz_planted()
{
    make -C "$TOP" PG_CONFIG="$PG_CONFIG" fuzz-planted
}

# An hour for each decoder; the corpora grow from run to run.
soak_fuzz()
{
    make -C "$TOP" -j"$(nproc)" PG_CONFIG="$PG_CONFIG" fuzz-build
    make -C "$TOP" PG_CONFIG="$PG_CONFIG" fuzz SECONDS="${FUZZ_SECONDS:-3600}"
}

need_postgres
trap stop_node EXIT
[ $# -gt 0 ] || set -- "${STEPS[@]}"
for name in "$@"; do
    step "$name"
    "soak_$name"
done
