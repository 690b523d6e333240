# shellcheck shell=bash
# hour.sh: an hour of mixed load on one node: does it stay as fast, do its
# tables and its workers stay as large?  Sourced by test/soak.sh.
#
# Gets and puts of spread keys that expire, one hot key, scans and batches, all
# at once, in intervals; in the middle another session holds its snapshot.
# Autovacuum is on.  Per interval: operations of each load, CPU of the server,
# private memory of each worker, size of the table; out/soak has them and the
# plots made of them.

MINUTES=${MINUTES:-60}
INTERVAL_S=${INTERVAL_S:-10}
SOAK_KEYS=${SOAK_KEYS:-50000}
SOAK_TTL_S=${SOAK_TTL_S:-60}

# Where the plots go; docs for those of docs/performance.md.
PLOTS=${PLOTS:-$TOP/out/soak}

SOAK_OUT=$TOP/out/soak
RPC_LOAD=$TOP/out/bin/rpc_load

# What runs beside each other: name, then arguments of rpc_load.
SOAK_LOADS=(
    "get rawget --inflight 8"
    "put rawput --inflight 8 --ttl $SOAK_TTL_S"
    "hot_put rawput --inflight 4 --hot 1 --ttl $SOAK_TTL_S"
    "batch stream-rawput --batch 16 --inflight 32 --ttl $SOAK_TTL_S"
    "scan rawscan --inflight 1 --limit 2000"
)

soak_hour()
{
    local intervals snapshot_from snapshot_to snapshot_s

    [ -x "$RPC_LOAD" ] || make -C "$TOP" PG_CONFIG="$PG_CONFIG" bench-programs
    . "$TOP/test/bench/lib.sh"
    intervals=$((MINUTES * 60 / INTERVAL_S))
    [ $intervals -ge 12 ] || die "MINUTES=$MINUTES is too short for INTERVAL_S=$INTERVAL_S"
    snapshot_s=$((MINUTES * 20))
    [ $snapshot_s -le 600 ] || snapshot_s=600
    snapshot_from=$((intervals / 3))
    snapshot_to=$((snapshot_from + snapshot_s / INTERVAL_S))
    rm -rf "$SOAK_OUT"
    mkdir -p "$SOAK_OUT" "$PLOTS"
    start_node --set tikv.enable_ttl=on --set tikv.server_workers=1 \
        --set shared_buffers=256MB --set max_wal_size=2GB
    SOAK_STORE=127.0.0.1:$((20160 + BASE_PORT))
    POSTMASTER=$(head -n 1 "$DIR/node0/data/postmaster.pid")
    soak_load stream-rawput --batch 128 --inflight 1024 --ttl "$SOAK_TTL_S" \
        --seconds "$INTERVAL_S" >"$SOAK_OUT/fill.txt"
    for INTERVAL in $(seq 1 $intervals); do
        [ "$INTERVAL" -ne $snapshot_from ] || hold_soak_snapshot
        [ "$INTERVAL" -ne $snapshot_to ] || release_soak_snapshot
        soak_interval
    done
    stop_node
    plot_soak $((snapshot_from - 1)) $((snapshot_to - 1))
    awk -f "$TOP/test/soak/judge.awk" -v from=$snapshot_from -v to=$snapshot_to \
        -v n=$intervals -v interval_s="$INTERVAL_S" -v disturbed="${DISTURBED:-}" "$SOAK_OUT/samples.tsv"
}

soak_load()
{
    "$RPC_LOAD" --mode "$1" --addr "$SOAK_STORE" --pd "$TIKV_PD" \
        --keys "$SOAK_KEYS" --warmup 0 "${@:2}"
}

# Values go to samples.tsv: interval, what, name, value.
sample()
{
    printf '%s\t%s\t%s\t%s\n' "$INTERVAL" "$@" >>"$SOAK_OUT/samples.tsv"
}

