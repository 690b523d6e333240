# shellcheck shell=bash
# groups.sh: what three nodes spend on groups that have nothing to do.  Sourced
# by run.sh.
#
# One cluster is split further and further.  When all groups sleep on all
# nodes, the CPU time of each worker is taken for a minute, from the scheduler's
# nanoseconds, and the memory.  A node that is named stands for all: it is the
# one that spends most.

GROUPS_PORT=$((BASE_PORT + 200)) # its nodes stand beside the others
GROUPS_DIR=
THIRD=1000000000 # between the numbers of the keys of two thirds
GROUPS_SETTINGS=(--set max_wal_size=8GB --set checkpoint_timeout=1h)

groups_psql()
{
    local node=$1

    shift
    psql_bench -h 127.0.0.1 -p $((54321 + GROUPS_PORT + node)) -U postgres "$@"
}

start_groups()
{
    local node until=$((SECONDS + 120))

    step 'three nodes with one group'
    GROUPS_DIR=$(make_server_tmp tikv_bench_groups)
    "$TOP/scripts/cluster" start --dir "$GROUPS_DIR" --nodes 3 \
        --base-port $GROUPS_PORT "${GROUPS_SETTINGS[@]}"
    for node in 0 1 2; do
        until [ "$(groups_psql "$node" -c "SELECT count(*) FROM tikv.raft
                WHERE role IN ('leader', 'follower')")" = 3 ]; do
            [ $SECONDS -lt $until ] || die "no three voters on node $node"
            sleep 0.5
        done
    done
}

stop_groups()
{
    [ -n "$GROUPS_DIR" ] || return 0
    for node in 0 1 2; do
        cp "$GROUPS_DIR/node$node/log" "$OUT/groups_node$node.log" 2>/dev/null || :
    done
    "$TOP/scripts/cluster" stop --wipe --dir "$GROUPS_DIR" || :
    GROUPS_DIR=
}

# Where PD leads: the client neither follows redirections nor asks others.
groups_pd()
{
    groups_psql 0 -c "SELECT regexp_replace(client_urls[1], '^https?://', '')
        FROM tikv.members WHERE is_leader"
}

# Until every node has $1 groups and all sleep, three looks in a row: a transfer
# wakes its group again.
wait_for_sleep()
{
    local until=$((SECONDS + 300 + $1 / 4)) looks=0 asleep

    while [ $looks -lt 3 ]; do
        asleep=$(for node in 0 1 2; do
            groups_psql "$node" -c "SELECT count(*) FROM tikv.raft
                WHERE is_local AND hibernates"
        done | paste -sd' ')
        if [ "$asleep" = "$1 $1 $1" ]; then
            looks=$((looks + 1))
        else
            looks=0
        fi
        [ $SECONDS -lt $until ] || die "of $1 groups there sleep $asleep"
        sleep 2
    done
}

# Until a round of the garbage collection has gone by on every node without a
# pass over the versions: who comes to lead a region does not know what is in it,
# so there is one pass after each split, and none afterwards.  A node that has led
# nothing so far has made none, which is NULL.  Rounds are a minute apart: more than
# quick has.
wait_for_collection()
{
    local until=$((SECONDS + 300)) node

    [ "$MODE" != quick ] || return 0
    for node in 0 1 2; do
        until [ "$(groups_psql "$node" -c "SELECT step = 'idle' AND gc_safe_point > coalesce(collected, 0)
                FROM tikv.gc")" = t ]; do
            [ $SECONDS -lt $until ] || die "node $node still collects garbage"
            sleep 2
        done
    done
}

# Lines: node, worker, nanoseconds of CPU so far, kB of memory of its own.
groups_workers()
{
    local node worker pid

    for node in 0 1 2; do
        groups_psql "$node" -F ' ' -c "SELECT replace(worker, ' ', '_'), pid FROM tikv_status()
                WHERE pid IS NOT NULL ORDER BY worker" |
            while read -r worker pid; do
                printf '%s %s %s %s\n' "$node" "$worker" "$(processes_ns "$pid")" \
                    "$(awk '/^Anonymous:/{print $2}' "/proc/$pid/smaps_rollup")"
            done
    done
}

groups_pss_kb()
{
    tree_pss_kb "$(head -n 1 "$GROUPS_DIR/node$1/data/postmaster.pid")"
}

# A line for the table: groups, node, worker, % of a core, MB.
groups_lines()
{
    join -j 1 <(sed 's/ /:/' "$1" | sort) <(sed 's/ /:/' "$2" | sort) |
        awk -v n="$3" -v seconds="$4" '{
            split($1, at, ":")
            printf "%d %d %s %.4f %.1f\n", n, at[1], at[2],
                100 * ($4 - $2) / 1e9 / seconds, $5 / 1024
        }'
}

