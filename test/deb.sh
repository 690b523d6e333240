#!/usr/bin/env bash
# The Debian package: it is built, what it holds is complete and finds its
# libraries, its dependencies name them, lintian is content.  That it installs
# and works on a system that has nothing of it is `test/fresh.sh deb`.
#
# usage: test/deb.sh

. "$(dirname "${BASH_SOURCE[0]}")/../scripts/lib.sh"

NAME=postgresql-15-tikv-fdw
FILES=(
    usr/lib/postgresql/15/lib/tikv_fdw.so
    usr/lib/postgresql/15/lib/tikv_worker.so
    usr/lib/postgresql/15/lib/tikv_status.so
    usr/share/postgresql/15/extension/tikv_fdw.control
    "usr/share/doc/$NAME/README.Debian"
    "usr/share/doc/$NAME/copyright"
)

ROOT=$(mktemp -d)
trap 'rm -rf "$ROOT"' EXIT

build()
{
    install_packages debhelper lintian
    run_quietly make -C "$TOP" deb
    DEB=$(find "$TOP/out/deb" -name "${NAME}_*.deb")
    [ -n "$DEB" ] || die "make deb has made no $NAME"
}

check_files()
{
    local file version

    dpkg-deb -x "$DEB" "$ROOT"
    version=$(sed -n "s/^default_version *= *'\(.*\)'/\1/p" "$TOP/tikv_fdw.control")
    FILES+=("usr/share/postgresql/15/extension/tikv_fdw--$version.sql")
    for file in "${FILES[@]}"; do
        [ -s "$ROOT/$file" ] || die "the package has no $file"
    done
    for file in "$TOP"/out/tikv_fdw--*.sql "$TOP"/sql/released/*.sql; do
        cmp "$file" "$ROOT/usr/share/postgresql/15/extension/$(basename "$file")"
    done
    [ "$(dpkg-deb -f "$DEB" Version)" = "$version" ] ||
        die "the package is of version $(dpkg-deb -f "$DEB" Version), the extension of $version"
}

# dpkg knows a file by the path it came with, on a merged /usr maybe the other.
package_of()
{
    local real

    real=$(realpath "$1")
    { dpkg -S "$real" "${real#/usr}" 2>/dev/null || :; } |
        cut -d: -f1 | head -n 1
}

# Each library that is needed is there, and its package is depended upon.
check_libraries()
{
    local library path package depends

    depends=$(dpkg-deb -f "$DEB" Depends)
    case $depends in
        *"postgresql-15 (>= $("$PG_CONFIG" --version | sed 's/[^0-9]*\([0-9.]*\).*/\1/'))"*) ;;
        *) die "it does not depend on the server that it was built for: $depends" ;;
    esac
    ! ldd "$ROOT"/usr/lib/postgresql/15/lib/*.so | grep 'not found' ||
        die 'a library is missing'
    for library in $(objdump -p "$ROOT"/usr/lib/postgresql/15/lib/*.so |
        awk '/NEEDED/{print $2}' | sort -u); do
        path=$(ldd "$ROOT"/usr/lib/postgresql/15/lib/*.so |
            awk -v name="$library" '$1 == name && $3 != "" && !n++ {print $3}')
        [ -n "$path" ] || continue # the dynamic linker
        package=$(package_of "$path")
        case ", $depends" in
            *", $package ("* | *", $package,"* | *", $package") ;;
            *) die "$library is of $package, which it does not depend on: $depends" ;;
        esac
    done
}

need_postgres
is_debian || die 'packages are built on Debian'
build
check_files
check_libraries
lintian --fail-on error,warning --allow-root "$DEB" || die 'lintian is not content'
say "ok: $(basename "$DEB")"
