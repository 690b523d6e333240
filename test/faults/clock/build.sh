# shellcheck shell=bash
# Sourced after scripts/lib.sh.

# Make file $1 the library by which the clock of an instance is set.
make_step_clock()
{
    "${CC:-cc}" -std=gnu11 -O2 -Wall -Wextra -shared -fPIC -o "$1" \
        "$TOP/test/faults/clock/clock.c" -ldl
    check_step_clock "$1"
}

# Waits with it are as the kernel has them, where it is an hour ahead.
check_step_clock()
{
    "${CC:-cc}" -std=gnu11 -O2 -Wall -Wextra -o "$1.check" \
        "$TOP/test/faults/clock/check.c"
    # 3,600,000,000,000 ns
    printf '\x00\xa0\xb8\x30\x46\x03\x00\x00' > "$1.hour"
    TIKV_TEST_CLOCK=$1.hour LD_PRELOAD=$1 "$1.check" ||
        die "the clock of test/faults/clock does not wait as the kernel does"
    rm "$1.check" "$1.hour"
}
