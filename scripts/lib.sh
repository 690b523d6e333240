# shellcheck shell=bash
# lib.sh: what the scripts share.  Sourced, not run.
#
# Finds Postgres, drops from root to the user that runs servers, installs
# packages, prints messages.  Nothing here starts or stops a server.

set -euo pipefail

TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
export TOP

PG_MAJOR_MIN=15

# The user who runs servers when we are root: initdb refuses root.
SERVER_USER=postgres

say()
{
    printf '%s\n' "$*"
}

# Step of a longer run.
step()
{
    printf '==> %s\n' "$*"
}

warn()
{
    printf '%s: %s\n' "$(basename "$0")" "$*" >&2
}

die()
{
    warn "$*"
    exit 1
}

is_root()
{
    [ "$(id -u)" -eq 0 ]
}

# Run as the user who owns the servers.  The working directory may be one
# that this user cannot enter, so commands get absolute paths.
as_server()
{
    if is_root; then
        (cd / && exec runuser -u "$SERVER_USER" -- "$@")
    else
        "$@"
    fi
}

# Run with the rights to change the system.
as_admin()
{
    if is_root; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo -E "$@"
    else
        die "this needs root: $*
Run it as root, or install sudo."
    fi
}

# Print the program folder of the newest Postgres >= 15 that has a server,
# or fail.  PG_CONFIG decides if it is set.
find_pg_bindir()
{
    local dir best='' config

    if [ -n "${PG_CONFIG:-}" ]; then
        "$PG_CONFIG" --bindir
        return
    fi
    for dir in /usr/lib/postgresql/*/bin /usr/pgsql-*/bin; do
        [ -x "$dir/postgres" ] || continue
        [ "$(pg_major "$dir")" -ge $PG_MAJOR_MIN ] && best=$dir
    done
    if [ -z "$best" ] && config=$(command -v pg_config); then
        dir=$("$config" --bindir)
        if [ -x "$dir/postgres" ] &&
            [ "$(pg_major "$dir")" -ge $PG_MAJOR_MIN ]; then
            best=$dir
        fi
    fi
    [ -n "$best" ] && printf '%s\n' "$best"
}

# Major version of the server in a program folder.
pg_major()
{
    "$1/postgres" --version | sed 's/[^0-9]*\([0-9]*\).*/\1/'
}

# Set PG_BINDIR and PG_CONFIG, or end with what to install.
need_postgres()
{
    PG_BINDIR=$(find_pg_bindir) ||
        die "no PostgreSQL >= $PG_MAJOR_MIN server found.
On Debian or Ubuntu: apt-get install postgresql postgresql-server-dev-all
Elsewhere: set PG_CONFIG=/path/to/pg_config"
    PG_CONFIG=${PG_CONFIG:-$PG_BINDIR/pg_config}
    export PG_BINDIR PG_CONFIG
}

# The folder of the quickstart's cluster.
default_home()
{
    if [ -n "${TIKV_HOME:-}" ]; then
        printf '%s\n' "$TIKV_HOME"
    elif is_root; then
        printf '/var/lib/tikv_fdw\n'
    else
        printf '%s\n' "$HOME/.tikv_fdw"
    fi
}

# A new folder that the server's user owns and can reach; the caller removes
# it.
make_server_tmp()
{
    as_server mktemp -d "/tmp/$1.XXXXXX"
}

is_debian()
{
    [ -e /etc/debian_version ] && command -v apt-get >/dev/null
}

# The Postgres packages' version number on this system: the one installed,
# else the newest that apt knows.
debian_pg_major()
{
    local dir

    if dir=$(find_pg_bindir); then
        pg_major "$dir"
    else
        apt-cache depends postgresql 2>/dev/null |
            sed -n 's/.*Depends: postgresql-\([0-9][0-9]*\)$/\1/p' | head -n 1
    fi
}

# Install the named Debian packages that are missing.
install_packages()
{
    local package missing=()

    for package in "$@"; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null |
            grep -q 'install ok installed' || missing+=("$package")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    step "installing packages: ${missing[*]}"
    run_quietly as_admin apt-get update -qq
    run_quietly as_admin env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-install-recommends "${missing[@]}"
}

# Run a command whose output matters only if it fails.
run_quietly()
{
    local log answer=0

    log=$(mktemp)
    "$@" >"$log" 2>&1 || answer=$?
    [ $answer -eq 0 ] || cat "$log" >&2
    rm -f "$log"
    return $answer
}

# What it takes to build and run.
install_build_packages()
{
    local major

    if ! is_debian; then
        say "Not a Debian system: expecting a C compiler, make, PostgreSQL >=" \
            "$PG_MAJOR_MIN with server headers, gRPC C core, protobuf-c with" \
            "protoc-c, libmicrohttpd, GnuTLS, OpenSSL and libpq to be there."
        return 0
    fi
    if [ -z "$(debian_pg_major)" ]; then
        as_admin apt-get update -qq
    fi
    major=$(debian_pg_major)
    [ "${major:-0}" -ge $PG_MAJOR_MIN ] ||
        die "this system's packages hold PostgreSQL ${major:-none}; tikv_fdw" \
            "needs $PG_MAJOR_MIN or newer (see https://apt.postgresql.org)"
    install_packages build-essential pkg-config "postgresql-$major" \
        "postgresql-server-dev-$major" libgrpc-dev libprotobuf-c-dev \
        protobuf-c-compiler protobuf-compiler libmicrohttpd-dev libgnutls28-dev \
        libssl-dev libpq-dev
}

# What the tests need beyond that; language toolchains come from
# test/compat/toolchains.sh.
install_check_packages()
{
    is_debian || return 0
    install_packages clang clang-format shellcheck libipc-run-perl \
        libio-socket-ssl-perl curl openssl \
        etcd-client debhelper lintian \
        "postgresql-$(debian_pg_major)-pgtap"
    # The sanitizers and the fuzzer of that clang.
    install_packages "libclang-rt-$(clang -dumpversion | cut -d. -f1)-dev"
}

# Build, and install into the server if the installed files differ.
build_and_install()
{
    make -s -C "$TOP" -j"$(nproc)" QUIET=1 PG_CONFIG="$PG_CONFIG" all
    install_if_changed
}

# True if the installed libraries and scripts are those just built.
is_installed()
{
    local lib share file

    lib=$("$PG_CONFIG" --pkglibdir)
    share=$("$PG_CONFIG" --sharedir)/extension
    cmp -s "$TOP/out/tikv_fdw.so" "$lib/tikv_fdw.so" &&
        cmp -s "$TOP/out/tikv_worker.so" "$lib/tikv_worker.so" &&
        cmp -s "$TOP/out/tikv_status.so" "$lib/tikv_status.so" &&
        cmp -s "$TOP/tikv_fdw.control" "$share/tikv_fdw.control" || return 1
    for file in "$TOP"/out/tikv_fdw--*.sql; do
        cmp -s "$file" "$share/$(basename "$file")" || return 1
    done
}

install_if_changed()
{
    if is_installed; then
        return 0
    fi
    if [ -w "$("$PG_CONFIG" --pkglibdir)" ]; then
        make -s -C "$TOP" PG_CONFIG="$PG_CONFIG" install
    else
        as_admin make -s -C "$TOP" PG_CONFIG="$PG_CONFIG" install
    fi
}
