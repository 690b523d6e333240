#!/usr/bin/env bash
# Run the fuzz targets, as many at a time as there are cores.
#
# usage: run.sh SECONDS target...
#
# out/fuzz/corpus/<target> keeps what was found to reach new code, from run to
# run.  An input that fails is kept in out/fuzz/failed/<target>/ and fails the
# run, now and at every later one until it passes: failed inputs are tried
# first.  Each target's output is in out/fuzz/log/.  A target fails that has not
# tried all its seeds and its corpus, and MIN_INPUTS new inputs: it has shown
# nothing.

. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/lib.sh"

BIN=$TOP/out/fuzz/bin
CORPUS=$TOP/out/fuzz/corpus
FAILED=$TOP/out/fuzz/failed
LOGS=$TOP/out/fuzz/log
JOBS=${JOBS:-$(nproc)}

# New inputs in a minute at least.  On a machine with next to no time for it the
# slowest target tries 2,000; the one whose inputs wait for threads and sockets,
# 130.
declare -A MIN_INPUTS_OF=([fuzz_connection]=20)
MIN_INPUTS_ELSE=500

# One input may not take longer (seconds), nor more memory (MiB).
INPUT_TIMEOUT=20
INPUT_MEMORY=2048

# What clients send is longer, but mutations of long inputs find less.
MAX_LEN=4096

# What recurses once per level of nesting shows it.
STACK_KIB=512

export ASAN_OPTIONS=detect_stack_use_after_return=1:allocator_may_return_null=0
export UBSAN_OPTIONS=print_stacktrace=1

# Inputs that failed once must pass before new ones are looked for.
try_failed()
{
    local inputs

    inputs=("$FAILED/$1"/*)
    [ -e "${inputs[0]}" ] || return 0
    "$BIN/$1" -timeout=$INPUT_TIMEOUT -rss_limit_mb=$INPUT_MEMORY \
        "${inputs[@]}"
}

run_target()
{
    local target=$1 seconds=$2

    ulimit -s $STACK_KIB
    mkdir -p "$CORPUS/$target" "$FAILED/$target" "$TOP/out/fuzz/seeds/$target"
    FUZZ_SEEDS=$TOP/out/fuzz/seeds/$target "$BIN/$target"
    try_failed "$target"
    "$BIN/$target" -max_total_time="$seconds" -timeout=$INPUT_TIMEOUT \
        -rss_limit_mb=$INPUT_MEMORY -max_len=$MAX_LEN -print_final_stats=1 \
        -artifact_prefix="$FAILED/$target/" \
        "$CORPUS/$target" "$TOP/out/fuzz/seeds/$target"
}

# How many inputs the run began with: seeds and corpus.
given_inputs()
{
    sed -n 's/^INFO: seed corpus: files: *\([0-9]*\) .*/\1/p' "$LOGS/$1.log" | tail -n 1
}

# How many inputs the run tried.
tried_inputs()
{
    sed -n 's/^stat::number_of_executed_units: *//p' "$LOGS/$1.log" | tail -n 1
}

# What the end of its output says, in a line.
summary()
{
    local log=$LOGS/$1.log

    printf '%s inputs, %s lines of code reached' "$(tried_inputs "$1")" \
        "$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "$log" | tail -n 1)"
}

report()
{
    local target=$1 answer=$2

    if [ "$answer" -eq 0 ]; then
        say "ok      $target: $(summary "$target")"
        return
    fi
    say "FAILED  $target; inputs in $FAILED/$target, try again with"
    say "        $BIN/$target $FAILED/$target/*"
    tail -n 40 "$LOGS/$target.log"
}

one_target()
{
    local answer=0 given tried least=${MIN_INPUTS:-${MIN_INPUTS_OF[$1]:-$MIN_INPUTS_ELSE}}

    run_target "$1" "$2" >"$LOGS/$1.log" 2>&1 || answer=$?
    given=$(given_inputs "$1")
    tried=$(tried_inputs "$1")
    if [ $answer -eq 0 ] && { [ "${given:-0}" -eq 0 ] || [ "${tried:-0}" -lt $((given + least)) ]; }; then
        say "FAILED  $1 tried ${tried:-no} inputs, of ${given:-0} given, and wants $least new ones"
        return 1
    fi
    report "$1" $answer
    return $answer
}

if [ "${1:-}" = --one ]; then
    one_target "$2" "$3"
    exit
fi

seconds=${1:?usage: run.sh SECONDS target...}
shift
mkdir -p "$LOGS"
printf '%s\n' "$@" |
    xargs -P "$JOBS" -I{} "$BASH" "${BASH_SOURCE[0]}" --one {} "$seconds"
