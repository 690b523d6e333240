#!/usr/bin/env bash
# Rewrite our C files in the house format (.clang-format).
#
# clang-format 14 is the reference; newer ones may differ in small things.
set -eu
cd "$(dirname "$0")/.."
formatter=$(command -v clang-format-14 || command -v clang-format) || {
    echo "clang-format is missing: apt-get install clang-format" >&2
    exit 1
}
tools/sources.sh | xargs "$formatter" -i
