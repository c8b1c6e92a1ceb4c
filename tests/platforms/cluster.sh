#!/usr/bin/env bash
# A real Kubernetes of one node for tests: in namespaces of its own for network, processes and mounts, so that several do not
# meet, and nothing is left when they are gone. It has nothing in common with a cluster or engine that this machine may
# have, and ends when standard input ends: when the test that started it is gone, however it went.
#
#   cluster.sh FOLDER SUBNET KIND PROGRAM
#
# It prints "ready" when the cluster can be used, and otherwise why it cannot. KIND is `whole`, or `api`: without a kubelet,
# containerd, network and registry. PROGRAM is what kubernetes/build.sh prints. FOLDER/certificates/admin.kubeconfig is the
# way in; logs are in FOLDER/logs.
#
# The host is 10.214.SUBNET.1 (with the registry on port 5000), the node 10.214.SUBNET.10; pods are in 10.215.SUBNET.0/24 and
# services in 10.216.SUBNET.0/24, which the host reaches too.
set -euo pipefail
folder=$1 subnet=$2 kind=$3 program=$4
here=$(dirname "$(realpath "$0")")
name=strk$subnet network=10.214.$subnet
exec 3>&1 4<&0 1>"$folder/log" 2>&1

pids=()
clean_up() {
    trap '' TERM INT HUP
    set +e
    # Somebody reads it where the cluster did not start.
    tail -n 20 "$folder/log" >&3
    # The first process of the namespace ends with the one that waits for it, and takes all others along.
    kill -KILL "${pids[@]}" 2>/dev/null
    wait
    while [[ -n $(ip netns pids "$name") ]]; do sleep 0.02; done
    ip link del "$name"
    ip netns del "$name"
    # A control group can be removed when the kernel is done with its processes, a moment after their end.
    for _ in $(seq 100); do
        find /sys/fs/cgroup -depth -type d \( -path "*/$name" -o -path "*/$name/*" \) -exec rmdir {} + 2>/dev/null && break
        sleep 0.05
    done
    rm -rf "$folder"
}

ip netns add "$name"     # fails where the subnet is taken: the caller tries another
trap clean_up EXIT
trap 'exit 1' TERM INT HUP
ip link add "$name" type veth peer name eth0 netns "$name"
ip addr add "$network.1/24" dev "$name"
ip link set "$name" up
# No default route: nothing that runs in a test reaches further. Services' addresses need one all the same, so that the
# node's own packets get as far as the rules that turn them round.
nsenter --net="/run/netns/$name" sh -c "ip addr add $network.10/24 dev eth0; ip link set eth0 up; ip link set lo up
    ip route add 10.216.$subnet.0/24 via $network.1"

if [[ $kind == whole ]]; then
    ip route add "10.215.$subnet.0/24" via "$network.10"
    ip route add "10.216.$subnet.0/24" via "$network.10"
    mkdir -p "$folder/registry"
    cat > "$folder/registry.yml" <<YAML
version: 0.1
log: { level: warn }
storage: { delete: { enabled: true }, filesystem: { rootdirectory: $folder/registry } }
http: { addr: "$network.1:5000" }
YAML
    docker-registry serve "$folder/registry.yml" & pids+=($!)
fi

# Not `ip netns exec`: it mounts another /sys, and the kubelet finds no control groups.
nsenter --net="/run/netns/$name" unshare --mount --pid --uts --fork --kill-child --mount-proc \
    bash "$here/kubernetes/node.sh" "$folder" "$subnet" "$kind" "$program" <&4 & pids+=($!)
wait "${pids[-1]}"
