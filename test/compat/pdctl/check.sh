#!/usr/bin/env bash
# Calls pd-ctl, the tool of PD's operators, against the PD of TIKV_PD and
# checks what it prints.
#
# usage: test/compat/pdctl/check.sh PD-CTL

set -u
scheme=http
address=${TIKV_PD%%,*}
tls=()
if [ -n "${TIKV_CA:-}" ]; then
    scheme=https
    address=$TIKV_PD_HTTP
    tls=(--cacert "$TIKV_CA" --cert "$TIKV_CERT" --key "$TIKV_KEY")
fi
ctl=("$1" -u "$scheme://$address" "${tls[@]}")
checks=0
failed=0

# expect PATTERN command...: the output holds the pattern and no error.
expect()
{
    local pattern=$1 output

    shift
    checks=$((checks + 1))
    output=$(timeout 20 "${ctl[@]}" "$@" 2>&1)
    if ! grep -qE "$pattern" <<<"$output" || grep -qE '^(Failed|Error|panic)' <<<"$output"; then
        failed=$((failed + 1))
        printf 'pd-ctl %s: wanted %s, got %s\n' "$*" "$pattern" "$output" >&2
    fi
}

# refused PATTERN command...: it says that it failed, and why.
refused()
{
    local pattern=$1 output

    shift
    checks=$((checks + 1))
    output=$(timeout 20 "${ctl[@]}" "$@" 2>&1)
    if ! grep -qE "^Failed.*$pattern" <<<"$output"; then
        failed=$((failed + 1))
        printf 'pd-ctl %s: wanted a refusal with %s, got %s\n' "$*" "$pattern" "$output" >&2
    fi
}

store=$("${ctl[@]}" store | sed -n 's/.*"id": \([0-9]*\),.*/\1/p' | head -n 1)
region=$("${ctl[@]}" region | sed -n 's/.*"regions":\[{"id":\([0-9]*\),.*/\1/p')

expect '"cluster_id":[0-9]+' member
expect '"client_urls":\["'$scheme'://' member leader show
expect '"health":true' health
expect 'time:' ping
expect '"max_peer_count":' cluster
expect '"is_initialized":true' cluster status
expect '"state_name": "Up"' store
expect "\"id\": $store," store "$store"
expect "\"id\":$region," region
expect "\"id\":$region," region "$region"
expect '"id":[0-9]+' region key 61626364
expect '"count":[0-9]+' region store "$store"
expect '"count":[0-9]+' region sibling "$region"
expect '"count":[0-9]+' region check miss-peer
expect '"count":[0-9]+' region topsize
expect '"count":[0-9]+' region scan
expect '\[' region range-holes
expect '"max-replicas": [0-9]+' config show
expect '"schedule":' config show all
expect '"max-replicas":' config show replication
expect '[0-9]+\.[0-9]+' config show cluster-version
expect '"role":"voter"' config placement-rules show
expect 'balance-leader-scheduler' scheduler show
expect '\[\]' operator show
expect 'Success' scheduler pause balance-leader-scheduler 60
expect 'Success' scheduler resume balance-leader-scheduler
expect 'Success' operator add scatter-region "$region"
expect '"as_leader"' hot read
expect '"service_id":"gc_worker"' service-gc-safepoint
expect '"min_resolved_ts":[0-9]+' min-resolved-ts
expect '\[' label
expect 'Success' config set max-replicas 3
expect 'Success' store remove-tombstone
expect 'Success' store label "$store" compat yes
expect '"compat"' store "$store"
expect 'Success' store label "$store" compat ''
refused 'number of up stores' store delete "$store"
refused 'cannot be set' config set leader-schedule-limit 8
refused '404 page not found: .*docs/compatibility.md' log warn
refused '404 page not found: .*docs/compatibility.md' label store zone z1
refused '404 page not found: .*docs/compatibility.md' plugin load x
refused '404 page not found: .*docs/compatibility.md' region check hist-size
refused '' operator add transfer-leader "$region" "$store"

[ $failed -eq 0 ] && printf 'pdctl: %d checks\n' $checks
exit $failed
