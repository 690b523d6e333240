# shellcheck shell=bash
# sql.sh: the parts that pgbench drives.  Sourced by run.sh.

# The value that pgbench writes, as SQL text.
sql_value()
{
    printf '\\x%s' "$(printf '%*s' $((VALUE_SIZE * 2)) '' | tr ' ' 7)"
}

setup_sql()
{
    step "preparing $KEYS rows, as a plain table and as raw keys"
    psql_bench -v keys="$KEYS" -v value="$(sql_value)" -f "$BENCH/sql/setup.sql" \
        >/dev/null
}

run_pgbench()
{
    local script=$1 clients=$2

    shift 2
    "$PG_BINDIR/pgbench" -n -M prepared -c "$clients" \
        -j "$((clients < 2 ? 1 : 2))" -D keys="$KEYS" -D value="$(sql_value)" \
        -f "$BENCH/sql/$script.sql" "$@"
}

# Percentiles of pgbench's own log of single transactions, in microseconds.
pgbench_percentiles()
{
    cat "$1".* | awk '{print $3}' | sort -n | awk '
        {us[NR] = $1}
        END {
            if (NR == 0)
                exit 1
            print us[int((NR - 1) * 0.5) + 1], us[int((NR - 1) * 0.99) + 1]
        }'
}

# Ticks of the server for the clients' connections and first statements.
connection_ticks()
{
    local before

    before=$(tree_ticks "$POSTMASTER")
    run_pgbench "$1" "$2" -t 1 >"$OUT/pgbench_connect.txt" 2>&1 ||
        sql_failed "$1" "$OUT/pgbench_connect.txt"
    sleep 0.2
    echo $(($(tree_ticks "$POSTMASTER") - before))
}

# Measure a pgbench script: id, script, number of clients.
bench_sql()
{
    measure "$1" "$POSTMASTER" "$STORE" run_sql "$@"
}

run_sql()
{
    local id=$1 script=$2 clients=$3 log=$OUT/pgbench output=$OUT/pgbench_$1.txt

    rm -f "$log".*
    SETUP_TICKS=$(connection_ticks "$script" "$clients")
    run_pgbench "$script" "$clients" -T "$SECONDS_PER_RUN" -l \
        --log-prefix="$log" --sampling-rate=0.1 >"$output" 2>&1 ||
        sql_failed "$id" "$output"
    OPS=$(awk '/actually processed/{print $NF + 0}' "$output")
    RATE=$(awk '/^tps = .*without/{print $3}' "$output")
    read -r P50 P99 < <(pgbench_percentiles "$log")
    rm -f "$log".*
    # The run connects once more than is known of; both are taken off.
    SETUP_TICKS=$((2 * SETUP_TICKS))
}

sql_failed()
{
    cat "$2" >&2
    die "pgbench $1 failed"
}
