#!/bin/sh
# quiet.sh LOG COMMAND...: runs a command, its output goes to LOG and is shown
# only if the command fails.
set -eu
log=$1
shift
if ! "$@" >"$log" 2>&1; then
    tail -n 40 "$log" | cut -c 1-300 >&2
    echo "firmware: failed: $* (whole log: $log)" >&2
    exit 1
fi
