# shellcheck shell=bash
# replicas.sh: three nodes beside one, and beside etcd.  Sourced by run.sh.
#
# etcd is Debian's, with its defaults: a linearizable get asks a majority, and
# a put is on the disks of one.  All members of everything stand on this one
# machine, so a put of three costs the CPU and the flushes of three.

THREE_PORT=$((BASE_PORT + 60)) # its nodes stand beside the others
THREE_DIR=
ETCD_DIR=
ETCD_PIDS=()
INFLIGHTS=(64 256)

# ------------------------------------------------------------ three nodes

three_psql()
{
    psql_bench -p $((54321 + THREE_PORT)) "$@"
}

setup_three()
{
    step "three nodes, and $KEYS keys"
    THREE_DIR=$(make_server_tmp tikv_bench_three)
    "$TOP/scripts/cluster" start --dir "$THREE_DIR" --base-port $THREE_PORT \
        --nodes 3 "${CLUSTER_SETTINGS[@]}" --set shared_buffers=256MB
    wait_for_voters
    find_leader
    load_three stream-rawput --batch 128 --inflight 1024 --fill 1 --seconds 1 \
        >"$OUT/rpc_fill_three.txt" 2>&1 || rpc_failed fill_three
}

# Three that vote: what is measured before is a smaller group.
wait_for_voters()
{
    local until=$((SECONDS + 60)) voters

    while voters=$(three_psql -c "SELECT count(*) FROM tikv.raft
            WHERE role IN ('leader', 'follower')") &&
        [ "$voters" -ne 3 ]; do
        [ $SECONDS -lt $until ] || die "of three nodes $voters vote"
        sleep 0.2
    done
}

# Addresses of those that lead, of the region and of PD, and the region's
# leader's processes.
find_leader()
{
    local node

    THREE_PD=$(three_psql -c "SELECT regexp_replace(client_urls[1], '^https?://', '')
        FROM tikv.members WHERE is_leader")
    for node in 0 1 2; do
        if [ "$(psql_bench -p $((54321 + THREE_PORT + node)) \
            -c "SELECT is_leader FROM tikv.regions WHERE start_key = ''")" = t ]; then
            THREE_ADDR=127.0.0.1:$((20160 + THREE_PORT + node))
            THREE_LEADER=$(head -n 1 "$THREE_DIR/node$node/data/postmaster.pid")
            THREE_LEADER_PORT=$((54321 + THREE_PORT + node))
            THREE_STORE=$(psql_bench -p $THREE_LEADER_PORT \
                -c "SELECT pid FROM tikv_status() WHERE worker = 'store'")
            return
        fi
    done
    die 'none of three nodes leads the region'
}

three_postmasters()
{
    head -q -n 1 "$THREE_DIR"/node[012]/data/postmaster.pid | paste -sd,
}

load_three()
{
    load_rpc "$@" --addr "$THREE_ADDR" --pd "$THREE_PD"
}

# ------------------------------------------------------------------- etcd

# Member $1 of the cluster of $2: its ports lie behind those of the nodes.
etcd_port()
{
    echo $((2379 + BASE_PORT + 100 + 20 * $2 + 2 * $1))
}

etcd_peers()
{
    local i

    for i in $(seq 0 $(($1 - 1))); do
        echo "m$i=http://127.0.0.1:$(($(etcd_port "$i" "$1") + 1))"
    done | paste -sd,
}

start_etcd()
{
    local n=$1 i url peer

    for i in $(seq 0 $((n - 1))); do
        url=http://127.0.0.1:$(etcd_port "$i" "$n")
        peer=http://127.0.0.1:$(($(etcd_port "$i" "$n") + 1))
        "$ETCD" --name "m$i" --data-dir "$ETCD_DIR/$n-$i" \
            --listen-client-urls "$url" --advertise-client-urls "$url" \
            --listen-peer-urls "$peer" --initial-advertise-peer-urls "$peer" \
            --initial-cluster "$(etcd_peers "$n")" --logger zap \
            --quota-backend-bytes $((8 << 30)) >"$OUT/etcd_$n-$i.log" 2>&1 &
        ETCD_PIDS+=($!)
    done
}

# etcd from its package, but not installed: a service of it would take the
# ports of PD.
find_etcd()
{
    ETCD=$(command -v etcd || :)
    [ -z "$ETCD" ] || return 0
    ETCD=$TOP/out/bin/etcd
    [ ! -x "$ETCD" ] || return 0
    (
        cd "$(mktemp -d)" || exit
        run_quietly apt-get download etcd-server
        dpkg -x etcd-server_*.deb . && mv usr/bin/etcd "$ETCD" && rm -r "$PWD"
    ) || die 'etcd cannot be had: apt-get download etcd-server'
}

setup_etcd()
{
    local n

    install_packages etcd-client
    find_etcd
    step "etcd, one member and three, and $KEYS keys"
    ETCD_DIR=$(mktemp -d)
    start_etcd 1
    start_etcd 3
    for n in 1 3; do
        wait_for_etcd $n
        load_etcd $n etcdput --inflight 256 --fill 1 --seconds 1 \
            >"$OUT/rpc_fill_etcd_$n.txt" 2>&1 || rpc_failed fill_etcd_$n
    done
}

# The address of the leader of the cluster of $1, in ETCD_ADDR_$1; and the
# process of that member, as ETCD_PIDS has first the one, then the three.
wait_for_etcd()
{
    local until=$((SECONDS + 60)) i addr

    while :; do
        for i in $(seq 0 $(($1 - 1))); do
            addr=127.0.0.1:$(etcd_port "$i" "$1")
            if ETCDCTL_API=3 etcdctl --endpoints "$addr" endpoint status -w simple \
                2>/dev/null | awk -F', ' '{exit $5 != "true"}'; then
                printf -v "ETCD_ADDR_$1" %s "$addr"
                printf -v "ETCD_LEADER_$1" %s "${ETCD_PIDS[i + ($1 > 1)]}"
                return
            fi
        done
        [ $SECONDS -lt $until ] || {
            tail -n 5 "$OUT"/etcd_"$1"-*.log >&2
            die "etcd of $1 has no leader"
        }
        sleep 0.2
    done
}

load_etcd()
{
    local addr=ETCD_ADDR_$1

    shift
    load_rpc "$@" --addr "${!addr}"
}

load_etcd_1()
{
    load_etcd 1 "$@"
}

load_etcd_3()
{
    load_etcd 3 "$@"
}

# ---------------------------------------------------- where the time goes

STEPS=(request_wait_time_duration_secs append_log_duration_seconds
    commit_log_duration_seconds apply_log_duration_seconds)

# Sum and count so far of the leader's step $1.
leader_step()
{
    psql_bench -p "$THREE_LEADER_PORT" -F ' ' -c "SELECT
            sum(value) FILTER (WHERE name LIKE '%_sum'),
            sum(value) FILTER (WHERE name LIKE '%_count')
        FROM tikv.metrics
        WHERE name IN ('tikv_raftstore_$1_sum', 'tikv_raftstore_$1_count')"
}

# Measure puts of three nodes and, of each step, its mean in microseconds.
bench_three_put()
{
    local id=three_put_$1 step before=() i

    for step in "${STEPS[@]}"; do
        before+=("$(leader_step "$step")")
    done
    measure "$id" "$(three_postmasters)" "$THREE_STORE" \
        run_rpc load_three "$id" rawput --inflight "$1"
    for i in "${!STEPS[@]}"; do
        step=${STEPS[i]}
        record_value "${id}_${step%%_*}_us" \
            "$(echo "${before[i]} $(leader_step "$step")" | awk '{
                printf "%.0f", ($4 > $2) ? 1e6 * ($3 - $1) / ($4 - $2) : 0}')"
    done
}

# ------------------------------------------------------------ measurements

setup_replicas()
{
    setup_three
    setup_etcd
}

# Puts count what all members spend; gets what the leader does, which alone
# answers ours.
bench_replicas()
{
    local n all of_etcd

    find_leader
    wait_for_etcd 3
    all=$(three_postmasters)
    of_etcd=$(printf '%s\n' "${ETCD_PIDS[@]:1}" | paste -sd,)
    for n in "${INFLIGHTS[@]}"; do
        bench_rpc "one_put_$n" rawput --inflight "$n"
        measure "etcd1_put_$n" "${ETCD_PIDS[0]}" "${ETCD_PIDS[0]}" \
            run_rpc load_etcd_1 "etcd1_put_$n" etcdput --inflight "$n"
        bench_three_put "$n"
        measure "etcd3_put_$n" "$of_etcd" "$ETCD_LEADER_3" \
            run_rpc load_etcd_3 "etcd3_put_$n" etcdput --inflight "$n"
    done
    bench_rpc one_get rawget --inflight 64
    measure three_get "$THREE_LEADER" "$THREE_STORE" \
        run_rpc load_three three_get rawget --inflight 64
    measure etcd3_get "$of_etcd" "$ETCD_LEADER_3" \
        run_rpc load_etcd_3 etcd3_get etcdget --inflight 64
    bench_rpc one_1pc 1pc --inflight 64
    measure three_1pc "$all" "$THREE_STORE" \
        run_rpc load_three three_1pc 1pc --inflight 64
}

stop_replicas()
{
    [ ${#ETCD_PIDS[@]} -eq 0 ] || kill "${ETCD_PIDS[@]}" 2>/dev/null || :
    ETCD_PIDS=()
    [ -z "$ETCD_DIR" ] || rm -rf "$ETCD_DIR"
    [ -z "$THREE_DIR" ] || "$TOP/scripts/cluster" stop --wipe --dir "$THREE_DIR" || :
    ETCD_DIR=
    THREE_DIR=
}
