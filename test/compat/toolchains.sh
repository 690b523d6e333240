#!/usr/bin/env bash
# Finds or installs what the client programs are built with.
#
# usage: test/compat/toolchains.sh            install what is missing
#        . test/compat/toolchains.sh          only define the functions below
#
# Needed: protoc, etcdctl, Go that can fetch the version named in go.mod (1.21 or
# newer), Cargo 1.78 or newer, a JDK 17 or newer with Maven.  On Debian the
# packages are used; its Go is too old in release 12, so there it fetches a
# newer one as the module golang.org/toolchain, with the checksum database
# behind it.  Elsewhere, and where that fails, the script says what to
# install.

COMPAT=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

GO_BOOTSTRAP_VERSION=1.25.12
GO_MIN=1.21
CARGO_MIN=1.78
JAVA_MIN=17

TOOL_CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/tikv_fdw

# True if version $1 is at least $2.
version_reaches()
{
    [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]
}

version_of_go()
{
    go env GOVERSION 2>/dev/null | sed -n 's/^go\([0-9.]*\).*/\1/p'
}

version_of_cargo()
{
    cargo --version 2>/dev/null | sed -n 's/^cargo \([0-9.]*\).*/\1/p'
}

version_of_java()
{
    javac -version 2>&1 | sed -n 's/^javac \([0-9]*\).*/\1/p'
}

# The reason why a tool cannot be used, or nothing.
missing_protoc()
{
    command -v protoc >/dev/null || echo "protoc is missing"
}

missing_etcdctl()
{
    command -v etcdctl >/dev/null || echo "etcdctl is missing"
}

missing_go()
{
    local version

    version=$(cd "$COMPAT" && version_of_go)
    if [ -z "$version" ]; then
        echo "Go is missing"
    elif ! version_reaches "$version" $GO_MIN; then
        echo "Go $version is older than $GO_MIN"
    fi
}

missing_cargo()
{
    local version

    version=$(version_of_cargo)
    if [ -z "$version" ]; then
        echo "Cargo is missing"
    elif ! version_reaches "$version" $CARGO_MIN; then
        echo "Cargo $version is older than $CARGO_MIN"
    fi
}

missing_java()
{
    local version

    version=$(version_of_java)
    if [ -z "$version" ]; then
        echo "javac is missing"
    elif ! version_reaches "$version" $JAVA_MIN; then
        echo "Java $version is older than $JAVA_MIN"
    elif ! command -v mvn >/dev/null; then
        echo "Maven is missing"
    fi
}

# What toolchains.sh installed earlier comes before what is too old, and the
# usual places of Go and Cargo count even if PATH lacks them.
use_toolchains()
{
    local dir

    for dir in /usr/local/go/bin "$HOME/.cargo/bin"; do
        if [ -d "$dir" ]; then
            PATH=$PATH:$dir
        fi
    done
    if [ -n "$(missing_go)" ] && [ -x "$TOOL_CACHE/go/bin/go" ]; then
        PATH=$TOOL_CACHE/go/bin:$PATH
    fi
    export PATH
}

# Fetch a Go distribution with the help of an older Go, which checks it
# against the checksum database as any module.
bootstrap_go()
{
    local module dir

    module=golang.org/toolchain@v0.0.1-go$GO_BOOTSTRAP_VERSION.linux-$(go env GOARCH)
    step "fetching $module"
    dir=$(cd / && GOTOOLCHAIN=local GO111MODULE=on go mod download -json "$module" |
        sed -n 's/^[[:space:]]*"Dir": "\(.*\)",*$/\1/p')
    [ -d "$dir" ] || die "the Go toolchain could not be fetched"
    mkdir -p "$TOOL_CACHE"
    rm -rf "$TOOL_CACHE/go"
    cp -r "$dir" "$TOOL_CACHE/go"
    # Modules are kept read-only and without execute permission.
    chmod -R u+w "$TOOL_CACHE/go"
    chmod +x "$TOOL_CACHE/go/bin"/* "$TOOL_CACHE/go/pkg/tool"/*/*
    use_toolchains
}

install_go()
{
    [ -n "$(missing_go)" ] || return 0
    if is_debian; then
        command -v go >/dev/null || install_packages golang-go ca-certificates
        [ -z "$(missing_go)" ] || bootstrap_go
    fi
    need_tool go "install it from https://go.dev/dl"
}

# The first of these that is new enough; cargo-web is what Debian 12 builds
# its browsers with.
install_cargo()
{
    local package version

    [ -n "$(missing_cargo)" ] || return 0
    if is_debian; then
        as_admin apt-get update -qq
        for package in cargo cargo-web; do
            version=$(apt-cache policy "$package" |
                sed -n 's/.*Candidate: \([0-9.]*\).*/\1/p')
            # Debian's package "cargo" counted 0.66 for Cargo 1.63.
            if [ -n "$version" ] && version_reaches "$version" $CARGO_MIN; then
                install_packages "$package" build-essential ca-certificates
                break
            fi
        done
    fi
    need_tool cargo "install it from https://rustup.rs"
}

install_java()
{
    [ -n "$(missing_java)" ] || return 0
    if is_debian; then
        install_packages default-jdk-headless maven
    fi
    need_tool java "install a JDK and Maven"
}

install_protoc()
{
    [ -n "$(missing_protoc)" ] || return 0
    if is_debian; then
        install_packages protobuf-compiler
    fi
    need_tool protoc "install the protobuf compiler"
}

install_etcdctl()
{
    [ -n "$(missing_etcdctl)" ] || return 0
    if is_debian; then
        install_packages etcd-client
    fi
    need_tool etcdctl "install etcd's client"
}

# End the script if a tool is still missing.
need_tool()
{
    local reason

    reason=$("missing_$1")
    [ -z "$reason" ] || die "$reason: $2"
}

# Fetch what the programs depend on, so that a later build needs no network.
fill_caches()
{
    local dir

    for dir in compat/{descriptors,go,go-2022,pdctl,wire} faults bench/ycsb; do
        step "modules of test/$dir"
        (cd "$COMPAT/../$dir" && go mod download)
    done
    step "crates of test/compat/rust"
    (cd "$COMPAT/rust" && cargo fetch --locked --quiet)
    step "artifacts of test/compat/java"
    (cd "$COMPAT/java" && mvn -B -q compile dependency:copy-dependencies)
}

if [ "${BASH_SOURCE[0]}" = "$0" ]; then
    . "$COMPAT/../../scripts/lib.sh"
    use_toolchains
    install_protoc
    install_etcdctl
    install_go
    install_cargo
    install_java
    fill_caches
    say "protoc: $(protoc --version), Go: $(version_of_go), Cargo:" \
        "$(version_of_cargo), Java: $(version_of_java)"
fi
