#!/usr/bin/env bash
# The cluster's parts, in the namespaces that cluster.sh made; this is the first process there, and ends all others with
# itself. It prints "ready", and then does what standard input says: `kill PART` takes a part away as a power cut would,
# `start PART` brings it back.
set -euo pipefail
folder=$1 subnet=$2 kind=$3 program=$4
name=strk$subnet node=10.214.$subnet.10 registry=10.214.$subnet.1:5000 pods=10.215.$subnet.0/24 services=10.216.$subnet.0/24
# Where nothing is behind them, there may be as many as somebody wants.
[[ $kind == api ]] && services=10.216.0.0/16
keys=$folder/certificates
# kubectl and etcd are not to find what this machine's user has.
export HOME=$folder KUBECACHEDIR=$folder/kubectl KUBECONFIG=$keys/admin.kubeconfig
# The parts spend memory rather than the processor's time.
export GOGC=400
mkdir -p "$folder"/{logs,cni,cni-state,containerd,kubelet,volumes,var-log}

declare -A pids=()
# Starts a part in the background.
run() {
    local part=$1
    shift
    "$@" </dev/null >>"$folder/logs/$part" 2>&1 3>&- &
    pids[$part]=$!
}
# Waits until a command succeeds: not longer than the part lives that it is about.
until_well() {
    local part=$1
    shift
    for _ in $(seq 600); do
        "$@" >>"$folder/logs/waiting" 2>&1 && return
        kill -0 "${pids[$part]}" 2>/dev/null || break
        sleep 0.1
    done
    echo "$part: no success with: $*"
    tail -n 3 "$folder/logs/waiting"
    tail -n 20 "$folder/logs/$part"
    return 1
}

start_etcd() {
    run etcd "$program" etcd "$folder/etcd" http://127.0.0.1:2379
    until_well etcd bash -c ': </dev/tcp/127.0.0.1/2379'
}
start_apiserver() {
    run apiserver "$program" apiserver --etcd-servers=http://127.0.0.1:2379 --secure-port=6443 --bind-address=0.0.0.0 \
        --advertise-address="$node" --service-cluster-ip-range="$services" --authorization-mode=Node,RBAC --allow-privileged \
        --tls-cert-file="$keys/server.crt" --tls-private-key-file="$keys/server.key" --client-ca-file="$keys/ca.crt" \
        --service-account-issuer=https://kubernetes.default.svc --service-account-key-file="$keys/service-accounts.key" \
        --service-account-signing-key-file="$keys/service-accounts.key" --kubelet-preferred-address-types=InternalIP \
        --kubelet-client-certificate="$keys/kubelet-client.crt" --kubelet-client-key="$keys/kubelet-client.key" \
        --audit-policy-file="$folder/audit.yml" --audit-log-path="$folder/audit.log" --audit-log-maxsize=10000 --profiling=false
    api_answers
}
# Nothing to wait for while a test has taken it away.
api_answers() {
    [[ -z ${pids[apiserver]:-} ]] ||
        until_well apiserver curl --silent --fail --max-time 5 --cacert "$keys/ca.crt" "https://$node:6443/readyz"
}
# With the rates that it has otherwise, its some forty controllers wait seconds for their tokens.
start_controller-manager() {
    run controller-manager "$program" controller-manager --kubeconfig="$keys/controller-manager.kubeconfig" --leader-elect=false \
        --secure-port=0 --use-service-account-credentials --service-account-private-key-file="$keys/service-accounts.key" \
        --root-ca-file="$keys/ca.crt" \
        --cluster-signing-cert-file="$keys/ca.crt" --cluster-signing-key-file="$keys/ca.key" --pvclaimbinder-sync-period=2s \
        --node-monitor-period=2s --node-monitor-grace-period=20s --kube-api-qps=500 --kube-api-burst=1000
}
start_scheduler() {
    run scheduler "$program" scheduler --kubeconfig="$keys/scheduler.kubeconfig" --leader-elect=false --secure-port=0
}
start_containerd() { run containerd containerd --config "$folder/containerd.toml"; }
start_kubelet() {
    run kubelet "$program" kubelet --kubeconfig="$keys/kubelet.kubeconfig" --config="$folder/kubelet.yml" --node-ip="$node" \
        --hostname-override=node
}
start_proxy() {
    run proxy "$program" proxy --kubeconfig="$keys/proxy.kubeconfig" --proxy-mode=iptables --hostname-override=node \
        --cluster-cidr="$pods" --conntrack-max-per-core=0 --conntrack-tcp-timeout-established=0 \
        --conntrack-tcp-timeout-close-wait=0 --iptables-min-sync-period=100ms --oom-score-adj=0
}
start_provisioner() { run provisioner "$program" provisioner "$keys/helper.kubeconfig" "$folder/volumes"; }
start_dns() { run dns "$program" dns "$keys/helper.kubeconfig" "$node"; }

