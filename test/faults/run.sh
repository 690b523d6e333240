#!/usr/bin/env bash
# Crash tests of a throw-away cluster; see the programs' main.go.
#
# usage: test/faults/run.sh crash|txn|chaos|grow|known|ride|failpoints [rounds] [option of the program...]
#   crash: raw keys over gRPC and SQL.  txn: transactions of client-go.
#   chaos: registers, and with -nodes N transactions as well, under faults of all
#   kinds; 0 rounds are each kind once, -minutes N goes on for so long, and stops
#   single processes, too; -failpoints is for a build with those: disks and clocks
#   that go wrong; -ttl: values with times to live, no transactions
#   grow: the chaos program's clients while one node becomes two, three, five, and
#   three again; each round beyond the first: five, three, two, one, ... three
#   known: failures of other systems, one after the other, on three instances, of
#   a build with failpoints; -only takes what a name has in it
#   ride: the client programs of test/compat, which test/compat/run.sh ride names;
#   -failpoints as above, -only takes kinds of faults
#   failpoints: a crash at each failpoint, of a build with those; -only, -roles
#   SEED=n repeats the random choices (not the timing) of a run

. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/lib.sh"
. "$TOP/test/compat/toolchains.sh"

PROGRAM=${1:?which program: crash, txn, chaos, grow, known, ride or failpoints}
ROUNDS=${2:-8}
shift
shift || :
need_postgres
use_toolchains
reason=$(missing_go)
[ -z "$reason" ] || die "$reason: test/compat/toolchains.sh installs it"
mkdir -p "$TOP/out/bin"
source=$PROGRAM
[ "$PROGRAM" != grow ] || source=chaos
(cd "$TOP/test/faults" && go build -buildvcs=false -o "$TOP/out/bin/faults-$PROGRAM" "./$source")
# The clients' own talk about what is broken on purpose.
export ETCD_CLIENT_DEBUG=fatal
# What a failure leaves behind, and the check of the checkers.
mkdir -p "$TOP/out/faults-$PROGRAM"
(cd "$TOP/test/faults" && go test ./...)
if [ "$PROGRAM" = chaos ]; then
    set -- "$@" -out "$TOP/out/faults-$PROGRAM" ${DISTURBED:+-disturbed}
fi

if [ "$PROGRAM" = grow ]; then
    set -- "$@" -grow -out "$TOP/out/faults-$PROGRAM"
    export LEAVE_TIMEOUT=180 # longer is for ever, with so few data
fi

dir=$(make_server_tmp "tikv_$PROGRAM")
copy=
finish()
{
    answer=$?
    if [ $answer -ne 0 ]; then
        for log in "$dir"/node*/log; do
            cp "$log" "$TOP/out/faults-$PROGRAM/$(basename "$(dirname "$log")").log" || :
        done
        warn "failed; the servers' logs are in out/faults-$PROGRAM"
    fi
    "$TOP/scripts/cluster" stop --wipe --dir "$dir" || :
    [ ! -e "$dir.extra" ] ||
        "$TOP/scripts/cluster" stop --wipe --dir "$dir.extra" || :
    [ -z "$copy" ] || rm -rf "$copy"
    exit $answer
}
trap finish EXIT
if [ "$PROGRAM" = failpoints ]; then
    set -- "$@" -out "$TOP/out/faults-$PROGRAM"
fi
if [ "$PROGRAM" = failpoints ] || [ "$PROGRAM" = known ] ||
    [[ " $* " = *" -failpoints "* ]]; then
    . "$TOP/test/faults/failpoints/build.sh"
    copy=$(make_server_tmp tikv_failpoint_build)
    use_failpoint_build "$copy"
    . "$TOP/test/faults/clock/build.sh"
    make_step_clock "$copy/step_clock.so"
    [ "$PROGRAM" = known ] || set -- "$@" -step-clock "$copy/step_clock.so"
fi
"$TOP/out/bin/faults-$PROGRAM" -rounds "$ROUNDS" -dir "$dir" \
    -cluster "$TOP/scripts/cluster" -base-port "${BASE_PORT:-7000}" ${SEED:+-seed "$SEED"} "$@"
