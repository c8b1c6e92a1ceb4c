#!/usr/bin/env bash
# Real Docker engines for tests: each in a network namespace of its own, on one bridge, beside an image registry.
# They have nothing in common with an engine that this machine may have, and end when standard input ends: when the test
# that started them is gone, however it went.
#
#   engines.sh FOLDER SUBNET COUNT      prints "ready" when all answer; the sockets are FOLDER/<n>.sock
#
# More options of engine n stand in FOLDER/<n>.options, one word a line.
# SUBNET is the third number of 10.213.SUBNET.0/24: the host is .1 (with the registry on port 5000), engine n is .(10+n).
set -euo pipefail
folder=$1 subnet=$2 count=$3
bridge=strt$subnet network=10.213.$subnet
exec 3>&1 4>&2 1>"$folder/log" 2>&1

pids=() keepers=()
clean_up() {
    trap '' TERM INT HUP
    set +e
    rm -f "$folder"/*.up
    # Whatever runs in a container of ours was started by a shim whose arguments name our folder.
    pkill -KILL -f "containerd-shim.*$folder/"
    kill -TERM "${pids[@]}" 2>/dev/null
    for _ in $(seq 100); do kill -0 "${pids[@]}" 2>/dev/null || break; sleep 0.1; done
    for engine in "$folder"/*.pid; do kill -KILL "$(cat "$engine")" 2>/dev/null; done
    kill -KILL "${pids[@]}" 2>/dev/null
    wait
    for n in $(seq 0 $((count - 1))); do ip netns del "$bridge-$n"; done
    iptables -D FORWARD -i "$bridge" -o "$bridge" -j ACCEPT
    ip link del "$bridge"
    findmnt -rno TARGET | grep -F "$folder/" | sort -r | xargs -r umount -l
    rm -rf "$folder"
}

last_words() {
    echo "engine $1 has ended by itself:"
    local failed
    failed=$(grep -n -m 1 -E '^(panic|fatal error|SIG[A-Z]+|unexpected fault)' "$folder/log" | cut -d : -f 1) || true
    if [[ -n $failed ]]; then tail -n +"$failed" "$folder/log" | head -n 60; else tail -n 40 "$folder/log"; fi
}

ip link add "$bridge" type bridge     # fails where the subnet is taken: the caller tries another
trap clean_up EXIT
trap 'exit 1' TERM INT HUP
ip addr add "$network.1/24" dev "$bridge"
ip link set "$bridge" up
# An engine of the host would drop what goes from node to node.
iptables -I FORWARD -i "$bridge" -o "$bridge" -j ACCEPT || echo "no iptables: engines may not reach each other"

mkdir -p "$folder/registry"
cat > "$folder/registry.yml" <<YAML
version: 0.1
log: { level: warn }
storage: { delete: { enabled: true }, filesystem: { rootdirectory: $folder/registry } }
http: { addr: "$network.1:5000" }
YAML
docker-registry serve "$folder/registry.yml" 4>&- & pids+=($!)

# Engines, and the copies of themselves that they start for each container, spend memory rather than the processor's time.
export GOGC=off GOMEMLIMIT=512MiB

connect() {
    local n=$1 namespace=$bridge-$1
    ip netns add "$namespace"
    ip link add "$bridge-h$n" type veth peer name eth0 netns "$namespace"
    ip link set "$bridge-h$n" master "$bridge" up
    # No default route: with one, each start of a task waits half a minute for names that nothing here resolves.
    nsenter --net="/run/netns/$namespace" sh -c "ip addr add $network.$((10 + n))/24 dev eth0; ip link set eth0 up; ip link set lo up"
}
run() {
    local n=$1 options=()
    [[ ! -e $folder/$n.options ]] || mapfile -t options < "$folder/$n.options"
    # Not `ip netns exec`: it mounts another /sys, and the engine finds no cgroups.
    exec nsenter --net="/run/netns/$bridge-$n" unshare -u sh -c "hostname node$n; exec dockerd \"\$@\" --data-root $folder/$n-data \
        --exec-root $folder/$n-exec --pidfile $folder/$n.pid -H unix://$folder/$n.sock --insecure-registry $network.0/24 \
        --registry-mirror http://$network.1:5000" dockerd "${options[@]}" 4>&-
}
# Starts an engine again that has ended by itself, as a machine's service manager would: a swarm's manager of 20.10 ends where a task goes
# in the moment in which its service is deleted. One that ends again and again stays away. `<n>.up` is there while it should be.
keep() {
    local n=$1 engine
    trap 'kill -TERM "$engine"; wait "$engine"; exit' TERM
    for _ in 1 2 3 4; do
        run "$n" & engine=$!
        wait "$engine" || true
        rm -f "$folder/$n.pid"
        [[ -e $folder/$n.up ]] || return 0
        last_words "$n" >&4 || true     # `head` leaves `tail` before its end
    done
}
start() {
    keep "$1" & keepers[$1]=$!
    pids+=($!)
}
answers() {
    local n=$1
    for _ in $(seq 300); do
        docker -H "unix://$folder/$n.sock" version >/dev/null 2>&1 && touch "$folder/$n.up" && return
        kill -0 "${keepers[$n]}"     # ended: no need to wait on
        sleep 0.1
    done
    echo "engine $n does not answer"
    return 1
}
for n in $(seq 0 $((count - 1))); do connect "$n"; start "$n"; done
for n in $(seq 0 $((count - 1))); do answers "$n"; done
echo ready >&3
# `stop N` takes an engine away with all that it runs, as a power cut would; `start N` brings it back.
while read -r what n; do
    case $what in
        stop)
            rm "$folder/$n.up"
            mapfile -t inside < <(find "$folder/$n-exec" -name init.pid -exec sh -c 'cat "$1"; echo' sh {} \;)
            kill -KILL "$(cat "$folder/$n.pid")"
            pkill -KILL -f "containerd.*$folder/$n-exec" || true
            (("${#inside[@]}" == 0)) || kill -KILL "${inside[@]}" || true
            echo stopped >&3 ;;
        start)
            start "$n"
            answers "$n"
            echo started >&3 ;;
        *) echo "unknown: $what" >&3 ;;
    esac
done
