# shellcheck shell=bash
# fdw.sh: foreign tables beside a local table and postgres_fdw to a loopback
# server.  Sourced by run.sh.

FDW_ROWS=${BENCH_FDW_ROWS:-100000}
FDW_JOIN_ROWS=$((FDW_ROWS / 10))

# One plan for each: the index, and for the join one key after the other.
FDW_OPTIONS="-c enable_seqscan=off -c enable_bitmapscan=off \
-c enable_hashjoin=off -c enable_mergejoin=off -c max_parallel_workers_per_gather=0 \
-c jit=off"

setup_fdw()
{
    step "preparing $FDW_ROWS rows, as a local table and as foreign ones"
    psql_bench -v rows="$FDW_ROWS" -v join_rows="$FDW_JOIN_ROWS" \
        -v port="$PGPORT" -f "$BENCH/sql/fdw_setup.sql" >/dev/null
}

# Run a script, in which TABLE stands for the table: id, name of the script,
# table, settings.
bench_fdw_load()
{
    measure "$1" "$POSTMASTER" "$STORE" run_fdw "$@"
}

run_fdw()
{
    local id=$1 script=$2 table=$3 options=${4:-} log=$OUT/pgbench
    local output=$OUT/pgbench_$1.txt rows=$FDW_ROWS

    # An operation is a row.
    case $script in
        point) rows=1 ;;
        join) rows=$FDW_JOIN_ROWS ;;
    esac
    rm -f "$log".*
    sed "s/TABLE/bench.$table/" "$BENCH/sql/fdw_$script.sql" >"$OUT/fdw.sql"
    PGOPTIONS="$FDW_OPTIONS $options" "$PG_BINDIR/pgbench" -n -M prepared -c 1 \
        -D rows="$FDW_ROWS" -f "$OUT/fdw.sql" -T "$SECONDS_PER_RUN" -l \
        --log-prefix="$log" >"$output" 2>&1 || sql_failed "$id" "$output"
    OPS=$(awk -v n="$rows" '/actually processed/{print $NF * n}' "$output")
    RATE=$(awk -v n="$rows" '/^tps = .*without/{print $3 * n}' "$output")
    read -r P50 P99 < <(pgbench_percentiles "$log")
    rm -f "$log".*
}

bench_fdw()
{
    local script

    for script in point scan insert join; do
        bench_fdw_load "fdw_${script}_local" "$script" local
        bench_fdw_load "fdw_$script" "$script" tikv
        bench_fdw_load "fdw_${script}_loopback" "$script" loopback
    done
    bench_fdw_load fdw_join_single join tikv '-c tikv.lookup_join=off'
}
