#!/usr/bin/env bash
# The README's two commands on a machine that has neither Postgres nor a
# compiler: a minimal Debian made by debootstrap in a folder, once for root
# and once for an ordinary user with sudo.  Each gets a fresh clone of what is
# committed here and runs scripts/quickstart and scripts/check, both twice.
# And the Debian package that `make deb` has made: installed by apt, it serves.
#
# usage: test/fresh.sh [root|user|deb]...     (default: all)
#   SUITE=bookworm MIRROR=URL SECURITY_MIRROR=URL   the system to make
#   STEPS="step..."             steps of scripts/check (default all, "none"
#                               leaves it out)
#   COPY="file..."              what the new system needs of this one's
#                               configuration, such as a proxy for apt
#   KEEP=1                      leave the system behind, to look around
#
# Must run as root, for chroot and mount.  It isolates files, not ports: those
# of the quickstart and those above BASE_PORT must be free.

. "$(dirname "${BASH_SOURCE[0]}")/../scripts/lib.sh"

SUITE=${SUITE:-bookworm}
MIRROR=${MIRROR:-http://deb.debian.org/debian}
SECURITY_MIRROR=${SECURITY_MIRROR:-http://deb.debian.org/debian-security}
BASE_PORT=${BASE_PORT:-4000}
PORTS=(54321 20160 20170 20180 2379)
MOUNTS=(proc sys dev dev/pts dev/shm)
SETTINGS=(http_proxy https_proxy no_proxy GOPROXY GOSUMDB)

WORK=
ROOT=

# The machine's own folders come first, so that nothing is removed through
# them.
remove_system()
{
    local folder

    end_processes TERM
    sleep 1
    end_processes KILL
    for folder in dev/shm dev/pts dev sys proc; do
        ! mountpoint -q "$ROOT/$folder" || umount "$ROOT/$folder" ||
            die "$ROOT/$folder stays mounted; nothing was removed"
    done
    rm -rf --one-file-system -- "$ROOT"
    ROOT=
}

# Signal what lives in the new system, and nothing else.
end_processes()
{
    local process

    for process in /proc/[0-9]*; do
        [ "$(readlink "$process/root")" != "$ROOT" ] ||
            kill -s "$1" "${process#/proc/}" 2>/dev/null || :
    done
}

finish()
{
    local answer=$?

    trap - EXIT
    if [ -n "${KEEP:-}" ]; then
        say "left behind, mounts and all: $WORK"
        exit $answer
    fi
    [ -z "$ROOT" ] || remove_system
    rm -rf --one-file-system -- "$WORK"
    exit $answer
}

need_free_ports()
{
    local port

    for port in "${PORTS[@]}"; do
        ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null ||
            die "port $port is taken; is a quickstart cluster running?" \
                "(scripts/cluster stop)"
    done
}

# One download serves all systems.
make_base()
{
    local file command

    step "minimal $SUITE"
    run_quietly debootstrap --variant=minbase \
        --include=ca-certificates,git,sudo "$SUITE" "$WORK/base" "$MIRROR"
    for file in /etc/resolv.conf /etc/hosts ${COPY:-}; do
        install -D -m 644 "$file" "$WORK/base$file"
    done
    # With the security updates that a stock system has.
    printf '%s\n' "deb $MIRROR $SUITE main" "deb $MIRROR $SUITE-updates main" \
        "deb $SECURITY_MIRROR $SUITE-security main" >"$WORK/base/etc/apt/sources.list"
    # A company's own certificates, if there are any.
    cp -a /usr/local/share/ca-certificates/. \
        "$WORK/base/usr/local/share/ca-certificates/"
    run_quietly chroot "$WORK/base" update-ca-certificates
    chroot "$WORK/base" useradd -m -s /bin/bash user
    printf 'user ALL=(ALL:ALL) NOPASSWD: ALL\n' >"$WORK/base/etc/sudoers.d/user"
    for command in gcc postgres psql go cargo javac; do
        ! chroot "$WORK/base" sh -c "command -v $command" >/dev/null ||
            die "the new system is not fresh: it has $command"
    done
}

make_system()
{
    local user=$1 folder home

    ROOT=$WORK/$user
    cp -a --one-file-system "$WORK/base" "$ROOT"
    mount -t proc proc "$ROOT/proc"
    for folder in "${MOUNTS[@]:1}"; do
        mount --bind "/$folder" "$ROOT/$folder"
    done
    home=$(home_of "$user")
    git clone -q --no-local "$TOP" "$ROOT$home/tikv_fdw"
    chroot "$ROOT" chown -R "$user:" "$home/tikv_fdw"
}

home_of()
{
    case $1 in
        root) echo /root ;;
        *) echo "/home/$1" ;;
    esac
}

# Run a command in the clone, with the environment of a login.
run_as()
{
    local user=$1 home name settings=()

    shift
    home=$(home_of "$user")
    for name in "${SETTINGS[@]}"; do
        [ -z "${!name:-}" ] || settings+=("$name=${!name}")
    done
    chroot "$ROOT" runuser -u "$user" -- env -i HOME="$home" USER="$user" \
        LOGNAME="$user" TERM=dumb BASE_PORT="$BASE_PORT" "${settings[@]}" \
        PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
        bash -c "cd '$home/tikv_fdw' && exec \"\$@\"" -- "$@" </dev/null
}

