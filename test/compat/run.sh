#!/usr/bin/env bash
# Builds the client programs and runs them against the node whose PD is named
# by TIKV_PD.
#
# usage: test/compat/run.sh [part...]
#
# Parts, in their order: descriptors (needs no node), pdcheck, pdhttp, pdctl,
# etcdctl, health, errors, txnwire, pdclient, idle, go, go-2022, rust, java,
# badbytes, txnabuse.  Those of a client with -raw or -txn behind it
# (go-raw) are its checks of raw commands or transactions alone, in one mode: for
# the other API versions, which TIKV_API names.  Only if named: go-sql (of go),
# together, which is kvcheck of Go, Rust and Java at once, and, for API V2,
# keyspaces: Go and Rust in keyspaces that are made for them.  With
# TIKV_CA, TIKV_CERT and TIKV_KEY the clients, health, errors, txnwire, idle,
# etcdctl and pdctl speak TLS, pdctl to TIKV_PD_HTTP.  `build` instead only
# builds; `ride` starts three nodes of its own, of a build with failpoints, and
# has the clients work through every fault of one node; RIDE_ONLY names kinds of
# faults.  One line is printed for each program; its output is in
# out/compat/<program>.log.  A part whose toolchain is missing fails.

. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/lib.sh"
# shellcheck source=toolchains.sh
. "$TOP/test/compat/toolchains.sh"

PARTS=(descriptors pdcheck pdhttp pdctl etcdctl health errors txnwire pdclient
    idle go go-2022 rust java badbytes txnabuse)

LOGS=$TOP/out/compat
BIN=$LOGS/bin

# A program that hangs fails.
PROGRAM_TIMEOUT_S=${PROGRAM_TIMEOUT_S:-300}
BUILD_TIMEOUT_S=1800
RIDE_TIMEOUT_S=2400

FAILED=no
BUILT=()
IDLE=

