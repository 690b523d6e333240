#!/usr/bin/env bash
# Print our own C files, one per line: what is formatted and checked.
# Generated code is not in these folders.
cd "$(dirname "$0")/.." || exit 1
find src pd test -name '*.[ch]' -not -path '*/node_modules/*' \
    -not -path '*/target/*' | sort
