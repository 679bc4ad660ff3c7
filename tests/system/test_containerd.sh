#!/bin/sh
# The whole story with containerd and the annotations that Kubernetes gives: image import, baseline, container, who it is, what
# changes in it, a dropped program that is refused, history by the pod's name.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/containers.sh"

command -v containerd >/dev/null && command -v ctr >/dev/null || skip "no containerd"
own_fs
cgroups v1
podman_setup
podman save --format docker-archive -o "$tmp/tiny.tar" "$image" >/dev/null 2>"$tmp/podman.err" || skip "podman save: $(cat "$tmp/podman.err")"
mkdir -p "$fs/c"
printf 'version = 2\nroot = "%s/c/root"\nstate = "%s/c/state"\ndisabled_plugins = ["io.containerd.grpc.v1.cri"]\n[grpc]\n  address = "%s/c/sock"\n[ttrpc]\n  address = "%s/c/ttrpc"\n' \
	"$fs" "$fs" "$fs" "$fs" >"$fs/c/config.toml"
containerd -c "$fs/c/config.toml" >"$tmp/containerd.log" 2>&1 &
pids="$pids $!"
k8s() {
	timeout 60 ctr -a "$fs/c/sock" -n k8s.io "$@"
}
within 20 k8s version >/dev/null 2>&1 || skip "containerd does not start here"
k8s images import "$tmp/tiny.tar" >"$tmp/ctr.out" 2>&1 || skip "ctr images import: $(cat "$tmp/ctr.out")"
id=$(printf '%064d' 7 | tr 0 a)
containers_end() {
	k8s tasks kill -s KILL "$id" >/dev/null 2>&1
	within 10 sh -c "! timeout 10 ctr -a '$fs/c/sock' -n k8s.io tasks ls 2>/dev/null | grep -q RUNNING"
	k8s tasks rm -f "$id" >/dev/null 2>&1
	k8s containers rm "$id" >/dev/null 2>&1
	containers_finish
}
trap containers_end EXIT

# Nothing guards the file system that holds the layers.
g=$tmp/guarded
mkdir "$g"
mount -t tmpfs none "$g" || skip "no tmpfs"
echo x >"$g/file"
config 'exec: {mode: enforce, trust: [explicit]}' "containers:" "  stores: [$fs/c/root, $fs/c/state]" '  policies: [{namespace: shop, exec: enforce}]' \
	'limits: {settle: 20ms}'
hf init >/dev/null 2>"$err" || die "init"
hf init --image "containerd:[$fs/c/root]$image" tiny >"$tmp/init" 2>&1 || die "init --image: $(cat "$tmp/init")"
watch
k8s run -d --annotation io.kubernetes.cri.sandbox-name=web-0 --annotation io.kubernetes.cri.sandbox-namespace=shop \
	--annotation io.kubernetes.cri.container-name=nginx --annotation "io.kubernetes.cri.image-name=$image" \
	--cgroup "/kubepods/besteffort/pod1/$id" "$image" "$id" sleep 1000 >"$tmp/ctr.out" 2>&1 || skip "ctr run: $(cat "$tmp/ctr.out")"

within 20 seen exec web-0 /bin/busybox || fail "no start under the pod's name: $(cat "$tmp/history")"
for word in "\"id\":\"$id\"" '"name":"nginx"' '"pod":"web-0"' '"namespace":"shop"' "\"image\":\"$image\"" '"runtime":"containerd"'; do
	grep -qF "$word" "$tmp/history" || fail "no $word in $(tail -1 "$tmp/history")"
done
# Its record in meta.db names the image, and that a digest.
image_id=$(hf baseline list --json 2>/dev/null | grep -o '"image_id":"[^"]*"')
[ -n "$image_id" ] && known_by_digest() {
	seen exec web-0 /bin/busybox '"image_digest":"sha256:'
}
within 20 known_by_digest || fail "no digest: $(tail -1 "$tmp/history")"
hf history --json --kind exec --container web-0 >"$tmp/history" 2>"$err"
if grep -qF '"unknown":"' "$tmp/history"; then fail "unknown: $(grep '"unknown":' "$tmp/history" | tail -1)"; fi
seen exec shop/web-0 /bin/busybox || fail "not found by namespace/pod"

in_it() {
	k8s tasks exec --exec-id "x$1" "$id" sh -c "$2" >"$tmp/ctr.out" 2>&1
}
in_it 1 'echo more >>/etc/motd; rm /etc/passwd; echo new >/opt-new' || fail "ctr exec: $(cat "$tmp/ctr.out")"
within 20 seen change web-0 /etc/motd '"change":"changed"' || fail "no change: $(cat "$tmp/history")"
within 20 seen change web-0 /etc/passwd '"change":"removed"' || fail "no removal: $(cat "$tmp/history")"
within 20 seen change web-0 /opt-new '"change":"added"' || fail "no addition: $(cat "$tmp/history")"
grep -F '/opt-new' "$tmp/history" | grep -qF '"process":{' || fail "nobody: $(cat "$tmp/history")"
in_it 2 'cp /bin/busybox /busybox-dropped; /busybox-dropped true' || fail "a copy of the image's own is refused: $(cat "$tmp/ctr.out")"
if in_it 3 'echo >>/busybox-dropped; /busybox-dropped true'; then fail "the dropped program ran"; fi
within 20 seen exec shop/web-0 /busybox-dropped '"verdict":"denied"' || fail "no drift: $(grep dropped "$tmp/history")"
for word in '"reason":"not in the image of its container"' '"pod":"web-0"' "\"host_path\":\"$fs/c/root/"; do
	grep -F '/busybox-dropped' "$tmp/history" | head -1 | grep -qF "$word" || fail "denied: no $word: $(grep dropped "$tmp/history" | cut -c1-600)"
done
hf check --container nginx >"$tmp/report" 2>"$err"
[ $? = 7 ] || fail "check: $(cat "$tmp/report")"
stop
hf baseline verify >"$tmp/verify" 2>&1 || fail "verify: $(cat "$tmp/verify")"
end
