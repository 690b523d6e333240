#!/usr/bin/env bash
# Data that the extension's version 0.1 has written, served by this version:
# the old sources are taken from the repository's history, built, and run in a
# server of their own; then this version takes its place.  Once from the first
# commit that builds and serves a client, and once from the last of version 0.1.
#
# usage: test/upgrade.sh      OLD='commit...'  BASE_PORT=9000
#
# The server's programs are copied, so what is installed stays as it is.

. "$(dirname "${BASH_SOURCE[0]}")/../scripts/lib.sh"

OLD=${OLD:-18a736f818a32fc803c89c2c3c50b8caed098cfe 2be12522fcf1fb4c9b6906dfd5d0b03089f5de15}
BASE_PORT=${BASE_PORT:-9000}
PD=127.0.0.1:$((2379 + BASE_PORT))

WORK=
CLUSTER=

stop_server()
{
    [ -z "$CLUSTER" ] || [ ! -e "$CLUSTER/cluster.conf" ] ||
        "$TOP/scripts/cluster" stop --wipe --dir "$CLUSTER" || :
    CLUSTER=
}

finish()
{
    local answer=$?

    trap - EXIT
    [ $answer -eq 0 ] || [ -z "$CLUSTER" ] || tail -n 30 "$CLUSTER/node0/log" >&2 || :
    stop_server
    rm -rf "$WORK"
    exit $answer
}

# The server's programs, where its relative paths lead into the copy.
copy_server()
{
    local copy=$WORK/pg part

    mkdir -p "$copy"
    for part in --bindir --pkglibdir --sharedir; do
        mkdir -p "$copy/$(dirname "$("$PG_CONFIG" $part)")"
        cp -a "$("$PG_CONFIG" $part)" "$copy/$(dirname "$("$PG_CONFIG" $part)")/"
    done
    mkdir -p "$copy/$(dirname "$("$PG_CONFIG" --includedir-server)")"
    ln -s "$("$PG_CONFIG" --includedir-server)" "$copy/$("$PG_CONFIG" --includedir-server)"
    PG_CONFIG=$copy/$PG_BINDIR/pg_config
    PG_BINDIR=$("$PG_CONFIG" --bindir)
    export PG_CONFIG PG_BINDIR
}

has_commit()
{
    git -C "$TOP" cat-file -e "$1^{commit}" 2>/dev/null
}

# In the place of what the copy had.
build_old()
{
    has_commit "$1" || git -C "$TOP" fetch -q --unshallow || :
    has_commit "$1" ||
        die "commit $1, of version 0.1, is not in this clone: it needs the whole history"
    rm -rf "$WORK/old" "$("$PG_CONFIG" --pkglibdir)"/tikv_*.so \
        "$("$PG_CONFIG" --sharedir)"/extension/tikv_fdw*
    mkdir "$WORK/old"
    git -C "$TOP" archive "$1" | tar -C "$WORK/old" -xf -
    run_quietly make -s -C "$WORK/old" -j"$(nproc)" QUIET=1 \
        PG_CONFIG="$PG_CONFIG" all
    run_quietly make -s -C "$WORK/old" PG_CONFIG="$PG_CONFIG" install
}

query()
{
    "$PG_BINDIR/psql" -X -q -At -v ON_ERROR_STOP=1 -c "$1"
}

# $1 must be $2.
check()
{
    [ "$1" = "$2" ] || die "$3: $1, not $2"
    say "ok: $3"
}

# Everything that SQL can see of the keys.
fingerprint()
{
    query "SELECT count(*) || ' ' || md5(string_agg(key || value, '' ORDER BY key))
        FROM tikv_scan('', NULL)"
}

