#!/usr/bin/env bash
# No test lies around that no target runs.
set -u
cd "$(dirname "$0")/.." || exit 1
failed=0

complain()
{
    echo "$1"
    failed=1
}

# test/unit: `make unit` runs test_*.c.
for file in test/unit/*.c; do
    [ -e "$file" ] || continue
    case $(basename "$file") in
        test_*.c) ;;
        *) complain "$file: name it test_<module>.c, or make unit skips it" ;;
    esac
    grep -q 'unit_done()' "$file" ||
        complain "$file: end main with \`return unit_done();\`, or failures do not count"
done

# sql/ and expected/ belong together.
for file in sql/*.sql; do
    case $(basename "$file") in
        tikv_fdw.sql) continue ;;
    esac
    [ -e "expected/$(basename "$file" .sql).out" ] ||
        complain "$file: no expected/$(basename "$file" .sql).out"
done
for file in expected/*.out; do
    [ -e "$file" ] || continue
    name=$(basename "$file" .out)
    [ -e "sql/${name%_[0-9]}.sql" ] || [ -e "sql/$name.sql" ] ||
        complain "$file: no sql/$name.sql"
done

# test/tap: prove runs t/*.pl only.
for file in test/tap/t/*; do
    [ -e "$file" ] || continue
    case $file in
        *.pl) ;;
        *) complain "$file: prove runs t/*.pl only" ;;
    esac
done

# Every folder of tests is run by a target.
for dir in test/*/; do
    name=$(basename "$dir")
    case $name in tools) continue ;; esac
    grep -rqE "test/$name\b" Makefile build scripts test/*.sh 2>/dev/null ||
        complain "test/$name: no target in build/ or scripts/ mentions it"
done
[ $failed -eq 0 ] || echo "To fix: rename the file or add it to build/test.mk or scripts/check"
exit $failed
