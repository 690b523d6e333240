#!/usr/bin/env bash
# The script that updates the extension from the last release to this version,
# on standard output.  How it is put together stands in sql/tikv_fdw.sql.
#
# usage: tools/update_sql.sh OLD NEW

set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
old=$1
new=$2
script=sql/tikv_fdw.sql

# What stands between two lines, without them.
between()
{
    awk -v from="/* $1 */" -v to="/* $2 */" '
        $0 == to {on = 0}
        on {print}
        $0 == from {on = 1}' "$script"
}

for mark in "new in $new" 'update scripts run the rest'; do
    grep -qxF "/* $mark */" "$script" || {
        echo "update_sql.sh: $script has no line /* $mark */" >&2
        exit 1
    }
done
cat <<END
-- complain if the script is sourced in psql rather than by ALTER EXTENSION
\\echo Use "ALTER EXTENSION tikv_fdw UPDATE" to load this file. \\quit

END
cat "sql/update/$old-$new.sql"
between "new in $new" 'end of what is new'
between 'update scripts run the rest' 'there is no such line' |
    sed -E 's/^CREATE (FUNCTION|VIEW) /CREATE OR REPLACE \1 /'
