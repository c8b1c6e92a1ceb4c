#!/usr/bin/env bash
# Writes the table of the API's types, `table.txt`, by the Kubernetes program that the tests use. With `--check` it only says
# whether the committed table is what that program knows.
set -euo pipefail
cd "$(dirname "$0")"

program=$(../../../../tests/platforms/kubernetes/build.sh)
if [[ ${1:-} == --check ]]; then
    "$program" types | diff --unified=1 table.txt - || {
        echo "types/table.txt is not what this version of Kubernetes knows: run crates/kubernetes/src/types/generate.sh" >&2
        exit 1
    }
else
    "$program" types > table.txt.unfinished
    mv table.txt.unfinished table.txt
fi
