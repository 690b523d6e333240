#!/usr/bin/env bash
# Everything that can happen at each step of a commit of keys and tables as
# one (commit_steps.pl), beside it (commit_beside.pl), with its locks on disk
# (commit_spilled.pl), and when its region moves to other nodes
# (commit_moved.pl), or its leader stands still until it has no peer any more
# (commit_gone.pl), and what a new leader serves of a range that the old one
# has deleted (commit_ranges.pl), or what a clock that is ahead removes
# (commit_clock.pl), or which of two first regions is the cluster's
# (commit_first.pl), or a table that waits to be cut (commit_compact.pl), or what
# the garbage collection learns of groups that sleep (commit_sleepers.pl), or an
# error behind a commit (commit_once.pl), with a
# build that has failpoints, in a copy of Postgres.
#
# usage: test/faults/commit/run.sh [point...]     names of points.txt, or one of
#                                                 beside, spilled, moved, gone,
#                                                 ranges, clock, first, compact, sleepers, once, late;
#                                                 default all

. "$(dirname "${BASH_SOURCE[0]}")/../../../scripts/lib.sh"
. "$TOP/test/faults/failpoints/build.sh"

need_postgres
pgxs=$(dirname "$(dirname "$("$PG_CONFIG" --pgxs)")")
[ -d "$pgxs/test/perl" ] ||
    die "PostgreSQL::Test is missing: apt-get install postgresql-server-dev-$(pg_major "$PG_BINDIR")"
make -s -C "$TOP" -j"$(nproc)" PG_CONFIG="$PG_CONFIG" tools
make_failpoint_libs

work=$(make_server_tmp tikv_commit)
finish()
{
    answer=$?
    if [ $answer -ne 0 ]; then
        mkdir -p "$TOP/out/commit"
        cp -r "$work"/tmp_check/log/. "$TOP/out/commit/" 2>/dev/null || :
        warn "failed; logs are in out/commit"
    fi
    rm -rf "$work"
    exit $answer
}
trap finish EXIT

copy_failpoint_build "$work/pg"
tar -C "$TOP/test" -cf - --exclude=tap/t tap faults/commit | as_server tar -C "$work" -xf -
as_server mkdir "$work/bin"
for tool in rawctl txnctl; do
    as_server tee "$work/bin/$tool" <"$TOP/out/bin/$tool" >/dev/null
    as_server chmod 755 "$work/bin/$tool"
done
# They mostly wait, so all at once.
files=("$work/faults/commit/commit_steps.pl")
case "$*" in
    '') files+=("$work"/faults/commit/commit_{beside,spilled,moved,gone,ranges,clock,first,compact,sleepers,once,late}.pl) ;;
    beside | spilled | moved | gone | ranges | clock | first | compact | sleepers | once | late) files=("$work/faults/commit/commit_$*.pl") ;;
esac
as_server env -C "$work" TESTDIR="$work" RAWCTL="$work/bin/rawctl" TXNCTL="$work/bin/txnctl" POINTS="$*" \
    PATH="$work/pg$("$PG_CONFIG" --bindir):$PATH" PGPORT=65431 \
    PG_REGRESS="$pgxs/test/regress/pg_regress" \
    PG_TEST_PORT_DIR="${PG_TEST_PORT_DIR:-$work/ports}" PG_TEST_TIMEOUT_DEFAULT=90 \
    prove ${VERBOSE:+-v} --timer -j "${#files[@]}" -I "$pgxs/test/perl" -I "$work/tap" \
    -I "$work/faults/commit" "${files[@]}"