soak_interval()
{
    local line name loads=() pids=() i ops total=0 ticks before after busy0 busy1 _

    read -r busy0 _ < <(machine_ticks)
    before=$(tree_ticks "$POSTMASTER")
    for line in "${SOAK_LOADS[@]}"; do
        read -ra loads <<<"${line#* }"
        soak_load "${loads[@]}" --seconds "$INTERVAL_S" \
            >"$SOAK_OUT/${line%% *}.txt" 2>&1 &
        pids+=($!)
    done
    for i in "${!pids[@]}"; do
        name=${SOAK_LOADS[i]%% *}
        wait "${pids[i]}" || {
            cat "$SOAK_OUT/$name.txt" >&2
            die "the load $name failed in interval $INTERVAL"
        }
        ops=$(sed -n 's/.*ops_per_s=\([0-9]*\).*/\1/p' "$SOAK_OUT/$name.txt")
        sample rate "$name" "$ops"
        total=$((total + ops))
    done
    after=$(tree_ticks "$POSTMASTER")
    read -r busy1 _ < <(machine_ticks)
    ticks=$((after - before))
    sample rate all $total
    sample cpu server $((ticks * 1000000 / TICK_HZ / (total * INTERVAL_S)))
    sample cpu busy $(((busy1 - busy0) * 100 / TICK_HZ / INTERVAL_S / $(nproc)))
    sample_memory
    sample size raw "$(query "SELECT pg_total_relation_size('tikv_internal.raw') / 1024")"
    sample size index "$(query "SELECT pg_indexes_size('tikv_internal.raw') / 1024")"
    say "interval $INTERVAL: $total operations/s," \
        "table $(query "SELECT pg_size_pretty(pg_total_relation_size('tikv_internal.raw'))")"
}

# The process of each worker: none may end meanwhile.
declare -A SOAK_PIDS

# Private memory in kB: what a leak would be in, whatever of shared_buffers a
# process has touched.
sample_memory()
{
    local worker pid

    while IFS='|' read -r worker pid; do
        [ "${SOAK_PIDS[$worker]:-$pid}" = "$pid" ] ||
            die "the worker $worker has begun anew in interval $INTERVAL"
        SOAK_PIDS[$worker]=$pid
        sample memory "$worker" \
            "$(awk '/^Private_(Clean|Dirty):/{kb += $2} END {print kb}' "/proc/$pid/smaps_rollup")"
    done < <(query "SELECT worker, pid FROM tikv_status()")
}

SOAK_SNAPSHOT=tikv_soak_snapshot

hold_soak_snapshot()
{
    PGAPPNAME=$SOAK_SNAPSHOT "$PG_BINDIR/psql" -X -q \
        -c 'BEGIN ISOLATION LEVEL REPEATABLE READ' -c 'SELECT count(*) FROM pg_class' \
        -c 'SELECT pg_sleep(86400)' >/dev/null 2>&1 &
    sleep 1
    [ "$(query "SELECT count(*) FROM pg_stat_activity
        WHERE application_name = '$SOAK_SNAPSHOT' AND backend_xmin IS NOT NULL")" -eq 1 ] ||
        die 'no session holds a snapshot'
    say 'another session holds its snapshot'
}

release_soak_snapshot()
{
    query "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
        WHERE application_name = '$SOAK_SNAPSHOT'" >/dev/null
    say 'it has let it go'
}

# Plots with the time of the snapshot: name, title, what is plotted.
plot_soak()
{
    local plot

    for plot in 'memory|private memory of each worker, MB|memory|1024' \
        'throughput|operations per second|rate|1' 'size|tikv_internal.raw with its index, MB|size|1024'; do
        IFS='|' read -r name title what unit <<<"$plot"
        awk -f "$TOP/test/soak/plot.awk" -v title="$title" -v what="$what" \
            -v unit="$unit" -v interval_s="$INTERVAL_S" -v from="$1" -v to="$2" \
            "$SOAK_OUT/samples.tsv" >"$PLOTS/soak_$name.svg"
    done
    say "plots: $PLOTS/soak_{memory,throughput,size}.svg"
}
