#!/usr/bin/env bash
# The SQL tests, the TAP files about SQL and some about groups of stores against
# modules that are built with ASan and UBSan, in a copy of Postgres: any report
# fails it.
#
# usage: test/asan/run.sh [test...]     names of sql/ or of test/tap/t; txn_crash
#
# Without names: all but storage*, whose module has no sanitizers; what it tests
# runs under them in the unit tests and in the store here.
#
# Postgres itself has no sanitizers.  Its memory contexts hand out pieces of
# blocks, so of what palloc gives only what leaves its block is seen; arenas,
# stacks, globals and malloc are watched byte by byte.

. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/lib.sh"

# All that SQL does: functions, transactions, foreign tables.  Requests that wait
# for others, peers that come and go, snapshots.
mapfile -t TESTS < <(cd "$TOP/sql" && ls fdw_*.sql sqlapi_*.sql sqltxn_*.sql)
TESTS=("${TESTS[@]%.sql}" 017_sql_transactions 020_fdw
    018_group_abandoned 018_snapshots 019_membership txn_crash)

need_postgres
runtime=$(gcc -print-file-name=libasan.so)
[ "$runtime" != libasan.so ] || die "gcc has no libasan"
runtime=$(readlink -f "$runtime")

work=$(make_server_tmp tikv_asan)
bin=$work/pg$("$PG_CONFIG" --bindir)
reports=$work/reports
modules=
finish()
{
    answer=$?
    rm -rf "$work"
    exit $answer
}
trap finish EXIT

# Postgres finds its files by their place beside its programs.
copy_postgres()
{
    local folder

    for folder in --bindir --pkglibdir --sharedir; do
        folder=$("$PG_CONFIG" "$folder")
        as_server mkdir -p "$work/pg$folder"
        as_server cp -a "$folder/." "$work/pg$folder/"
    done
    make -s -C "$TOP" DESTDIR="$work/pg" install-libs
    modules=$work/pg$("$PG_CONFIG" --pkglibdir)
    install -m 755 "$TOP"/out/asan/modules/*.so "$modules"
}

# The server's program, with the runtime at work before all else, under the
# name by which pg_ctl restarts it; UBSan writes to stderr, whatever one asks
# for.  Memory that is left at the end is no leak in a server; where a stack is,
# is checked by Postgres, so frames stay on it.
wrap_server()
{
    local options=log_path=$reports/report:print_stacktrace=1

    as_server mkdir "$reports"
    as_server mv "$bin/postgres" "$bin/postgres.plain"
    as_server tee "$bin/postgres" >/dev/null <<END
#!/usr/bin/env bash
export LD_PRELOAD='$runtime $modules/asan_first.so'
export ASAN_OPTIONS='$options:detect_leaks=0:detect_stack_use_after_return=0:abort_on_error=1'
export UBSAN_OPTIONS='$options:abort_on_error=1'
exec -a "\$0" '$bin/postgres.plain' "\$@" 2> >(exec tee -a '$reports/stderr' >&2)
END
    as_server chmod 755 "$bin/postgres"
}

# What is not an SQL test is a TAP file, or transactions with crashes, where
# many commands share a turn.
run_tests()
{
    local sql=() tap=() name

    for name in "$@"; do
        if [ "$name" = txn_crash ]; then
            "$TOP/test/faults/run.sh" txn 3 || failed=yes
        elif [ -e "$TOP/sql/$name.sql" ]; then
            sql+=("$name")
        else
            tap+=("$name")
        fi
    done
    [ ${#sql[@]} -eq 0 ] || "$TOP/scripts/regress" "${sql[@]}" || failed=yes
    [ ${#tap[@]} -eq 0 ] || "$TOP/test/tap/run.sh" "${tap[@]}" || failed=yes
}

show_reports()
{
    local file

    ! grep -A 5 -e 'runtime error:' -e Sanitizer "$reports/stderr" || failed=yes
    for file in "$reports"/report.*; do
        [ -e "$file" ] || continue
        failed=yes
        say "---- $(basename "$file")"
        head -n 60 "$file"
    done
}

failed=no
copy_postgres
wrap_server
PG_CONFIG=$bin/pg_config
PG_BINDIR=$bin
export PG_CONFIG PG_BINDIR
[ $# -gt 0 ] || set -- "${TESTS[@]}"
run_tests "$@"
show_reports
[ $failed = no ] || die "failed"
say "no report of ASan or UBSan"