# Run a command under a name: one line for people, the rest into a log.  Java
# and Go programs that hang write there where: SIGQUIT makes them.
report()
{
    local name=$1 seconds=$2 began=$SECONDS answer=0 log

    shift 2
    log=$LOGS/${name// /-}.log
    timeout --signal=QUIT --kill-after=10 "$seconds" "$@" >"$log" 2>&1 || answer=$?
    if [ $answer -eq 0 ]; then
        printf 'ok      %4d s  %-22s %s\n' $((SECONDS - began)) "$name" \
            "$(tail -n 1 "$log" | sed 's/\x1b\[[0-9;]*m//g')"
        return 0
    fi
    FAILED=yes
    printf 'FAILED  %4d s  %-22s exit status %d%s\n' $((SECONDS - began)) \
        "$name" $answer "$([[ ! $answer =~ ^1(24|37)$ ]] || echo ', it took too long')"
    tail -n 15 "$log" | cut -c 1-300 | sed 's/^/        /'
    grep -E '^\s+at compat\.' "$log" | head -n 20 || :
    return 1
}

program()
{
    report "$1" "$PROGRAM_TIMEOUT_S" "${@:2}" || true
}

# Fail the part $1 if its tool $2 is missing.
has_tool()
{
    local reason

    reason=$("missing_$2")
    [ -n "$reason" ] || return 0
    FAILED=yes
    printf 'FAILED          %-22s %s: run test/compat/toolchains.sh\n' "$1" \
        "$reason"
    return 1
}

# Build all commands of a Go module, once in a run.
build_go()
{
    local module=$1

    has_tool "$module" go || return 1
    [[ " ${BUILT[*]} " != *" $module "* ]] || return 0
    report "build $module" $BUILD_TIMEOUT_S \
        go -C "$TOP/test/compat/$module" build -buildvcs=false -o "$BIN/$module/" ./... ||
        return 1
    BUILT+=("$module")
}

build_rust()
{
    has_tool rust cargo || return 1
    report "build rust" $BUILD_TIMEOUT_S cargo build --locked \
        --manifest-path "$TOP/test/compat/rust/Cargo.toml"
}

build_java()
{
    has_tool java java || return 1
    report "build java" $BUILD_TIMEOUT_S mvn -B -q \
        -f "$TOP/test/compat/java/pom.xml" compile dependency:copy-dependencies
}

part_descriptors()
{
    has_tool descriptors protoc && build_go descriptors || return 0
    program descriptors "$BIN/descriptors/descriptors" -proto "$TOP/proto" \
        -ahead "$TOP/test/compat/descriptors/ahead.txt"
}

# A program of the module `wire`.
wire_program()
{
    build_go wire || return 0
    program "$1" "$BIN/wire/$1"
}

part_pdcheck()
{
    wire_program pdcheck
}

part_pdhttp()
{
    wire_program pdhttp
}

# pd-ctl as its project publishes it, and a script that knows what to expect.
part_pdctl()
{
    build_pdctl || return 0
    program pdctl "$TOP/test/compat/pdctl/check.sh" "$BIN/pdctl/pd-ctl"
}

build_pdctl()
{
    has_tool pdctl go || return 1
    report "build pdctl" $BUILD_TIMEOUT_S go -C "$TOP/test/compat/pdctl" build \
        -buildvcs=false -o "$BIN/pdctl/" github.com/tikv/pd/tools/pd-ctl
}

part_etcdctl()
{
    has_tool etcdctl etcdctl || return 0
    program etcdctl "$TOP/test/compat/etcdctl.sh"
}

part_health()
{
    wire_program health
}

part_errors()
{
    wire_program errors
}

part_txnwire()
{
    wire_program txnwire
}

part_pdclient()
{
    wire_program pdclient
}

# Beside what follows: it does nothing for most of its time.  With TLS it opens
# fewer connections, which takes long where much is going on: those that are older
# than 80 s and answer no ping are taken for dead.
part_idle()
{
    local connections=2000

    build_go wire || return 0
    [ -z "${TIKV_CA:-}" ] || connections=200
    report idle "$PROGRAM_TIMEOUT_S" "$BIN/wire/idle" -connections $connections &
    IDLE=$!
}

part_badbytes()
{
    wire_program badbytes
}

part_txnabuse()
{
    wire_program txnabuse
}

# All programs of a Go client.
go_client()
{
    build_go "$1" || return 0
    program "$1 kvcheck" "$BIN/$1/kvcheck"
    program "$1 tso" "$BIN/$1/tso"
    program "$1 txncheck" "$BIN/$1/txncheck" -mode batch
    program "$1 txncheck unary" "$BIN/$1/txncheck" -mode unary
}

part_go-txn()
{
    build_go go || return 0
    program "go txncheck" "$BIN/go/txncheck" -mode batch
}

part_go-raw()
{
    build_go go || return 0
    program "go kvcheck raw" "$BIN/go/kvcheck" -mode batch
}

part_go-2022-txn()
{
    build_go go-2022 || return 0
    program "go-2022 txncheck" "$BIN/go-2022/txncheck" -mode unary
}

part_go-2022-raw()
{
    build_go go-2022 || return 0
    program "go-2022 kvcheck raw" "$BIN/go-2022/kvcheck" -mode unary
}

part_rust-txn()
{
    build_rust || return 0
    program "rust txncheck" "$TOP/test/compat/rust/target/debug/compat" \
        txncheck
}

part_rust-raw()
{
    build_rust || return 0
    program "rust kvcheck raw" "$TOP/test/compat/rust/target/debug/compat" \
        kvcheck
}

part_java-raw()
{
    local java=$TOP/test/compat/java/target

    build_java || return 0
    program "java kvcheck raw" java -cp "$java/classes:$java/lib/*" \
        compat.Main kvcheck
}

part_java-txn()
{
    local java=$TOP/test/compat/java/target

    build_java || return 0
    program "java txncheck" java -cp "$java/classes:$java/lib/*" \
        compat.Main txncheck
}

# Sessions of SQL and the client on the same keys.
part_go-sql()
{
    build_go go || return 0
    program "go sqlcheck" "$BIN/go/sqlcheck"
}

# Two keyspaces at once, and the clients' own checks in one that is not DEFAULT;
# the older Go client and the Java client know no other than that.
part_keyspaces()
{
    local rust=$TOP/test/compat/rust/target/debug/compat made name id within

    build_go go && build_rust || return 0
    program keyspaces "$BIN/go/keyspaces"
    made=$("$BIN/go/keyspaces" -make) || { FAILED=yes; return 0; }
    read -r name id <<<"$made"
    within=(env TIKV_KEYSPACE="$name" TIKV_KEYSPACE_ID="$id")
    program "go kvcheck keyspace" "${within[@]}" "$BIN/go/kvcheck" -mode batch
    program "go txncheck keyspace" "${within[@]}" "$BIN/go/txncheck" -mode batch
    program "rust kvcheck keyspace" "${within[@]}" "$rust" kvcheck
    program "rust txncheck keyspace" "${within[@]}" "$rust" txncheck
}

# The raw commands of three clients at once on one node.
part_together()
{
    local java=$TOP/test/compat/java/target pid pids=()

    build_go go && build_rust && build_java || return 0
    report "together go" "$PROGRAM_TIMEOUT_S" "$BIN/go/kvcheck" &
    pids+=($!)
    report "together rust" "$PROGRAM_TIMEOUT_S" \
        "$TOP/test/compat/rust/target/debug/compat" kvcheck &
    pids+=($!)
    report "together java" "$PROGRAM_TIMEOUT_S" \
        java -cp "$java/classes:$java/lib/*" compat.Main kvcheck &
    pids+=($!)
    for pid in "${pids[@]}"; do
        wait "$pid" || FAILED=yes
    done
}

part_go()
{
    go_client go
    part_go-sql
}

part_go-2022()
{
    go_client go-2022
}

part_rust()
{
    local program=$TOP/test/compat/rust/target/debug/compat

    build_rust || return 0
    program "rust kvcheck" "$program" kvcheck
    program "rust tso" "$program" tso
    program "rust txncheck" "$program" txncheck
}

part_java()
{
    local java=$TOP/test/compat/java/target

    build_java || return 0
    program "java kvcheck" java -cp "$java/classes:$java/lib/*" compat.Main kvcheck
    program "java tso" java -cp "$java/classes:$java/lib/*" compat.Main tso
    program "java txncheck" java -cp "$java/classes:$java/lib/*" compat.Main txncheck
}

# The newest Go client, Rust and Java, at once, through each fault of one node.
part_ride()
{
    local java=$TOP/test/compat/java/target

    build_go go && build_rust && build_java || return 0
    report ride $RIDE_TIMEOUT_S "$TOP/test/faults/run.sh" ride 0 \
        -ride "go=$BIN/go/ride" \
        -ride "rust=$TOP/test/compat/rust/target/debug/compat ride" \
        -ride "java=java -cp '$java/classes:$java/lib/*' compat.Main ride" \
        -failpoints ${RIDE_ONLY:+-only "$RIDE_ONLY"} || return 0
    # What came to whom and how long elections took; a run without a table failed.
    grep -q '^fault .*new leader' "$LOGS/ride.log"
    sed -n '/^fault .*new leader/,$p' "$LOGS/ride.log"
}

build_all()
{
    local module

    for module in descriptors wire go go-2022; do
        build_go "$module" || true
    done
    build_pdctl || true
    build_rust || true
    build_java || true
}

use_toolchains
mkdir -p "$BIN"
if [ "${1:-}" = build ]; then
    build_all
    [ $FAILED = no ]
    exit
fi
if [ $# -eq 0 ]; then
    set -- "${PARTS[@]}"
fi
for part in "$@"; do
    declare -F "part_$part" >/dev/null ||
        die "no part '$part'; parts are: ${PARTS[*]}"
done
if [ "$*" != descriptors ] && [ "$*" != ride ] && [ -z "${TIKV_PD:-}" ]; then
    die "TIKV_PD is not set: eval \"\$(scripts/cluster env)\""
fi
for part in "$@"; do
    "part_$part"
done
[ -z "$IDLE" ] || wait "$IDLE" || FAILED=yes
[ $FAILED = no ]
