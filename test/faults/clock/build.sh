# shellcheck shell=bash
# Sourced after scripts/lib.sh.

# Make file $1 the library by which the clock of an instance is set.
make_step_clock()
{
    "${CC:-cc}" -std=gnu11 -O2 -Wall -Wextra -shared -fPIC -o "$1" \
        "$TOP/test/faults/clock/clock.c" -ldl
}
