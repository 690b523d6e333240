#!/usr/bin/env bash
# Tests of whole instances: Perl TAP over PostgreSQL::Test::Cluster.
#
# usage: test/tap/run.sh [name...]      name as in t/<name>.pl
#
# initdb refuses root, and root's folders may be closed to the user who runs
# servers: so everything runs from a copy in a folder of that user.  The logs
# of a failed run are in out/tap.

. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/lib.sh"

need_postgres
pgxs=$(dirname "$(dirname "$("$PG_CONFIG" --pgxs)")")
perl -MIPC::Run -e 1 2>/dev/null ||
    die "Perl's IPC::Run is missing: apt-get install libipc-run-perl"
perl -MIO::Socket::SSL -e 1 2>/dev/null ||
    die "Perl's IO::Socket::SSL is missing: apt-get install libio-socket-ssl-perl"
[ -d "$pgxs/test/perl" ] ||
    die "PostgreSQL::Test is missing: apt-get install postgresql-server-dev-$(pg_major "$PG_BINDIR")"

work=$(make_server_tmp tikv_tap)
finish()
{
    answer=$?
    if [ $answer -ne 0 ]; then
        rm -rf "$TOP/out/tap"
        mkdir -p "$TOP/out/tap"
        cp -r "$work"/tmp_check/log/. "$TOP/out/tap/" 2>/dev/null || :
        warn "failed; logs are in out/tap"
    fi
    rm -rf "$work"
    exit $answer
}
trap finish EXIT

tar -C "$TOP/test" -cf - tap | as_server tar -C "$work" -xf -
tar -C "$TOP" -cf - scripts README.md | as_server tar -C "$work" -xf -
as_server mkdir "$work/bin"
for tool in rawctl txnctl badbytes tsoctl rpc_load; do
    as_server tee "$work/bin/$tool" <"$TOP/out/bin/$tool" >/dev/null
    as_server chmod 755 "$work/bin/$tool"
done
. "$TOP/test/faults/clock/build.sh"
make_step_clock "$work/bin/step_clock.so"
"${CC:-cc}" -std=gnu11 -O2 -Wall -Wextra -shared -fPIC -o "$work/bin/read_error.so" \
    "$TOP/test/tap/read_error.c" -ldl
chmod 755 "$work/bin/step_clock.so" "$work/bin/read_error.so"

tests=()
for name in "$@"; do
    tests+=("$work/tap/t/$(basename "$name" .pl).pl")
done
[ ${#tests[@]} -gt 0 ] || tests=("$work"/tap/t/*.pl)

# The test of many connections holds thousands of them.
# shellcheck disable=SC2016
as_server bash -c 'ulimit -n "$(ulimit -H -n)" && exec "$@"' run \
    env -C "$work" TESTDIR="$work" RAWCTL="$work/bin/rawctl" TXNCTL="$work/bin/txnctl" \
    STEP_CLOCK="$work/bin/step_clock.so" READ_ERROR="$work/bin/read_error.so" BADBYTES="$work/bin/badbytes" TSOCTL="$work/bin/tsoctl" \
    RPC_LOAD="$work/bin/rpc_load" README="$work/README.md" CERTS="$work/scripts/certs" \
    PATH="$PG_BINDIR:$PATH" PG_REGRESS="$pgxs/test/regress/pg_regress" \
    PGPORT=65432 PG_TEST_PORT_DIR="${PG_TEST_PORT_DIR:-$work/ports}" PG_TEST_TIMEOUT_DEFAULT=90 \
    prove ${VERBOSE:+-v} -j "${JOBS:-4}" --timer -I "$pgxs/test/perl" -I "$work/tap" "${tests[@]}"