write_old()
{
    query "SELECT count(tikv_batch_put(k, v)) FROM (
        SELECT array_agg(convert_to('key' || i, 'UTF8')) k,
            array_agg(convert_to(repeat(i::text, 50), 'UTF8')) v
        FROM generate_series(1, 5000) i GROUP BY i % 20) batches" >/dev/null
    # A key with a remainder, a value in TOAST, an empty one, overwritten and
    # deleted ones, and one by gRPC.
    query "SELECT tikv_put(convert_to(repeat('long', 1500), 'UTF8'), 'of a long key'),
        tikv_put('big', convert_to(repeat('x', 3000000), 'UTF8')),
        tikv_put('empty', ''), tikv_put('key7', 'overwritten'), tikv_delete('key8')" >/dev/null
    "$WORK/old/out/bin/rawctl" --pd "$PD" put grpc 'by a client'
}

identity()
{
    query 'SELECT cluster_id, store_id FROM tikv_internal.store_meta'
}

start_old_server()
{
    CLUSTER=$(make_server_tmp tikv_upgrade)
    "$TOP/scripts/cluster" start --dir "$CLUSTER" --base-port "$BASE_PORT"
    eval "$("$TOP/scripts/cluster" env --dir "$CLUSTER")"
    check "$(query "SELECT extversion FROM pg_extension WHERE extname = 'tikv_fdw'")" \
        0.1 'the extension is of version 0.1'
}

# As `make install`, which would build it all again for other paths.
install_new()
{
    install -m 755 "$TOP"/out/tikv_{fdw,worker,status}.so "$("$PG_CONFIG" --pkglibdir)"
    install -m 644 "$TOP/tikv_fdw.control" "$TOP"/out/tikv_fdw--*.sql \
        "$("$PG_CONFIG" --sharedir)/extension"
}

# A server whose extension must be updated serves nothing, so scripts/cluster
# would wait in vain.
replace_and_update()
{
    local state

    "$TOP/scripts/cluster" stop --dir "$CLUSTER"
    install_new
    as_server "$PG_BINDIR/pg_ctl" start -s -w -D "$CLUSTER/node0/data" \
        -l "$CLUSTER/node0/log"
    for _ in $(seq 1 100); do
        state=$(query "SELECT state || ': ' || reason FROM tikv_status() WHERE worker = 'store'")
        case $state in *'run ALTER EXTENSION'*) break ;; esac
        sleep 0.1
    done
    case $state in
        'waiting: '*'run ALTER EXTENSION tikv_fdw UPDATE') say "ok: $state" ;;
        *) die "the store does not say what to do: $state" ;;
    esac
    query 'ALTER EXTENSION tikv_fdw UPDATE'
    "$TOP/scripts/cluster" start --dir "$CLUSTER"
}

check_new()
{
    local rawctl=("$TOP/out/bin/rawctl" --pd "$PD")

    check "$(identity)" "$1" 'cluster and store are the same'
    check "$(fingerprint)" "$2" 'so are all keys and values'
    check "$("${rawctl[@]}" get grpc)" 'by a client' 'a client reads what one wrote'
    check "$("${rawctl[@]}" get key7)" overwritten 'and what SQL wrote'
    check "$("${rawctl[@]}" get key8 || echo none)" none 'what was deleted stays deleted'
    "${rawctl[@]}" put key8 again
    "${rawctl[@]}" delete-range key1 key2
    check "$(query "SELECT count(*) FROM tikv_scan('key', 'kez')")" \
        $((5000 - 1111)) 'old rows can be written, and deleted as a range'
    [ "$("${rawctl[@]}" timestamp)" -gt "$3" ] || die 'timestamps went backwards'
    check "$(query 'SELECT count(*) FROM tikv_check()')" 0 'tikv_check() finds nothing wrong'
}

need_postgres
[ -x "$TOP/out/bin/rawctl" ] || die 'nothing is built: make'
WORK=$(mktemp -d /tmp/tikv_old.XXXXXX)
chmod 755 "$WORK"
trap finish EXIT
trap 'exit 130' INT TERM
copy_server
for old in $OLD; do
    step "version 0.1, built from $old"
    build_old "$old"
    start_old_server
    write_old
    ident=$(identity)
    keys=$(fingerprint)
    now=$(($(date +%s%3N) << 18))
    step 'this version in its place'
    replace_and_update
    check_new "$ident" "$keys" "$now"
    stop_server
done
say 'ok: data of version 0.1 are served'
