#!/usr/bin/env bash
# Calls etcdctl against the PD of TIKV_PD and checks what it prints.
#
# usage: test/compat/etcdctl.sh

set -u
export ETCDCTL_API=3
scheme=http
if [ -n "${TIKV_CA:-}" ]; then
    scheme=https
    export ETCDCTL_CACERT=$TIKV_CA ETCDCTL_CERT=$TIKV_CERT ETCDCTL_KEY=$TIKV_KEY
fi
url=$scheme://${TIKV_PD%%,*}
prefix=compat-etcdctl-$$/
checks=0
failed=0
watched=$(mktemp)
trap 'rm -f "$watched"' EXIT

etcd()
{
    timeout 30 etcdctl --endpoints="$url" "$@" 2>&1
}

# expect PATTERN command...: the output is just that, newlines as spaces.
expect()
{
    local wanted=$1 output

    shift
    checks=$((checks + 1))
    output=$(etcd "$@" | tr -s '\n' ' ' | sed 's/ *$//')
    complain_unless "$wanted" "$output" "$*"
}

complain_unless()
{
    # shellcheck disable=SC2053 # it is a pattern
    if [[ $2 != $1 ]]; then
        failed=$((failed + 1))
        printf 'etcdctl %s: wanted %s, got %s\n' "$3" "$1" "$2" >&2
    fi
}

expect OK put "${prefix}a" 1
expect 'OK*1' put --prev-kv "${prefix}a" 2
expect "${prefix}a 2" get "${prefix}a"
expect OK put "${prefix}b" 3
expect "${prefix}a ${prefix}b" get --prefix "$prefix" --keys-only
expect "${prefix}b 3 ${prefix}a 2" get --prefix "$prefix" --order=DESCEND
expect '' get "${prefix}none"
expect '*compacted*' get --rev=1 "${prefix}a"

timeout 60 etcdctl --endpoints="$url" watch --prefix "${prefix}w" >"$watched" 2>&1 &
watcher=$!
# The watch has begun when it hears of a change.
for _ in $(seq 100); do
    etcd put "${prefix}w/begin" x >/dev/null
    [ -s "$watched" ] && break
    sleep 0.1
done
expect OK put "${prefix}w/1" yes
expect 1 del "${prefix}w/1"
for _ in $(seq 100); do
    grep -q DELETE "$watched" && break
    sleep 0.1
done
kill $watcher
wait $watcher 2>/dev/null
checks=$((checks + 1))
complain_unless "*PUT ${prefix}w/1 yes DELETE ${prefix}w/1" \
    "$(tr '\n' ' ' <"$watched" | sed 's/ *$//')" watch

checks=$((checks + 2))
complain_unless 'SUCCESS*OK*' "$(printf 'value("%sa") = "2"\n\nput %sa 4\n\nget %sa\n\n' \
    "$prefix" "$prefix" "$prefix" | etcd txn | tr '\n' ' ')" 'txn that succeeds'
complain_unless "FAILURE*${prefix}a 4*" "$(printf 'value("%sa") = "2"\n\nput %sa 5\n\nget %sa\n\n' \
    "$prefix" "$prefix" "$prefix" | etcd txn | tr '\n' ' ')" 'txn that fails'

lease=$(etcd lease grant 60 | sed -n 's/^lease \([0-9a-f]*\) granted.*/\1/p')
expect OK put --lease="$lease" "${prefix}l" x
expect "*remaining(*attached keys(*${prefix}l*)" lease timetolive "$lease" --keys
expect "*$lease*" lease list
expect "*keepalived with TTL(60)" lease keep-alive --once "$lease"
expect "*revoked" lease revoke "$lease"
expect '' get "${prefix}l"
expect '*not found*' lease revoke "$lease"
expect held lock "${prefix}lock" echo held

expect "*started*$scheme://*" member list
expect '*true*' endpoint status
expect '*is healthy*' endpoint health
expect '[0-9]*' del --prefix "$prefix"

[ $failed -eq 0 ] && printf 'etcdctl: %d checks\n' $checks
exit $failed