# The dearest node's sum of column $3, of all workers or of $4.
dearest()
{
    awk -v n="$2" -v column="$3" -v only="${4:-}" '
        $1 == n && (only == "" || $3 == only) { sum[$2] += $column }
        END {
            for (node in sum)
                if (sum[node] > most)
                    most = sum[node]
            printf "%.3f\n", most
        }' "$1"
}

measure_groups()
{
    local n=$1 before=$OUT/groups_before.txt after=$OUT/groups_after.txt
    local lines=$OUT/groups_lines.txt began seconds pss

    wait_for_collection
    wait_for_quiet
    groups_workers >"$before"
    began=$EPOCHREALTIME
    sleep "$GROUPS_SECONDS"
    seconds=$(awk "BEGIN {print $EPOCHREALTIME - $began}")
    groups_workers >"$after"
    groups_lines "$before" "$after" "$n" "$seconds" >>"$lines"
    record_value "groups_${n}_cpu_percent" "$(dearest "$lines" "$n" 4)"
    record_value "groups_${n}_store_cpu_percent" "$(dearest "$lines" "$n" 4 store)"
    record_value "groups_${n}_pd_cpu_percent" "$(dearest "$lines" "$n" 4 pd)"
    pss=$(groups_pss_kb 0)
    record_value "groups_${n}_pss_mb" "$(awk "BEGIN {printf \"%.1f\", $pss / 1024}")"
    [ "$n" -gt 1 ] || GROUPS_PSS=$pss
    [ "$n" -eq 1 ] || record_value "groups_${n}_kb_each" \
        "$(awk "BEGIN {printf \"%.1f\", ($pss - $GROUPS_PSS) / ($n - 1)}")"
}

# Make a region begin at every key but the first: first number, keys.
split_at()
{
    "$RPC_LOAD" --mode split --first "$1" --keys "$2" --key-size "$KEY_SIZE" \
        --batch 64 --pd "$GROUPS_PD" >"$OUT/groups_split.txt" 2>&1 || {
        cat "$OUT/groups_split.txt" >&2
        die 'the regions of three nodes are not split'
    }
}

# Each node leads a third and splits it: nothing is left to be balanced, which
# PD does four regions at a time.
split_thirds()
{
    step 'a third for each node'
    GROUPS_PD=$(groups_pd)
    split_at $((THIRD - 1)) 2
    split_at $((2 * THIRD - 1)) 2
    wait_for_thirds
}

wait_for_thirds()
{
    local until=$((SECONDS + 120)) led

    while :; do
        led=$(for node in 0 1 2; do
            groups_psql "$node" -c "SELECT count(*) FROM tikv.regions WHERE is_leader"
        done | paste -sd' ')
        [ "$led" != '1 1 1' ] || return 0
        [ $SECONDS -lt $until ] || die "of three regions the nodes lead $led"
        sleep 1
    done
}

split_groups()
{
    local n=$1 began

    step "splitting into $n groups"
    GROUPS_PD=$(groups_pd)
    began=$EPOCHREALTIME
    split_at 0 $((n / 3))
    split_at $THIRD $((n / 3))
    split_at $((2 * THIRD)) $((n / 3 + n % 3))
    record_value "groups_${n}_split_s" \
        "$(awk "BEGIN {printf \"%.1f\", $EPOCHREALTIME - $began}")"
    began=$SECONDS
    wait_for_sleep "$n"
    record_value "groups_${n}_sleep_s" $((SECONDS - began))
}

bench_groups()
{
    local n

    : >"$OUT/groups_lines.txt"
    start_groups
    wait_for_sleep 1
    measure_groups 1
    split_thirds
    for n in "${GROUP_COUNTS[@]}"; do
        split_groups "$n"
        measure_groups "$n"
    done
    stop_groups
}

# Each worker of each node, side by side for all numbers of groups.
print_groups()
{
    [ -s "$OUT/groups_lines.txt" ] || return 0
    awk '
        {
            cpu[$1, $2, $3] = $4
            mb[$1, $2, $3] = $5
            if (!($1 in seen))
                counts[++n] = $1
            seen[$1] = 1
            if (!(($2, $3) in known))
                rows[++m] = $2 " " $3
            known[$2, $3] = 1
        }
        END {
            printf "\n| node, worker |"
            for (i = 1; i <= n; i++)
                printf " %d groups, CPU %% | own memory, MB |", counts[i]
            printf "\n| --- |"
            for (i = 1; i <= n; i++)
                printf " --- | --- |"
            print ""
            for (r = 1; r <= m; r++)
            {
                split(rows[r], f, " ")
                printf "| %s |", rows[r]
                for (i = 1; i <= n; i++)
                    printf " %.3f | %.1f |", cpu[counts[i], f[1], f[2]],
                        mb[counts[i], f[1], f[2]]
                print ""
            }
        }' "$OUT/groups_lines.txt"
}
