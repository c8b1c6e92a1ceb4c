#!/usr/bin/env bash
# Prints the path of `helm`, which is built when it is not there: it takes some minutes of a processor's time once. It stays in the
# user's cache folder until its sources change.
set -euo pipefail
cd "$(dirname "$0")"

export LC_ALL=C
hash=$(cat go.mod go.sum build.sh | sha256sum | cut -c -16)
folder="${XDG_CACHE_HOME:-$HOME/.cache}/stratos/helm/$hash" program="$folder/helm"
if [[ ! -x $program ]]; then
    mkdir -p "$folder"
    # Two tests may want it at once: the second waits, and finds it.
    exec 9>"$folder/lock"
    flock 9
    if [[ ! -x $program ]]; then
        CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags "-s -w" -o "$program.unfinished" helm.sh/helm/v4/cmd/helm >&2
        # Whole, or not there.
        mv "$program.unfinished" "$program"
        # One that nobody has started for a month is of older sources.
        find "$(dirname "$folder")" -mindepth 1 -maxdepth 1 -type d -mtime +30 -exec rm -rf {} +
    fi
fi
touch "$folder"
echo "$program"
