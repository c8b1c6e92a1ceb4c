#!/usr/bin/env bash
# Prints the path of the Kubernetes program, which is built when it is not there: it takes some 8 minutes of a processor's
# time once, and seconds after a change. It stays in the user's cache folder until its sources change.
set -euo pipefail
cd "$(dirname "$0")"

version=1.34.4
export LC_ALL=C
hash=$(cat go.mod go.sum ./*.go build.sh | sha256sum | cut -c -16)
folder="${XDG_CACHE_HOME:-$HOME/.cache}/stratos/kubernetes/$hash" program="$folder/kubernetes"
if [[ ! -x $program ]]; then
    mkdir -p "$folder"
    # Two tests may want it at once: the second waits, and finds it.
    exec 9>"$folder/lock"
    flock 9
    if [[ ! -x $program ]]; then
        # Without these the server says that it is v0.0.0, and kubectl warns of it.
        flags="-s -w"
        for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
            flags+=" -X $package.gitVersion=v$version -X $package.gitMajor=1 -X $package.gitMinor=34"
        done
        CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags "$flags" -o "$program.unfinished" . >&2
        # Whole, or not there.
        mv "$program.unfinished" "$program"
        # One that nobody has started for a month is of older sources.
        find "$(dirname "$folder")" -mindepth 1 -maxdepth 1 -type d -mtime +30 -exec rm -rf {} +
    fi
fi
touch "$folder"
echo "$program"
