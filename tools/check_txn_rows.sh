#!/usr/bin/env bash
# Every row of the tables of transactions is named by a test, and no test names
# one that there is not.
exec "$(dirname "$0")/txn_rows.sh"
