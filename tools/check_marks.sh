#!/usr/bin/env bash
# Nothing unfinished is left marked in the sources, and no stray whitespace.
set -u
cd "$(dirname "$0")/.." || exit 1
failed=0
code=$(tools/files.sh | grep -E '\.(c|h|sh|pl|pm|go|rs|java|proto|mk|sql)$|^Makefile$|^scripts/')
prose=$(tools/files.sh | grep -E '\.md$')

# The words are put together so that this file does not find itself.
marks="TO""DO|FIX""ME|XX""X|HA""CK"
# shellcheck disable=SC2086
bad=$(grep -nE "\b($marks)\b" $code 2>/dev/null | grep -v mktemp)
[ -z "$bad" ] || {
    echo "$bad"
    echo "To fix: finish it, or open an issue and remove the mark"
    failed=1
}
# shellcheck disable=SC2086
bad=$(grep -nE '[ 	]+$' $code $prose 2>/dev/null)
[ -z "$bad" ] || {
    echo "$bad"
    echo "To fix: remove the white space at the ends of these lines"
    failed=1
}
exit $failed
