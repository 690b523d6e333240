#!/bin/sh
# mutations.sh: does the simulation notice bugs?
#
# Builds core/raft once per mutation, each a bug put in on purpose by a build
# flag, and runs the short simulation over it.  Every one has to be found.
# Usage: test/sim/raft/mutations.sh [OUT_DIR] [SEEDS]
set -eu

cd "$(dirname "$0")/../../.."
out=${1:-out/sim}
seeds=${2:-10000}
cc=${CC:-gcc}
mkdir -p "$out"

mutations="COMMIT_OLD_TERM SKIP_PREVOTE VOTE_TWICE ACK_BEFORE_FLUSH
KEEP_LEASE_ON_TRANSFER READ_BEFORE_OWN_TERM JOINT_AS_SIMPLE RESTART_VOTES
OLD_TRANSFER_ORDER TELL_UNAPPLIED_COMMIT FLUSH_OF_CUT_ENTRIES
LEADER_COUNTS_UNFLUSHED SNAPSHOT_CONF_EARLY NO_CHECK_QUORUM
LEASE_FROM_ANSWER"

missed=0
n=0
for m in $mutations; do
	n=$((n + 1))
	grep -q "RAFT_MUTATION_$m\$" src/core/raft/*.c || {
		echo "not ok $n - $m: no such mutation in src/core/raft"
		missed=$((missed + 1))
		continue
	}
	"$cc" -std=gnu11 -O1 -Isrc -Itest/sim/raft "-DRAFT_MUTATION_$m" \
		test/sim/raft/*.c src/core/raft/*.c \
		src/core/base/arena.c src/core/base/check.c src/core/base/status.c \
		-o "$out/mutation_$m"
	if env -u SEED SEEDS="$seeds" "$out/mutation_$m" >"$out/$m.log" 2>&1; then
		echo "not ok $n - $m: not found in $seeds seeds"
		missed=$((missed + 1))
	elif ! grep -q '^not ok - seed' "$out/$m.log"; then
		echo "not ok $n - $m: the run broke: $(head -1 "$out/$m.log")"
		missed=$((missed + 1))
	else
		echo "ok $n - $m: $(sed -n 's/^not ok - //p' "$out/$m.log" | head -1)"
	fi
	rm -f "$out/mutation_$m"
done
echo "1..$n"
if [ "$missed" -gt 0 ]; then
	echo "# $missed of $n mutations were not found" >&2
	exit 1
fi