# A clone that is used must stay clean.
check_clean()
{
    local changes

    changes=$(run_as "$1" git status --short)
    [ -z "$changes" ] || die "the commands leave this in the clone:
$changes"
}

# The process id of the quickstart's server.
server_pid()
{
    case $1 in
        root) head -n 1 "$ROOT/var/lib/tikv_fdw/node0/data/postmaster.pid" ;;
        *) head -n 1 "$ROOT$(home_of "$1")/.tikv_fdw/node0/data/postmaster.pid" ;;
    esac
}

# Both commands, and both again.
try_commands()
{
    local user=$1 round pid='' steps=()

    read -ra steps <<<"${STEPS:-}"
    for round in first again; do
        step "scripts/quickstart as $user, $round"
        run_as "$user" scripts/quickstart
        [ "$(server_pid "$user")" = "${pid:-$(server_pid "$user")}" ] ||
            die 'scripts/quickstart restarts a node that runs what is installed'
        pid=$(server_pid "$user")
        run_as "$user" scripts/cluster status
        [ "${STEPS:-}" != none ] || continue
        step "scripts/check ${STEPS:-} as $user, $round"
        run_as "$user" scripts/check "${steps[@]}"
    done
    check_clean "$user"
    run_as "$user" scripts/cluster stop --wipe
}

# The package, as its README.Debian says, and a key through SQL and gRPC.
try_package()
{
    local deb port=$((15432 + BASE_PORT)) pd=127.0.0.1:$((2379 + BASE_PORT)) _

    deb=$(find "$TOP/out/deb" -name 'postgresql-15-tikv-fdw_*.deb' 2>/dev/null)
    [ -n "$deb" ] || die "there is no package: make deb"
    step "installing $(basename "$deb")"
    cp "$deb" "$TOP/out/bin/rawctl" "$ROOT/tmp/"
    in_system apt-get update -qq
    in_system apt-get install -y -qq --no-install-recommends "/tmp/$(basename "$deb")"
    in_system pg_dropcluster --stop 15 main || :
    in_system pg_createcluster 15 main -p $port
    in_system pg_conftool 15 main set shared_preload_libraries tikv_fdw
    in_system pg_conftool 15 main set tikv.pd_addr "$pd"
    in_system pg_conftool 15 main set tikv.addr 127.0.0.1:$((20160 + BASE_PORT))
    in_system pg_conftool 15 main set tikv.status_addr 127.0.0.1:$((20180 + BASE_PORT))
    in_system pg_ctlcluster 15 main start
    system_psql $port 'CREATE EXTENSION tikv_fdw'
    for _ in $(seq 1 600); do
        [ "$(all_serve $port)" != t ] || break
        sleep 0.1
    done
    [ "$(all_serve $port)" = t ] ||
        die "not all workers of the package serve:
$(system_psql $port 'SELECT worker, state, reason FROM tikv_status()')"
    in_system /tmp/rawctl --pd "$pd" put package serves
    [ "$(system_psql $port "SELECT convert_from(tikv_get('package'), 'UTF8')")" = serves ] ||
        die 'the package does not serve'
    in_system pg_ctlcluster 15 main stop
    in_system apt-get purge -y -qq postgresql-15-tikv-fdw
    [ -z "$(find "$ROOT/usr" -name 'tikv_*')" ] || die 'the package leaves files behind'
}

all_serve()
{
    system_psql "$1" "SELECT count(*) > 0 AND bool_and(state = 'serving') FROM tikv_status()"
}

# Run a command as root of the new system.
in_system()
{
    local name settings=()

    for name in "${SETTINGS[@]}"; do
        [ -z "${!name:-}" ] || settings+=("$name=${!name}")
    done
    chroot "$ROOT" env -i HOME=/root TERM=dumb LANG=C.UTF-8 DEBIAN_FRONTEND=noninteractive \
        "${settings[@]}" PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
        "$@" </dev/null
}

system_psql()
{
    in_system runuser -u postgres -- psql -X -q -At -v ON_ERROR_STOP=1 -p "$1" -c "$2"
}

is_root || die "run it as root: it makes a system in a folder and enters it"
command -v debootstrap >/dev/null ||
    die "debootstrap is missing: apt-get install debootstrap"
[ $# -gt 0 ] || set -- root user deb
for name in "$@"; do
    case $name in
        root | user | deb) ;;
        *)
            sed -n '2,/^$/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
            exit 1
            ;;
    esac
done
WORK=$(realpath "$(mktemp -d "${TMPDIR:-/tmp}/tikv_fresh.XXXXXX")")
# The new system need not have that folder.
unset TMPDIR
chmod 755 "$WORK"
trap finish EXIT
trap 'exit 130' INT TERM
case " $* " in *' root '* | *' user '*) need_free_ports ;; esac
make_base
for name in "$@"; do
    if [ "$name" = deb ]; then
        make_system root
        try_package
    else
        make_system "$name"
        try_commands "$name"
    fi
    remove_system
done
say "ok: a fresh $SUITE: $*"
