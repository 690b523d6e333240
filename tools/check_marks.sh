#!/usr/bin/env bash
# Nothing unfinished is left marked in the sources, and no stray whitespace.
set -u
cd "$(dirname "$0")/.." || exit 1
failed=0
# The words are put together so that this file does not find itself.
marks="TO""DO|FIX""ME|XX""X|HA""CK"
bad=$(git ls-files -co --exclude-standard -- '*.c' '*.h' '*.sh' '*.pl' '*.pm' \
    '*.go' '*.rs' '*.java' '*.proto' '*.mk' Makefile scripts '*.sql' |
    xargs grep -nE "\b($marks)\b" 2>/dev/null | grep -v mktemp)
[ -z "$bad" ] || {
    echo "$bad"
    echo "To fix: finish it, or open an issue and remove the mark"
    failed=1
}
bad=$(git ls-files -co --exclude-standard -- '*.c' '*.h' '*.sh' '*.mk' '*.md' \
    Makefile scripts | xargs grep -nE '[ 	]+$' 2>/dev/null)
[ -z "$bad" ] || {
    echo "$bad"
    echo "To fix: remove the white space at the ends of these lines"
    failed=1
}
exit $failed
