#!/usr/bin/env bash
# Each folder includes only what lies below it (CONTRIBUTING.md, "Layers").
#
# The table lists for each folder the prefixes of our own headers that it may
# include.  Postgres and gRPC headers have rules of their own below.
set -u
cd "$(dirname "$0")/.." || exit 1

allowed()
{
    case $1 in
        src/core/base) echo core/base/ ;;
        src/core/codec) echo core/base/ core/codec/ ;;
        src/core/kv) echo core/base/ core/codec/ core/kv/ ;;
        src/core/mvcc) echo core/base/ core/codec/ core/kv/ core/mvcc/ ;;
        src/core/txn) echo core/base/ core/codec/ core/kv/ core/mvcc/ core/txn/ ;;
        src/core/raft) echo core/base/ core/codec/ core/raft/ ;;
        src/core/region) echo core/base/ core/codec/ core/kv/ core/raft/ core/region/ ;;
        src/core/stats) echo core/base/ core/stats/ ;;
        src/core/snapshot) echo core/base/ core/codec/ core/kv/ core/mvcc/ core/txn/ core/raft/ core/region/ core/cmd/ core/snapshot/ ;;
        src/core/row) echo core/base/ core/codec/ core/row/ ;;
        src/core/client) echo core/base/ core/codec/ core/kv/ core/mvcc/ core/txn/ core/region/ core/client/ ;;
        src/core/*) echo core/ ;;
        pd/core) echo core/ pd/core/ ;;
        src/service) echo core/ service/ ;;
        src/bus) echo core/ bus/ guc.h ;;
        src/storage) echo core/ bus/ storage/ guc.h ;;
        src/server) echo core/ service/ server/ ;;
        src/transport) echo core/ service/ server/ transport/ ;;
        src/read) echo core/ bus/ storage/ service/ read/ guc.h ;;
        src/kvserver) echo core/ bus/ storage/ service/ server/ transport/ read/ kvserver/ guc.h worker_common.h worker_tls.h ;;
        src/store) echo core/ bus/ storage/ service/ server/ transport/ read/ kvserver/ store/ guc.h worker_common.h worker_tls.h ;;
        src/sqlapi) echo core/ bus/ storage/ service/ read/ sqlapi/ guc.h pd/tso_local.h ;;
        src/fdw) echo core/ bus/ storage/ service/ read/ sqlapi/ fdw/ guc.h ;;
        src/status) echo core/ bus/ storage/ server/ pd/core/ status/ guc.h worker_common.h worker_tls.h ;;
        pd) echo core/ bus/ storage/ service/ server/ transport/ pd/ guc.h worker_common.h worker_tls.h ;;
        *) echo core/ bus/ storage/ service/ server/ transport/ read/ store/ sqlapi/ fdw/ pd/ build_id.h guc.h worker_common.h worker_tls.h ;;
    esac
}

# Lines "file:line:header" of the quoted includes of our own headers.
our_includes()
{
    grep -nE '^#include "' "$1" /dev/null | sed 's/#include "\([^"]*\)".*/\1/' |
        while IFS=: read -r file line header; do
            if [ -e "src/$header" ] || [ -e "$header" ]; then
                echo "$file:$line:$header"
            fi
        done
}

complain()
{
    echo "$1"
    failed=1
}

check_ours()
{
    local dir=$1 file=$2 place header prefix ok

    while read -r place; do
        [ -n "$place" ] || continue
        header=${place##*:}
        ok=no
        for prefix in $(allowed "$dir"); do
            case $header in "$prefix"*) ok=yes ;; esac
        done
        [ $ok = yes ] || complain "$place: $dir may not include this"
    done <<<"$(our_includes "$file")"
}

check_others()
{
    local dir=$1 file=$2

    case $dir in
        src/core/* | pd/core | src/service | src/server | src/transport)
            grep -nE '^#include "(postgres|miscadmin|fmgr|c)\.h"' "$file" &&
                complain "$file: this folder builds without Postgres"
            ;;
    esac
    [ "$dir" = src/server ] || {
        grep -n '^#include <grpc' "$file" &&
            complain "$file: only src/server knows gRPC"
    }
    case $dir in
        src/core/* | pd/core | src/bus | src/storage)
            grep -nE '^#include ".*\.pb-c\.h"' "$file" &&
                complain "$file: protobuf messages are built and read above this layer"
            ;;
    esac
}

# With -Isrc first, a header of ours named like one of Postgres would be
# found by Postgres's own headers.
check_shadows()
{
    local header include

    include=$("${PG_CONFIG:-pg_config}" --includedir-server) || return 0
    for header in $(cd src && find . -name '*.h' | sed 's/^\.\///'); do
        [ -e "$include/$header" ] &&
            complain "src/$header: hides a header of Postgres; rename it"
    done
}

failed=0
for file in $(find src pd -name '*.[ch]' | sort); do
    dir=$(dirname "$file")
    check_ours "$dir" "$file"
    check_others "$dir" "$file"
done
check_shadows
[ $failed -eq 0 ] || cat <<'END'
To fix: move the code to the layer that may know both sides, or pass what is
needed down as an argument or an interface.  If the layers themselves are to
change, change the table in tools/check_layers.sh and CONTRIBUTING.md with it.
END
exit $failed
