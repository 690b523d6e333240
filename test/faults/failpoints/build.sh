# shellcheck shell=bash
# A build with failpoints, installed into a copy of Postgres that is nobody
# else's.  Sourced after scripts/lib.sh; the installed build is left alone.

# Tests that begin at the same time build it once.
make_failpoint_libs()
{
    mkdir -p "$TOP/out"
    flock "$TOP/out/failpoints.lock" make -s -C "$TOP" -j"$(nproc)" \
        PG_CONFIG="$PG_CONFIG" QUIET=1 OUT=out/failpoints FAILPOINTS=1 libs
}

# Make folder $1 a copy of Postgres with that build.  Postgres finds its files
# by their place beside its programs, so a copy of all that keeps these places
# works.
copy_failpoint_build()
{
    local place=$1 folder

    for folder in --bindir --pkglibdir --sharedir; do
        folder=$("$PG_CONFIG" "$folder")
        as_server mkdir -p "$place$folder"
        as_server cp -a "$folder/." "$place$folder/"
    done
    make -s -C "$TOP" PG_CONFIG="$PG_CONFIG" QUIET=1 OUT=out/failpoints \
        FAILPOINTS=1 DESTDIR="$place" install-libs
}

# Set PG_CONFIG and PG_BINDIR to such a copy.
use_failpoint_build()
{
    local place=$1 original

    original=$("$PG_CONFIG" --pkglibdir)
    make_failpoint_libs
    copy_failpoint_build "$place"
    PG_BINDIR=$place$("$PG_CONFIG" --bindir)
    PG_CONFIG=$PG_BINDIR/pg_config
    export PG_BINDIR PG_CONFIG
    [ "$("$PG_CONFIG" --pkglibdir)" != "$original" ] ||
        die "this Postgres cannot be copied: it keeps to its folders"
}
