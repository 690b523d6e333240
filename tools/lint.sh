#!/usr/bin/env bash
# Run every check of style and structure; go on after a failure, so that one
# run shows all there is to mend.  Needs a finished build (`make lint` does).
#
# usage: tools/lint.sh [check...]     a check is the X of a tools/check_X.sh
set -u
cd "$(dirname "$0")/.." || exit 1

run_check()
{
    if output=$("tools/check_$1.sh" 2>&1); then
        printf 'ok      %s\n' "$1"
    else
        printf 'NOT OK  %s\n' "$1"
        printf '%s\n' "$output" | sed 's/^/        /'
        failed=1
    fi
}

failed=0
[ $# -gt 0 ] || set -- format layers exports tests_listed txn_rows failpoints docs contract marks shell
for check in "$@"; do
    run_check "$check"
done
exit $failed
