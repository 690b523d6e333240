#!/usr/bin/env bash
# The libraries show only what they must, and all of it; everything they need
# comes from Postgres or their libraries; tikv_fdw and tikv_status do not load
# gRPC.
set -u
cd "$(dirname "$0")/.." || exit 1
config=${PG_CONFIG:-pg_config}
failed=0

complain()
{
    echo "$1"
    failed=1
}

defined()
{
    nm -D --defined-only "$1" | awk '{print $NF}' | sed 's/@.*//' | sort -u
}

undefined()
{
    nm -D --undefined-only "$1" | awk '$(NF-1) == "U" {print $NF}' |
        sed 's/@.*//' | sort -u
}

# C functions that the extension's script names.
sql_functions()
{
    sed -n "s/.*'MODULE_PATHNAME' *, *'\([a-z_0-9]*\)'.*/\1/p" \
        sql/tikv_fdw.sql | sort -u
}

check_names()
{
    local symbol

    for symbol in $(defined out/tikv_fdw.so); do
        case $symbol in
            Pg_magic_func | _PG_init | pg_finfo_tikv_* | tikv_*) ;;
            *) complain "tikv_fdw.so exports $symbol" ;;
        esac
    done
    for symbol in $(sql_functions); do
        defined out/tikv_fdw.so | grep -qx "pg_finfo_$symbol" ||
            complain "sql/tikv_fdw.sql names $symbol, which tikv_fdw.so lacks (PG_FUNCTION_INFO_V1, PGDLLEXPORT)"
    done
    for symbol in Pg_magic_func tikv_store_main tikv_pd_main tikv_server_main; do
        defined out/tikv_worker.so | grep -qx $symbol ||
            complain "tikv_worker.so lacks $symbol (PGDLLEXPORT, build/exports_worker.map)"
    done
    for symbol in $(defined out/tikv_worker.so); do
        case $symbol in
            Pg_magic_func | tikv_*_main) ;;
            *) complain "tikv_worker.so exports $symbol" ;;
        esac
    done
    [ "$(defined out/tikv_status.so | tr '\n' ' ')" = 'Pg_magic_func tikv_status_main ' ] ||
        complain "tikv_status.so must export Pg_magic_func and tikv_status_main, and nothing else"
}

# Symbols of $1 that nobody provides; further arguments are files that do.
check_undefined()
{
    local library=$1 missing provider

    shift
    missing=$(
        {
            for provider in "$@" $(ldd "$library" | awk '$3 ~ /^\// {print $3}'); do
                defined "$provider"
            done
        } | sort -u | comm -13 - <(undefined "$library") |
            grep -vE '^(_ITM_|__gmon_start__|__cxa_finalize)'
    )
    [ -z "$missing" ] ||
        complain "$library needs what nobody defines: ${missing//$'\n'/ }"
}

for library in out/tikv_fdw.so out/tikv_worker.so out/tikv_status.so; do
    [ -e $library ] || {
        echo "$library is missing: run make first"
        exit 1
    }
done
check_names
postgres=$("$config" --bindir)/postgres
check_undefined out/tikv_fdw.so "$postgres"
check_undefined out/tikv_worker.so "$postgres" out/tikv_fdw.so
check_undefined out/tikv_status.so "$postgres" out/tikv_fdw.so
ldd out/tikv_status.so | grep -q libgrpc &&
    complain "tikv_status.so loads gRPC: its worker must stay small"
ldd out/tikv_fdw.so | grep -q libgrpc &&
    complain "tikv_fdw.so loads gRPC: the postmaster must not; move the caller to tikv_worker"
[ $failed -eq 0 ] ||
    echo "To fix: make functions static or leave out PGDLLEXPORT; the lists are build/exports_*.map"
exit $failed
