#!/usr/bin/env bash
# planted.sh: does fuzzing notice bugs?
#
# Puts one bug at a time into a copy of the sources, fuzzes it, and fails if
# the target does not.  usage: planted.sh [SECONDS [name...]]

. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/lib.sh"

COPY=$TOP/out/fuzz/planted
SECONDS_EACH=${1:-60}
[ $# -eq 0 ] || shift

# name|target|file|sed script, which has to change something
bugs()
{
    cat <<'END'
wire_length|fuzz_wire|src/service/wire.h|s/if (len > (uint64_t) (r->end - r->next))/if (len > (uint64_t) (r->end - r->next) + 1)/
recursion|fuzz_pd_rpc|src/service/service.c|s/if (type_is_recursive(type) \&\& /if (0 \&\& /
compact_bytes|fuzz_codec|src/core/codec/number.h|s/if (len > number_left(r))/if (len > number_left(r) + 1)/
marker|fuzz_codec|src/core/codec/memcomparable.c|s/if (pad > GROUP || /if (/
answered_twice|fuzz_raw|src/service/raw_range.c|0,/return false;/s//return true;/
inflate_bound|fuzz_inflate|src/server/inflate.c|s/ \&\& output.len <= max)/)/
json_escape|fuzz_pd_http|pd/core/json.c|s/if (\*s == '"' || /if (/
etcd_op|fuzz_pd_rpc|pd/service_etcd_txn.c|/^check_ops/,/^}/s/^\t\t\tdefault:/\t\t\tcase 99:/
snapshot_number|fuzz_snapshot|src/core/snapshot/snapshot_file.c|s/out->number > INT64_MAX/false/
snapshot_end|fuzz_transport|src/transport/snapshot_in.c|/^end(/,/^}/s/in->snapshot = NULL;//
wait_for_entry|fuzz_store_detector|src/store/detector.c|s/request == NULL || request->entry == NULL/request == NULL/
member_places|fuzz_pd_member|pd/core/members.c|s/if (members->n == PD_MAX_MEMBERS)/if (false)/
member_entry|fuzz_pd_member|pd/peers.c|s/!peer_can_apply(/false \&\& !peer_can_apply(/
member_timestamps|fuzz_pd_member|pd/forward_tso.c|s/batch == NULL || in == NULL ||/in == NULL ||/
member_numbers|fuzz_pd_member|src/core/raft/raft_types.h|s,(UINT64_MAX / 4),(UINT64_MAX - 1),
region_epoch|fuzz_reply|src/service/txn_client_reply.c|s/if (from->region_epoch != NULL)/if (true)/
END
}

plant()
{
    local file=$1 script=$2

    sed "$script" "$TOP/$file" >"$COPY/$file"
    ! cmp -s "$TOP/$file" "$COPY/$file" || die "$file: the bug is not planted"
}

find_bug()
{
    local target=$1 log=$COPY/fuzz.log

    make -s -C "$COPY" QUIET=1 PG_CONFIG="$PG_CONFIG" "out/fuzz/bin/$target" \
        >"$log" 2>&1 || die "the planted bug does not build, see $log"
    rm -rf "$COPY"/out/fuzz/{corpus,failed,seeds}
    # Few inputs are no bug that was found.
    ! MIN_INPUTS=0 "$COPY/test/fuzz/run.sh" "$SECONDS_EACH" "$target" >"$log" 2>&1
}

need_postgres
missed=0
mkdir -p "$COPY"
while IFS='|' read -r name target file script <&3; do
    [ $# -eq 0 ] || [[ " $* " == *" $name "* ]] || continue
    for dir in Makefile build pd proto scripts src sql test/fuzz test/unit \
        tikv_fdw.control; do
        mkdir -p "$COPY/$(dirname "$dir")"
        cp -ru "$TOP/$dir" "$COPY/$(dirname "$dir")/"
    done
    plant "$file" "$script"
    if find_bug "$target"; then
        say "found   $name, by $target"
    else
        say "MISSED  $name, by $target"
        missed=1
    fi
    cp "$TOP/$file" "$COPY/$file"
done 3< <(bugs)
exit $missed