# Sockets, locks and pods' namespaces that have fixed places are in places of our own.
mount --make-rshared /
mount -t tmpfs tmpfs /run
mkdir -p /var/lib/cni /var/lib/kubelet /run/sys
mount --bind "$folder/var-log" /var/log
mount --bind "$folder/cni-state" /var/lib/cni
mount --bind "$folder/kubelet" /var/lib/kubelet
# The kubelet wants these settings of the kernel, and would set them for the whole machine.
for setting in vm/overcommit_memory=1 vm/panic_on_oom=0 kernel/panic=10 kernel/panic_on_oops=1 kernel/keys/root_maxkeys=1000000 \
    kernel/keys/root_maxbytes=25000000; do
    file=/run/sys/${setting//\//-}
    echo "${setting#*=}" > "$file"
    mount --bind "$file" "/proc/sys/${setting%=*}"
done
echo 1 > /proc/sys/net/ipv4/ip_forward
hostname node

# What tests are told of: not what the cluster's parts say to each other. How a deletion was meant stands in its body.
cat > "$folder/audit.yml" <<YAML
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- { level: None, userGroups: ["system:nodes", "system:serviceaccounts:kube-system", "system:unauthenticated"] }
- level: None
  users: ["system:apiserver", "system:kube-controller-manager", "system:kube-scheduler", "system:kube-proxy", "stratos:test-helper"]
- { level: Request, verbs: [delete, deletecollection] }
- { level: Metadata }
YAML
cat > "$folder/containerd.toml" <<TOML
version = 2
root = "$folder/containerd"
disabled_plugins = ["io.containerd.internal.v1.opt", "io.containerd.tracing.processor.v1.otlp"]
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "$registry/pause:1"
# Without the capability for it, runc could not start a container whose score is lower than ours.
restrict_oom_score_adj = true
netns_mounts_under_state_dir = true
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "/usr/lib/cni"
conf_dir = "$folder/cni"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".registry]
config_path = "$folder/registries"
TOML
# Images of the Docker Hub come from our registry, which has some under their names.
for host in "$registry" docker.io; do
    mkdir -p "$folder/registries/$host"
    printf 'server = "http://%s"\n[host."http://%s"]\ncapabilities = ["pull", "resolve"]\n' "$registry" "$registry" > "$folder/registries/$host/hosts.toml"
done
# Point to point, not a bridge: what goes from pod to pod through a service must pass the node's rules both ways.
cat > "$folder/cni/pods.conflist" <<JSON
{ "cniVersion": "0.4.0", "name": "pods", "plugins": [
  { "type": "ptp", "mtu": 1500, "ipam": { "type": "host-local", "dataDir": "$folder/cni-state/pods",
    "ranges": [[{ "subnet": "$pods" }]], "routes": [{ "dst": "0.0.0.0/0" }] } },
  { "type": "portmap", "capabilities": { "portMappings": true } } ] }
JSON
cat > "$folder/kubelet.yml" <<YAML
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: $node
authentication: { anonymous: { enabled: false }, webhook: { enabled: true }, x509: { clientCAFile: $keys/ca.crt } }
authorization: { mode: Webhook }
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
cgroupDriver: cgroupfs
cgroupRoot: /$name
clusterDNS: [$node]
clusterDomain: cluster.local
resolvConf: ""
enforceNodeAllocatable: []
eventRecordQPS: 0
# A machine that is nearly full runs tests all the same.
evictionHard: { memory.available: 1Mi, nodefs.available: 0%, nodefs.inodesFree: 0%, imagefs.available: 0%, imagefs.inodesFree: 0% }
imageGCHighThresholdPercent: 100
failCgroupV1: false
failSwapOn: false
localStorageCapacityIsolation: false
maxPods: 240
nodeLeaseDurationSeconds: 12
nodeStatusUpdateFrequency: 2s
oomScoreAdj: 0
registryPullQPS: 0
serializeImagePulls: false
syncFrequency: 5s
volumePluginDir: /var/lib/kubelet/volume-plugins
YAML
cat > "$folder/cluster.yml" <<YAML
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: { name: stratos-test-logs-and-exec }
roleRef: { apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: system:kubelet-api-admin }
subjects: [{ apiGroup: rbac.authorization.k8s.io, kind: User, name: kube-apiserver-kubelet-client }]
---
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: { name: standard, annotations: { storageclass.kubernetes.io/is-default-class: "true" } }
provisioner: stratos.test/hostpath
allowVolumeExpansion: true
YAML
if [[ $kind == whole ]]; then
    # One group, or one for each controller where the kernel has the older kind.
    if [[ -e /sys/fs/cgroup/cgroup.controllers ]]; then
        sed 's/\(^\| \)/\1+/g' /sys/fs/cgroup/cgroup.controllers > /sys/fs/cgroup/cgroup.subtree_control || true
        mkdir -p "/sys/fs/cgroup/$name"
    else
        for controller in /sys/fs/cgroup/*/; do mkdir -p "$controller/$name" || true; done
    fi
fi

# Why it did not start, where it does not.
trap 'cat "$folder/logs/start" >&3' EXIT
exec >"$folder/logs/start" 2>&1
[[ $kind == api ]] || start_containerd
"$program" certificates "$keys" "$node" 127.0.0.1 "10.216.$subnet.1"
start_etcd
start_apiserver
start_controller-manager
start_scheduler
if [[ $kind == whole ]]; then
    start_kubelet
    start_proxy
    start_provisioner
    start_dns
fi
"$program" kubectl create -f "$folder/cluster.yml"
# No pod starts without these two.
until_well controller-manager "$program" kubectl wait --for=create serviceaccount/default configmap/kube-root-ca.crt --timeout=60s
if [[ $kind == whole ]]; then
    until_well kubelet "$program" kubectl wait --for=create node/node --timeout=60s
    until_well kubelet "$program" kubectl wait --for=condition=Ready node/node --timeout=60s
fi
trap - EXIT
echo ready >&3
while read -r what part; do
    case $what in
        # Waiting for its end makes sure that its port is free.
        kill) kill -KILL "${pids[$part]:-}" && { wait "${pids[$part]}" || true; } && unset "pids[$part]" && echo killed >&3 ;;
        start) "start_$part" >&3 && api_answers >&3 && echo started >&3 ;;
        *) false ;;
    esac || echo "$what $part: see $folder/logs" >&3
done
