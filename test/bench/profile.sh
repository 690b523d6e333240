# shellcheck shell=bash
# profile.sh: where the store's time goes, by perf.  Sourced by run.sh.

# Sampling by a timer works where a virtual machine has no counters.
PROFILE_HZ=1999
PROFILE_TOP=25

# Profile the store under one load: id, arguments of load_store.
profile_load()
{
    local id=$1 data=$OUT/perf.data

    shift
    step "profile of $id"
    load_store "$@" >"$OUT/rpc_$id.txt" 2>&1 &
    LOAD=$!
    sleep 1
    perf record -q -e cpu-clock -F $PROFILE_HZ -g -p "$STORE" -o "$data" \
        -- sleep $((SECONDS_PER_RUN - 2)) >"$OUT/perf.txt" 2>&1 || {
        cat "$OUT/perf.txt" >&2
        die "perf failed"
    }
    wait "$LOAD" || rpc_failed "$id"
    {
        perf_table "$data" dso 12
        echo
        perf_table "$data" symbol,dso $PROFILE_TOP
    } | tee "$OUT/profile_$id.txt"
    perf_table "$data" symbol 120 --children >"$OUT/profile_${id}_children.txt"
    rm -f "$data"
}

# The head of a report: data, columns, rows, further arguments.  Names of C++
# are cut.
perf_table()
{
    local data=$1 columns=$2 rows=$3

    shift 3
    [ $# -gt 0 ] || set -- --no-children
    perf report -i "$data" "$@" --sort "$columns" --stdio -g none -t '|' \
        2>/dev/null | awk -F'|' -v rows="$rows" '
        /^#/ || NF < 2 {next}
        {
            for (i = 1; i <= NF; i++)
                gsub(/^ +| +$/, "", $i)
            printf "%8s  %s%s\n", $1, substr($2, 1, 64), (NF > 2 ? "  " $3 : "")
            if (++n == rows)
                exit
        }' || :
}

bench_profile()
{
    command -v perf >/dev/null || die "perf is missing: apt-get install linux-perf"
    profile_load get rawget --inflight 64
    profile_load put rawput --inflight 64
    profile_load stream_get_128 stream-rawget --batch 128 --inflight 1024
    profile_load stream_put_128 stream-rawput --batch 128 --inflight 1024
    profile_load txn_get get --inflight 64
    profile_load txn_1pc 1pc --inflight 64
    profile_load txn_2pc 2pc --inflight 64
    profile_load stream_txn_2pc_128 stream-2pc --batch 128 --inflight 1024
    profile_load hot_put rawput --inflight 64 --hot 1
}
