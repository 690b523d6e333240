#!/usr/bin/env bash
# Shell scripts parse, and shellcheck has nothing to say.
set -u
cd "$(dirname "$0")/.." || exit 1
failed=0
scripts=$(tools/files.sh | xargs grep -lE '^#!.*\b(ba)?sh\b|^# shellcheck shell=' 2>/dev/null | sort -u)
for file in $scripts; do
    bash -n "$file" || failed=1
done
if command -v shellcheck >/dev/null; then
    # shellcheck disable=SC2086
    shellcheck $scripts || failed=1
else
    echo "shellcheck is missing: apt-get install shellcheck"
    failed=1
fi
[ $failed -eq 0 ] || echo "To fix: what is said above; https://www.shellcheck.net explains each"
exit $failed
