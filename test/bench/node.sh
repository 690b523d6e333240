# shellcheck shell=bash
# node.sh: what a node costs before it does anything.  Sourced by run.sh.

# Seconds of a build from nothing, in a copy of the sources.
bench_build()
{
    local copy began

    copy=$(mktemp -d)
    step "clean build, make -j$(nproc)"
    (cd "$TOP" && tar -cf - --exclude=target --exclude=node_modules Makefile \
        build pd proto sql src test tools tikv_fdw.control) | tar -C "$copy" -xf -
    began=$EPOCHREALTIME
    if ! make -s -C "$copy" -j"$(nproc)" PG_CONFIG="$PG_CONFIG" all \
        >"$OUT/build.log" 2>&1; then
        rm -rf "$copy"
        tail -n 20 "$OUT/build.log" >&2
        die "the build failed; its output is $OUT/build.log"
    fi
    record_value build_s "$(awk "BEGIN {printf \"%.1f\", $EPOCHREALTIME - $began}")"
    rm -rf "$copy"
}

# Milliseconds of the first tikv_put in the statement after CREATE EXTENSION;
# the extension and all its tables are made anew.
bench_first_put()
{
    local times=()

    step "first tikv_put after CREATE EXTENSION"
    for _ in $(seq 1 "$1"); do
        psql_bench -c 'SET client_min_messages = warning' \
            -c 'DROP EXTENSION tikv_fdw'
        times+=("$("$PG_BINDIR/psql" -X -q -At -v ON_ERROR_STOP=1 \
            -c 'SET client_min_messages = warning' \
            -c 'CREATE EXTENSION tikv_fdw' -c '\timing on' \
            -c "SELECT tikv_put('first', 'value')" | awk '/^Time:/{print $2}')")
        sleep 0.5
    done
    note "ms: ${times[*]}"
    record_value first_put_ms "$(printf '%s\n' "${times[@]}" | sort -n | tail -n 1)"
}

# Idle memory and CPU of a node that has just started and served one key.
bench_idle()
{
    local seconds=$1 bare began before after pids=()

    step "idle node, ${seconds} s"
    "$TOP/scripts/cluster" restart --dir "$CLUSTER_DIR" >/dev/null
    find_processes
    psql_bench -c "SELECT tikv_put('idle', 'v'), tikv_get('idle')" >/dev/null
    sleep 5
    mapfile -t pids < <(worker_pids)
    began=$EPOCHREALTIME
    before=$(processes_ns "${pids[@]}")
    sleep "$seconds"
    after=$(processes_ns "${pids[@]}")
    record_value idle_cpu_percent "$(awk "BEGIN {printf \"%.3f\",
        100 * ($after - $before) / 1e9 / ($EPOCHREALTIME - $began)}")"
    IDLE_KB=$(tree_pss_kb "$POSTMASTER")
    bare=$(bare_pss_kb)
    note "PSS of all processes: $IDLE_KB kB, bare Postgres $bare kB"
    record_value idle_pss_mb \
        "$(awk "BEGIN {printf \"%.1f\", ($IDLE_KB - $bare) / 1024}")"
    "$TOP/scripts/cluster" start --dir "$CLUSTER_DIR"
    find_processes
}

# The same instance, started without the library.
bare_pss_kb()
{
    local data=$CLUSTER_DIR/node0/data

    as_server "$PG_BINDIR/pg_ctl" stop -s -w -m fast -D "$data"
    as_server "$PG_BINDIR/pg_ctl" start -s -w -D "$data" \
        -l "$CLUSTER_DIR/node0/bare.log" -o "-c shared_preload_libraries=''"
    psql_bench -c 'SELECT count(*) FROM pg_class' >/dev/null
    sleep 5
    tree_pss_kb "$(postmaster_pid)"
    as_server "$PG_BINDIR/pg_ctl" stop -s -w -m fast -D "$data"
}
