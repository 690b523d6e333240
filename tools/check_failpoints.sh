#!/usr/bin/env bash
# Every failpoint of the sources is in test/faults/failpoints/points.txt, with
# who reaches it, what drives it and what it means, and the reverse.
set -u
cd "$(dirname "$0")/.." || exit 1
failed=0
list=test/faults/failpoints/points.txt
# Steps of one protocol, and places that come up by arrangement alone; each with
# a test of its own.
others=(test/faults/commit/points.txt test/faults/known/points.txt)

complain()
{
    echo "$1"
    failed=1
}

# Macros that mark a place; each is used once for each name.
in_code=$(tools/sources.sh | grep -E '^(src|pd)/' |
    xargs grep -ohE 'FAILPOINT(_[A-Z_]+)?\("[^"]+"\)' |
    sed 's/.*("\(.*\)")/\1/' | LC_ALL=C sort)
in_list=$(grep -hv '^#' "$list" "${others[@]}" | sed 's/ .*//' | LC_ALL=C sort)

for name in $(uniq -d <<<"$in_code"); do
    complain "failpoint $name: there are two places of this name"
done
for name in $(uniq -d <<<"$in_list"); do
    complain "$list: $name is listed twice"
done
for name in $(comm -23 <(uniq <<<"$in_code") <(uniq <<<"$in_list")); do
    complain "failpoint $name is not in $list, nor in ${others[*]}"
done
for name in $(comm -13 <(uniq <<<"$in_code") <(uniq <<<"$in_list")); do
    complain "$list: no source has the failpoint $name"
done

# In a release a place is nothing, but it would have been the whole of an if.
# shellcheck disable=SC2016
alone=$(tools/sources.sh | grep -E '^(src|pd)/' |
    xargs awk 'FNR == 1 { last = "" }
        /^[ \t]*FAILPOINT/ && last ~ /(\)|else)$/ && last !~ /^[^ \t]/ {
            print FILENAME ":" FNR ": in braces, please"
        }
        NF { last = $0 }')
[ -z "$alone" ] || complain "$alone"

bad=$(grep -v '^#' "$list" |
    grep -vE '^[a-z]+_[a-z_]+ +(L?F?P?|N) +[a-z]+ +[^ ].{9,}$')
[ -z "$bad" ] || complain "$list: not 'name who drive meaning': $bad"
[ "$(grep -vc '^#' "$list")" -ge 100 ] || complain "$list: fewer than 100"
exit $failed
