# shellcheck shell=bash
# ycsb.sh: the workloads of YCSB by go-ycsb: transactions and raw keys over
# client-go, and its driver of Postgres on the same server.  Sourced by run.sh.

YCSB=$TOP/out/bin/ycsb
YCSB_THREADS=64
YCSB_RECORDS=$((KEYS < 100000 ? KEYS : 100000))

# What is compared, as arguments of the program; name by name.
declare -A YCSB_KINDS=([ycsb]='-type txn' [ycsb_raw]='-type raw' [ycsb_pg]='-db pg')

setup_ycsb()
{
    local kind

    step "go-ycsb: build, and $YCSB_RECORDS records three times"
    . "$TOP/test/compat/toolchains.sh"
    use_toolchains
    need_tool go "test/compat/toolchains.sh installs it"
    (cd "$BENCH/ycsb" && go build -buildvcs=false -o "$YCSB" .)
    for kind in "${!YCSB_KINDS[@]}"; do
        # shellcheck disable=SC2086 # several arguments
        "$YCSB" -pd "$TIKV_PD" ${YCSB_KINDS[$kind]} -load \
            -records "$YCSB_RECORDS" -threads $YCSB_THREADS \
            >"$OUT/rpc_${kind}_load.txt" 2>&1 || rpc_failed "${kind}_load"
    done
    psql_bench -c 'VACUUM ANALYZE usertable' -c CHECKPOINT
}

load_ycsb()
{
    "$YCSB" -pd "$TIKV_PD" -records "$YCSB_RECORDS" -threads $YCSB_THREADS \
        -seconds "$SECONDS_PER_RUN" "$@"
}

bench_ycsb()
{
    local workload kind

    for workload in a b c d e f; do
        for kind in ycsb ycsb_raw ycsb_pg; do
            # shellcheck disable=SC2086
            measure "${kind}_$workload" "$POSTMASTER" "$STORE" run_rpc load_ycsb \
                "${kind}_$workload" -workload $workload ${YCSB_KINDS[$kind]}
        done
    done
}
