#!/usr/bin/env bash
# Every setting is in docs/settings.md, every SQL function and view in the
# documentation with a COMMENT, every RPC declared in proto/ in
# docs/compatibility.md; and the documents name no setting that is gone.
set -u
cd "$(dirname "$0")/.." || exit 1
failed=0

complain()
{
    echo "$1"
    failed=1
}

settings()
{
    grep -ohE '"tikv\.[a-z_]+"' src/guc.c | tr -d '"' | sort -u
}

functions()
{
    sed -n 's/^CREATE\( OR REPLACE\)\{0,1\} FUNCTION \([a-z_.]*\).*/\2/p' \
        sql/tikv_fdw.sql | sort -u
}

views()
{
    sed -n 's/^CREATE VIEW \([a-z_.]*\).*/\1/p' sql/tikv_fdw.sql
}

# "Service/Method" of every rpc that proto/ declares.
rpcs()
{
    [ -d proto ] && awk '/^service/ {s = $2}
        /^[ \t]*rpc/ {sub(/\(.*/, "", $2); print s "/" $2}' proto/*.proto
}

for name in $(settings); do
    grep -q "\`$name\`" docs/settings.md ||
        complain "docs/settings.md: does not mention \`$name\`"
done
while read -r name; do
    settings | grep -qx "$name" ||
        complain "docs/settings.md: $name is not a setting (src/guc.c)"
done < <(sed -n 's/^| .\(tikv\.[a-z_]*\). .*/\1/p' docs/settings.md)
for name in $(functions) $(views); do
    case $name in tikv_internal.*) continue ;; esac
    grep -rq "$name" README.md docs/*.md ||
        complain "$name: not in README.md or docs/"
    grep -qE "^COMMENT ON (FUNCTION|VIEW) $name" sql/tikv_fdw.sql ||
        complain "$name: no COMMENT in sql/tikv_fdw.sql"
done
for name in $(rpcs); do
    grep -q "${name#*/}" docs/compatibility.md ||
        complain "docs/compatibility.md: does not mention $name"
done
[ $failed -eq 0 ] || echo "To fix: add the line to the page named"
exit $failed
