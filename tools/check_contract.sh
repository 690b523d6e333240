#!/usr/bin/env bash
# docs/client-contract.md names tests that exist, and has a line for every field
# of the messages that clients act on.
set -u
cd "$(dirname "$0")/.." || exit 1
page=docs/client-contract.md
failed=0

complain()
{
    echo "$1"
    failed=1
}

# "file<tab>name" for each test of the page's tables.
named_tests()
{
    awk '/^\|/ {
        n = split($0, cells, "|")
        tests = cells[n - 1]
        while (match(tests, /`[^`]*`/)) {
            word = substr(tests, RSTART + 1, RLENGTH - 2)
            tests = substr(tests, RSTART + RLENGTH)
            if (tests ~ /^:/)
                file = word
            else if (file != "")
                print file "\t" word
        }
        file = ""
    }' "$page"
}

# Fields of a message of a .proto file, those of a oneof among them.
fields()
{
    sed -n "/^message $2 {/,/^}/p" "proto/$1" |
        sed -n 's/^ *\(repeated \)\{0,1\}[A-Za-z0-9_.]* \([A-Za-z0-9_]*\) = [0-9]*;.*/\2/p'
}

# Those that proto/ leaves out, as its comments say: clients set them, too.
left_out()
{
    sed -n "/^message $2 {/,/^}/p" "proto/$1" | grep '^ *//' |
        grep -o '[a-z_]* = [0-9][0-9]*' | sed 's/ .*//'
}

# The names of the rows below a heading.
rows()
{
    # shellcheck disable=SC2016 # the backquotes are the page's
    sed -n "/^## $1\$/,/^## /s/^| \`\([^\`]*\)\`.*/\1/p" "$page"
}

count=0
while IFS=$'\t' read -r file name; do
    count=$((count + 1))
    if [ ! -f "test/$file" ]; then
        complain "$page: there is no test/$file"
    elif ! grep -qF -- "$name" "test/$file"; then
        complain "$page: test/$file has no \"$name\""
    fi
done < <(named_tests)
[ $count -gt 100 ] || complain "$page: only $count tests are named"

for message in kvrpcpb.Context errorpb.Error kvrpcpb.KeyError; do
    missing=$(comm -23 <({
        fields "${message%.*}.proto" "${message#*.}"
        left_out "${message%.*}.proto" "${message#*.}"
    } | sort) \
        <(rows "$message" | sort))
    [ -z "$missing" ] ||
        complain "$page: no line for $message's ${missing//$'\n'/, }"
    [ -n "$(fields "${message%.*}.proto" "${message#*.}")" ] ||
        complain "proto has no $message"
done
[ $failed -eq 0 ] || echo "To fix: name a test in $page that provokes it"
exit $failed
