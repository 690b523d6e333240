#!/bin/sh
# mutations.sh: does the simulation notice bugs?
#
# Puts one bug at a time into the simulated store or client (MUTATION=) or, by
# a replaced line, into a copy of a core file, and runs the simulation over it.
# Every one has to be found.
# Usage: test/sim/txn/mutations.sh [OUT_DIR] [SEEDS]
set -eu

cd "$(dirname "$0")/../../.."
out=${1:-out/sim}
seeds=${2:-6000}
cc=${CC:-gcc}
work=$out/txn_mutations
flags="-std=gnu11 -D_GNU_SOURCE -O1 -Isrc -Itest/sim/txn -Itest/unit"
missed=0
n=0
rm -rf "$work"
mkdir -p "$work"

# Bugs outside of the core: what the driver of the store and the client owe.
# With its name each says where it was seen or which step it leaves out.
in_the_driver="
read_keeps_max_ts           txn-semantics 23.1 row 1: reads raise max_ts
look_before_raise           txn-semantics 23.1 row 1: before they look
batch_get_skips_guards      txn-semantics 23.1 row 2: and they look (tikv/tikv#9069)
snapshot_before_look        txn-semantics 23.1 row 3: before they read
publish_ignores_max_ts      async commit that is not consistent (tikv/tikv#8589)
no_linearizability_ts       async commit that is only causal (tikv/tikv#8589)
async_before_sync           async commit before max_ts is synced
scan_lock_keeps_max_ts      async commit below the safe point (tikv/tikv#9526)
lock_not_found_is_success   TxnLockNotFound taken for success (ryogrid/gookv)
guards_end_early            guards that go before the rows are visible
locks_end_early             locks that go before the rows are visible
pipelined_over_overlay      an early answer from a turn that aborts
"

# Bugs in the core: name, file, sed script, which has to change something.
# Known from elsewhere: conflict_stops_at_rollback (ryogrid/gookv),
# success_though_rolled_back and rolled_back_is_committed (pingcap/tidb#33641),
# amends_over_newer_data (optimistic and pessimistic transactions mixed lose
# updates, tikv/tikv#10552).
in_the_core()
{
	cat <<'END'
conflict_stops_at_rollback|txn/prewrite_check.c|s/return at->commit_ts <= start_ts ||/& at->write.type == WRITE_TYPE_ROLLBACK ||/
success_though_rolled_back|txn/prewrite_check.c|s/if (at->commit_ts == start_ts &&/& 0 \&\&/
rolled_back_is_committed|txn/prewrite.c|s/!commit_record_is_commit(&record)/record.kind != COMMIT_RECORD_SINGLE/
repetition_is_a_conflict|txn/prewrite.c|s/if (!commit_record_is_commit(&record))/if (1)/
amends_over_newer_data|txn/prewrite_check.c|s/prev.at.commit_ts >= key->request/0 \&\& &/
locks_over_newer_data|txn/pessimistic_lock.c|s/if (newest->commit_ts > a->for_update_ts)/if (0)/
commit_ignores_min_commit_ts|txn/commit_key.c|s/commit_ts < own->min_commit_ts/0/
fallback_is_not_told|txn/prewrite.c|/^fall_back/,/^}/s/request->use_async_commit = false;//
status_leaves_no_rollback|txn/check_txn_status.c|s/^\t*txn_make_rollback(.*$//
secondaries_leave_no_rollback|txn/check_secondary_locks.c|s/^\ttxn_make_rollback(.*$//
commit_record_from_start_ts|mvcc/lookup.c|/^mvcc_commit_record/,/^}/s/uint64_t ts = UINT64_MAX/uint64_t ts = start_ts/
expected_for_update_ts_ignored|txn/prewrite_key.c|s/key->has_expected && /0 \&\& /
reads_at_min_commit_ts|mvcc/read.c|s/lock->min_commit_ts > context->ts/lock->min_commit_ts >= context->ts/
collects_the_last_version|txn/gc.c|s/if (kept.write.type == WRITE_TYPE_DELETE)//
overlapped_rollback_is_lost|txn/actions.c|s/write.has_overlapped_rollback = true;//
END
}

report()
{
	name=$1
	n=$((n + 1))
	if [ "$2" = 0 ]; then
		echo "not ok $n - $name: not found in $seeds seeds"
		missed=$((missed + 1))
	elif ! grep -q '^not ok - seed' "$work/$name.log"; then
		echo "not ok $n - $name: the run broke: $(head -1 "$work/$name.log")"
		missed=$((missed + 1))
	else
		echo "ok $n - $name: $(sed -n 's/^not ok - //p' "$work/$name.log" |
			head -1)"
	fi
}

# run NAME PROGRAM
run()
{
	code=0
	env -u SEED SEEDS="$seeds" "$2" >"$work/$1.log" 2>&1 || code=$?
	report "$1" $code
}

objects=
for c in test/sim/txn/*.c src/core/txn/*.c src/core/mvcc/*.c src/core/codec/*.c \
	src/core/base/arena.c src/core/base/check.c src/core/base/fingerprint.c \
	src/core/base/status.c; do
	o=$work/$(echo "$c" | tr / _).o
	# shellcheck disable=SC2086
	"$cc" $flags -c "$c" -o "$o"
	objects="$objects $o"
done
# shellcheck disable=SC2086
"$cc" $objects -o "$work/sim"

names=$(echo "$in_the_driver" | sed -n 's/^\([a-z_][a-z_]*\) .*/\1/p')
for name in $names; do
	if ! grep -q "sim_mutation(\"$name\")" test/sim/txn/*.c; then
		n=$((n + 1))
		echo "not ok $n - $name: no such mutation in test/sim/txn"
		missed=$((missed + 1))
		continue
	fi
	MUTATION=$name
	export MUTATION
	run "$name" "$work/sim"
	unset MUTATION
done

in_the_core >"$work/list"
while IFS='|' read -r name file script; do
	c=src/core/$file
	o=$work/$(echo "$c" | tr / _).o
	sed "$script" "$c" >"$work/mutant.c"
	if cmp -s "$c" "$work/mutant.c"; then
		n=$((n + 1))
		echo "not ok $n - $name: nothing to replace in $c"
		missed=$((missed + 1))
		continue
	fi
	# shellcheck disable=SC2086
	"$cc" $flags -w -c "$work/mutant.c" -o "$work/mutant.o"
	# shellcheck disable=SC2046,SC2086
	"$cc" $(echo $objects | tr ' ' '\n' | grep -vxF "$o") "$work/mutant.o" \
		-o "$work/mutant"
	run "$name" "$work/mutant"
done <"$work/list"
echo "1..$n"
if [ "$missed" -gt 0 ]; then
	echo "# $missed of $n mutations were not found" >&2
	exit 1
fi
rm -rf "$work"
