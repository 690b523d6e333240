# shellcheck shell=bash
# ycsb.sh: the workloads of YCSB in transactions, by go-ycsb over client-go.
# Sourced by run.sh.

YCSB=$TOP/out/bin/ycsb
YCSB_THREADS=64
YCSB_RECORDS=$((KEYS < 100000 ? KEYS : 100000))

setup_ycsb()
{
    step "go-ycsb: build, and $YCSB_RECORDS records"
    . "$TOP/test/compat/toolchains.sh"
    use_toolchains
    need_tool go "test/compat/toolchains.sh installs it"
    (cd "$BENCH/ycsb" && go build -buildvcs=false -o "$YCSB" .)
    "$YCSB" -pd "$TIKV_PD" -load -records "$YCSB_RECORDS" \
        -threads $YCSB_THREADS >"$OUT/rpc_ycsb_load.txt" 2>&1 ||
        rpc_failed ycsb_load
}

load_ycsb()
{
    "$YCSB" -pd "$TIKV_PD" -records "$YCSB_RECORDS" -threads $YCSB_THREADS \
        -seconds "$SECONDS_PER_RUN" "$@"
}

bench_ycsb()
{
    local workload

    for workload in a b c d e f; do
        measure "ycsb_$workload" "$POSTMASTER" "$STORE" run_rpc load_ycsb \
            "ycsb_$workload" -workload $workload
    done
}
