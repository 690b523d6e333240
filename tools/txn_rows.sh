#!/usr/bin/env bash
# txn_rows.sh: rows of the tables of txn-semantics that no test names.
#
# A test covers a row by naming it, "txn-semantics 8.2 row 4", anywhere in its
# text; test/unit/txn_rows.index lists the rows, and which of them have nothing
# to test (limits of clients, encodings of the coprocessor).  Prints those
# without a test and fails if there are any, or if a test names a row that does
# not exist.
# Usage: tools/txn_rows.sh [SECTION...]   (as 8 or 8.2; all by default)
set -u
cd "$(dirname "$0")/.." || exit 1

named=$(mktemp)
trap 'rm -f "$named"' EXIT
tools/files.sh | grep -E '^(test|sql)/' | grep -v '/txn_rows\.index$' |
    xargs -d '\n' cat |
    sed -n 's/txn-semantics [0-9]/\n&/gp' |
    grep -a '^txn-semantics [0-9]' | sort -u >"$named"

awk -v sections="$*" '
function wanted(id,    i, n, list, section)
{
    n = split(sections, list, " ")
    section = id
    sub(/ .*/, "", section)
    for (i = 1; i <= n; i++)
        if (section == list[i] || index(section, list[i] ".") == 1)
            return 1
    return n == 0
}
# The text names the id if nothing that belongs to a longer id follows it.
function names(text, id,    rest)
{
    if (index(text, id) != 1)
        return 0
    rest = substr(text, length(id) + 1)
    return rest !~ /^[0-9\047]/ && rest !~ /^\.[0-9]/ && rest !~ /^ row /
}
function is_covered(id,    i)
{
    for (i = 1; i <= n_texts; i++)
        if (names(texts[i], id))
            return 1
    return 0
}
FILENAME == ARGV[1] {
    if (/^#/ || !/\t/)
        next
    row = $0
    sub(/\t.*/, "", row)
    ids[++n_ids] = row
    lines[n_ids] = $0
    is_testable[n_ids] = split($0, fields, "\t") < 3
    known[row] = 1
    next
}
{
    sub(/^txn-semantics /, "")
    texts[++n_texts] = $0
    if (match($0, /^[0-9.]+ row [0-9]+\047?/))
    {
        row = substr($0, RSTART, RLENGTH)
        if (!(row in known))
        {
            known[row] = 1
            n_unknown++
            print "a test names txn-semantics " row ", which is no row"
        }
    }
}
END {
    for (n = 1; n <= n_ids; n++)
        if (wanted(ids[n]) && is_testable[n])
        {
            n_rows++
            if (!is_covered(ids[n]))
            {
                n_missing++
                print lines[n]
            }
        }
    printf "%d of %d rows without a test\n", n_missing, n_rows
    exit n_missing + n_unknown > 0
}' test/unit/txn_rows.index "$named"
