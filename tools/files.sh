#!/usr/bin/env bash
# Print the project's files, one per line, without what is built.  Asks git;
# where there is no repository, or git does not trust it, looks itself.
cd "$(dirname "$0")/.." || exit 1
git ls-files -co --exclude-standard 2>/dev/null ||
    find . -type f -not -path './.git/*' -not -path './out/*' \
        -not -path './gen/*' -not -path '*/target/*' -printf '%P\n'
