#!/usr/bin/env bash
# Our C files are formatted as .clang-format says.
set -u
cd "$(dirname "$0")/.." || exit 1
formatter=$(command -v clang-format-14 || command -v clang-format) || {
    echo "clang-format is missing: apt-get install clang-format"
    exit 1
}
bad=$(tools/sources.sh | while read -r file; do
    "$formatter" "$file" | cmp -s - "$file" || echo "$file"
done)
[ -z "$bad" ] && exit 0
echo "not formatted:"
echo "$bad"
echo "To fix: make format"
exit 1
