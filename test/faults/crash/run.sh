#!/usr/bin/env bash
# Crash test of a throw-away cluster; see main.go.
#
# usage: test/faults/crash/run.sh [rounds] [option of the program...]
#   SEED=n repeats the random choices (not the timing) of a run

. "$(dirname "${BASH_SOURCE[0]}")/../../../scripts/lib.sh"
. "$TOP/test/compat/toolchains.sh"

ROUNDS=${1:-8}
shift || :
need_postgres
use_toolchains
reason=$(missing_go)
[ -z "$reason" ] || die "$reason: test/compat/toolchains.sh installs it"
mkdir -p "$TOP/out/bin"
(cd "$TOP/test/faults" && go build -o "$TOP/out/bin/crash" ./crash)

dir=$(make_server_tmp tikv_crash)
finish()
{
    answer=$?
    if [ $answer -ne 0 ]; then
        mkdir -p "$TOP/out/crash"
        cp "$dir/node0/log" "$TOP/out/crash/" 2>/dev/null || :
        warn "failed; the server's log is out/crash/log"
    fi
    "$TOP/scripts/cluster" stop --wipe --dir "$dir" || :
    exit $answer
}
trap finish EXIT
"$TOP/out/bin/crash" -rounds "$ROUNDS" -dir "$dir" \
    -cluster "$TOP/scripts/cluster" -base-port "${BASE_PORT:-5000}" ${SEED:+-seed "$SEED"} "$@"
