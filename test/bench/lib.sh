# shellcheck shell=bash
# lib.sh: how the benchmark measures.  Sourced by run.sh.
#
# A measurement runs one load and notes what came out of it beside what the
# server's processes spent meanwhile.  Times of processes come from /proc, in
# clock ticks; the server is a process and all its children, ended ones
# included, so backends of a load count although they are gone afterwards.

OUT=$TOP/out/bench
RESULTS=$OUT/results.tsv
BASE_PORT=${BASE_PORT:-8000}

CLUSTER_DIR=
TICK_HZ=$(getconf CLK_TCK)

# ------------------------------------------------------------- processes

# CPU ticks so far of the processes $1 ("12,34") and of all their children.
tree_ticks()
{
    # A process may end in the middle of this.
    { cat /proc/[0-9]*/stat 2>/dev/null || :; } | awk -v roots="$1" '
        BEGIN {
            for (i = split(roots, list, ","); i > 0; i--)
                root[list[i]]
        }
        {
            pid = $1
            sub(/^.*\) /, "")
            if (pid in root)
                ticks += $12 + $13 + $14 + $15
            else if ($2 in root)
                ticks += $12 + $13
        }
        END { print ticks + 0 }'
}

# CPU ticks so far of the process $1 alone.
process_ticks()
{
    awk '{sub(/^.*\) /, ""); print $12 + $13}' "/proc/$1/stat"
}

# Ticks that the machine was not idle, and those that its host took from it.
machine_ticks()
{
    awk '/^cpu /{print $2 + $3 + $4 + $7 + $8, $9; exit}' /proc/stat
}

# Nanoseconds that all threads of the processes named have run: finer than
# ticks, for what idles.
processes_ns()
{
    local pid

    for pid in "$@"; do
        cat /proc/"$pid"/task/*/schedstat 2>/dev/null || :
    done | awk '{ns += $1} END {printf "%.0f\n", ns}'
}

# The processes whose parent is $1.  From /proc as well: a system without
# procps has no pgrep.
children_of()
{
    { cat /proc/[0-9]*/stat 2>/dev/null || :; } | awk -v parent="$1" '
        {
            pid = $1
            sub(/^.*\) /, "")
            if ($2 == parent)
                print pid
        }'
}

