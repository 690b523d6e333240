#!/bin/sh
# raft_coverage.sh: branch coverage of core/raft by its own tests.
#
# Builds core/raft with gcov, runs its unit tests, all scenarios and a short
# simulation, and prints per file and in total how many branches were taken.
# CHECKs count as covered when they hold: their failing side is left out, for
# no test can get there.  Fails below the percentage given (90).
# Usage: tools/raft_coverage.sh [MINIMUM]
set -eu

cd "$(dirname "$0")/.."
minimum=${1:-90}
out=out/raft_coverage
cc=${CC:-gcc}
root=$PWD
rm -rf "$out"
mkdir -p "$out"

# A failing CHECK is one branch that gcov cannot be told to leave out, so in
# this build a CHECK is a call with the condition as its argument.
cat >"$out/check.h" <<'HEADER'
#include "core/base/check.h"
#undef CHECK
static inline void
coverage_check(int ok, const char *expr, const char *file, int line)
{
	if (!ok)
		check_failed(expr, file, line);
}
#define CHECK(expr) coverage_check((expr), #expr, __FILE__, __LINE__)
HEADER

compile() {
	"$cc" -std=gnu11 -O0 -g -Isrc -I. -Itest/unit -Itest/sim/raft \
		-Itest/scenario/raft "$@"
}
for f in src/core/raft/*.c; do
	compile --coverage -include "$out/check.h" -c "$f" \
		-o "$out/$(basename "$f" .c).o"
done
link() { # link PROGRAM SOURCES...
	program=$1
	shift
	compile "$@" "$out"/*.o src/core/base/arena.c src/core/base/check.c \
		src/core/base/status.c -lgcov -o "$out/$program"
}

for t in test/unit/test_raft_*.c; do
	name=$(basename "$t" .c)
	link "$name" "$t"
	"$out/$name" >"$out/$name.log" || { cat "$out/$name.log"; exit 1; }
done
link scenario test/scenario/raft/*.c
"$out/scenario" test/scenario/raft/*.txt >"$out/scenario.log"
link sim test/sim/raft/*.c
env -u SEED SEEDS="${SEEDS:-300}" "$out/sim" >"$out/sim.log"

cd "$out"
for f in "$root"/src/core/raft/*.c; do
	(cd "$root" && gcov -b -o "$out" "$f" 2>/dev/null) |
		awk -v name="$(basename "$f")" '
			/^File/ { wanted = index($0, "src/core/raft/" name) > 0 }
			wanted && /^Lines executed/ { split($2, a, /[:%]/); lines = a[2] }
			wanted && /^Branches executed/ { n = $NF }
			wanted && /^Taken at least once/ {
				split($4, a, /[:%]/)
				printf "%-14s lines %6.2f%%  branches %6.2f%% of %d\n",
					name, lines, a[2], n
				wanted = 0
			}'
done | tee report.txt
rm -f "$root"/*.gcov
awk -v minimum="$minimum" '
	{ sub(/%/, "", $5); taken += $5 * $7 / 100; all += $7 }
	END {
		printf "total: %.1f%% of %d branches of core/raft (at least %d%%)\n",
			100 * taken / all, all, minimum
		exit 100 * taken / all < minimum
	}' report.txt
