#!/usr/bin/env bash
# Every setting is in docs/settings.md, every SQL function and view in the
# documentation and with a COMMENT, every RPC in docs/compatibility.md with the
# state that the source gives it, every HTTP path there with its methods, also those that are not served; and no page names a setting or RPC that is
# gone.  /config shows every setting.
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

# Lines "RPC state" of what the two tables of methods say.  RPCs of Tikv and PD
# go by their name alone, others as Service/Method.
rpcs_in_source()
{
    local tikv=src/server/tikv_methods.c pd=pd/methods.c

    {
        sed -n 's/.*SERVED("\([A-Za-z0-9]*\)".*/\1 built/p' $tikv
        sed -n 's/.*LEFT_OUT\(_STREAM\)\{0,1\}("\([A-Za-z0-9]*\)").*/\2 UNIMPLEMENTED/p' $tikv
        sed -n 's/.*AMONG_STORES("\([A-Za-z0-9]*\)").*/\1 built/p' $tikv
        sed -n 's/^\tPD("\([A-Za-z0-9]*\)".*/\1 built/p' $pd
        sed -n 's/.*NOT_BUILT("\/[a-z_]*\.\([A-Za-z]*\/[A-Za-z0-9]*\)".*/\1 UNIMPLEMENTED/p' $pd
        cat $pd $tikv src/server/health.c |
            sed -n 's/^\t{"\/[a-z0-9_.]*\.\([A-Za-z]*\/[A-Za-z0-9]*\)".*/\1 built/p'
    } | sed 's/^\(PD\|Tikv\)\///; s/^\(VersionedKv.*\) built/\1 UNIMPLEMENTED/' |
        sort -u
}

rpcs_in_page()
{
    awk -F '|' '$3 ~ /^ (built|UNIMPLEMENTED) $/ {
        n = split($2, names, ",")
        for (i = 1; i <= n; i++) {
            gsub(/ /, "", names[i])
            gsub(/ /, "", $3)
            print names[i], $3
        }
    }' docs/compatibility.md | sort -u
}

# Lines "METHOD path" of PD's HTTP interface; a variable segment is {}.
http_in_source()
{
    sed -n 's/^\t{\{1,2\}"\([A-Z]*\)", "\(v[12]\/[^"]*\)".*/\1 \2/p' pd/http_*.c | sort -u
}

http_in_page()
{
    awk -F '|' '$2 ~ /`v[12]\// {
        n = split($2, paths, ",")
        m = split($3, methods, ",")
        for (i = 1; i <= n; i++)
            for (k = 1; k <= m; k++) {
                gsub(/[ `]/, "", paths[i])
                gsub(/\{[a-z]*\}/, "{}", paths[i])
                gsub(/ /, "", methods[k])
                print methods[k], paths[i]
            }
    }' docs/compatibility.md | sort -u
}

# The same of what is not served: what 014_pd asks for is what the page lists.
not_served_in_test()
{
    sed -n '/^sub check_not_served/,/^}/s/^\([A-Z]\{3,\} v[12]\/.*\)/\1/p' test/tap/t/014_pd.pl | sort -u
}

not_served_in_page()
{
    awk -F '|' '$2 ~ /`\/pd\/api\/v[12]\// {
        n = split($2, paths, ",")
        m = split($3, methods, ",")
        for (i = 1; i <= n; i++)
            for (k = 1; k <= m; k++) {
                gsub(/[ `]|\/pd\/api\//, "", paths[i])
                gsub(/\{[a-z]*\}/, "{}", paths[i])
                gsub(/ /, "", methods[k])
                print methods[k], paths[i]
            }
    }' docs/compatibility.md | sort -u
}

for name in $(settings); do
    grep -q "\`$name\`" docs/settings.md ||
        complain "docs/settings.md: does not mention \`$name\`"
done
while read -r name; do
    settings | grep -qx "$name" ||
        complain "docs/settings.md: $name is not a setting (src/guc.c)"
done < <(sed -n 's/^| .\(tikv\.[a-z_]*\). .*/\1/p' docs/settings.md)
for name in $(settings); do
    grep -q "^	\"$name\"," src/status/config.c ||
        complain "src/status/config.c: /config does not show $name"
done
for name in $(functions) $(views); do
    case $name in tikv_internal.*) continue ;; esac
    grep -rq "$name" README.md docs/*.md ||
        complain "$name: not in README.md or docs/"
    grep -qE "^COMMENT ON (FUNCTION|VIEW) $name" sql/tikv_fdw.sql ||
        complain "$name: no COMMENT in sql/tikv_fdw.sql"
done
while read -r side rpc; do
    complain "docs/compatibility.md: $rpc: $side"
done < <(comm -3 <(rpcs_in_source) <(rpcs_in_page) |
    sed 's/^\t\(.*\)/page-only \1/; t; s/^/source-only /')
while read -r side path; do
    complain "docs/compatibility.md: $path: $side"
done < <(comm -3 <(http_in_source) <(http_in_page) |
    sed 's/^\t\(.*\)/page-only \1/; t; s/^/source-only /')
while read -r side path; do
    complain "docs/compatibility.md: $path: $side"
done < <(comm -3 <(not_served_in_test) <(not_served_in_page) |
    sed 's/^\t\(.*\)/page-only \1/; t; s/^/test-only /')
[ $failed -eq 0 ] || echo "To fix: add the line to the page named"
exit $failed