# kB of memory of the process $1 and its children, what is shared divided.
tree_pss_kb()
{
    local pid children=()

    mapfile -t children < <(children_of "$1")
    [ ${#children[@]} -gt 0 ] || die "process $1 has no children to measure"
    for pid in "$1" "${children[@]}"; do
        cat /proc/"$pid"/smaps_rollup 2>/dev/null || :
    done | awk '/^Pss:/{kb += $2} END {print kb + 0}'
}

# --------------------------------------------------------------- cluster

psql_bench()
{
    "$PG_BINDIR/psql" -X -q -At -v ON_ERROR_STOP=1 "$@"
}

postmaster_pid()
{
    head -n 1 "$CLUSTER_DIR/node0/data/postmaster.pid"
}

worker_pids()
{
    psql_bench -c "SELECT pid FROM pg_stat_activity
        WHERE backend_type LIKE 'tikv%' ORDER BY pid"
}

store_pid()
{
    psql_bench -c "SELECT pid FROM tikv_status() WHERE worker = 'store'"
}

start_cluster()
{
    CLUSTER_DIR=$(make_server_tmp tikv_bench)
    "$TOP/scripts/cluster" start --dir "$CLUSTER_DIR" --base-port "$BASE_PORT" \
        "${CLUSTER_SETTINGS[@]}"
    eval "$("$TOP/scripts/cluster" env --dir "$CLUSTER_DIR")"
    find_processes
}

find_processes()
{
    POSTMASTER=$(postmaster_pid)
    STORE=$(store_pid)
    [ -n "$STORE" ] || die "there is no store in tikv_status()"
}

# The cluster's last words stay when something failed.
stop_cluster()
{
    [ -n "$CLUSTER_DIR" ] || return 0
    cp "$CLUSTER_DIR/node0/log" "$OUT/server.log" 2>/dev/null || :
    "$TOP/scripts/cluster" stop --wipe --dir "$CLUSTER_DIR" || :
    CLUSTER_DIR=
}

# ----------------------------------------------------------- measurements

# Round of the measurements that follow; ratios are taken within a round.
ROUND=1

note()
{
    printf '    %s\n' "$*"
}

# A single figure: id, value.
record_value()
{
    [ -n "$2" ] || die "there is no value for $1"
    printf 'value\t%s\t%s\t%s\n' "$1" "$ROUND" "$2" >>"$RESULTS"
    note "$1: $2"
}

# CPU ticks of what this shell has run and waited for.
client_ticks()
{
    awk '{sub(/^.*\) /, ""); print $14 + $15}' /proc/$$/stat
}

# Wait, though not for ever, until others leave the machine alone.
wait_for_quiet()
{
    local until=$((SECONDS + QUIET_WAIT_SECONDS)) before after

    while [ $SECONDS -lt $until ]; do
        read -r before _ < <(machine_ticks)
        sleep 0.5
        read -r after _ < <(machine_ticks)
        if [ $((after - before)) -le $((TICK_HZ * $(nproc) * MAX_OTHERS / 200)) ]; then
            return
        fi
    done
}

# Measure one load: id, server (or "12,34"), one process of it to watch, then the command
# that runs the load.  The command leaves the operations done in OPS, their
# rate in RATE, latencies in P50 and P99, and in SETUP_TICKS what the server
# spent on the load's preparation.  A load that others disturbed is repeated,
# a few times at most; the least disturbed one counts.
measure()
{
    local id=$1 try least best=

    shift
    for try in $(seq 1 "$TRIES"); do
        wait_for_quiet
        measure_begin "$1" "$2"
        SETUP_TICKS=0
        "${@:3}"
        measure_end
        if [ -z "$best" ] || [ "$OTHERS" -lt "$least" ]; then
            least=$OTHERS
            best=$(result_of "$id")
        fi
        [ "$least" -gt "$MAX_OTHERS" ] || break
        [ "$try" -eq "$TRIES" ] ||
            note "$id: others took $OTHERS % of the machine, once more"
    done
    printf '%s\n' "$best" >>"$RESULTS"
    printf '%s\n' "$best" | awk -F'\t' '{
        printf "    %-20s %7.0f/s  p50 %5.0f us  p99 %6.0f us  server %6.2f us/op  client %5.2f us/op  others %2.0f %%\n",
            $2, $4, $5, $6, $7, $9, $10
    }'
}

measure_begin()
{
    SERVER=$1
    WATCHED=$2
    # What the load before left to do must not count here.
    sleep 0.3
    read -r BUSY0 STOLEN0 < <(machine_ticks)
    SERVER0=$(tree_ticks "$SERVER")
    WATCHED0=$(process_ticks "$WATCHED")
    CLIENT0=$(client_ticks)
    BEGAN=$EPOCHREALTIME
}

measure_end()
{
    local seconds busy stolen all

    seconds=$(awk "BEGIN {print $EPOCHREALTIME - $BEGAN}")
    read -r busy stolen < <(machine_ticks)
    # Backends end a little after their client.
    sleep 0.2
    SERVER_TICKS=$(($(tree_ticks "$SERVER") - SERVER0 - SETUP_TICKS))
    WATCHED_TICKS=$(($(process_ticks "$WATCHED") - WATCHED0))
    CLIENT_TICKS=$(($(client_ticks) - CLIENT0))
    all=$(awk "BEGIN {print int($seconds * $TICK_HZ * $(nproc))}")
    OTHERS=$((100 * (busy - BUSY0 + stolen - STOLEN0 - SERVER_TICKS -
        SETUP_TICKS - CLIENT_TICKS) / all))
    [ $OTHERS -ge 0 ] || OTHERS=0
}

# The line of the results.
result_of()
{
    awk -v OFS='\t' -v id="$1" -v round="$ROUND" -v rate="$RATE" -v p50="$P50" \
        -v p99="$P99" -v us="$(awk "BEGIN {print 1e6 / $TICK_HZ / $OPS}")" \
        -v server="$SERVER_TICKS" -v watched="$WATCHED_TICKS" \
        -v client="$CLIENT_TICKS" -v others="$OTHERS" 'BEGIN {
            print "load", id, round, sprintf("%.0f", rate), p50, p99,
                sprintf("%.2f", server * us), sprintf("%.2f", watched * us),
                sprintf("%.2f", client * us), others
        }'
}
