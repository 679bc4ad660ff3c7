#!/bin/sh
# docker, with a daemon of the test's own: who a container is, a baseline made of its image's layers when it starts, what
# changes in it and what is mounted over its files, a dropped program that is refused, by the container's name.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/containers.sh"

command -v dockerd >/dev/null && command -v docker >/dev/null || skip "no dockerd"
own_fs
cgroups v1
make_root
d=$fs/d
mkdir "$d"
DOCKER_HOST=unix://$d/sock
DOCKER_CONFIG=$d/config
export DOCKER_HOST DOCKER_CONFIG
dockerd --data-root "$d/root" --exec-root "$d/exec" --pidfile "$d/pid" --host "$DOCKER_HOST" --bridge=none --iptables=false \
	--storage-driver overlay2 --exec-opt native.cgroupdriver=cgroupfs >"$tmp/dockerd.log" 2>&1 &
dockerd=$!
pids="$pids $dockerd"
dk() {
	timeout 60 docker "$@" >"$tmp/docker.out" 2>&1
}
# Its containerd ends with it; a shim only when its container does.
docker_end() {
	dk rm -f web first
	if kill "$dockerd" 2>/dev/null; then
		within 20 sh -c "! kill -0 $dockerd 2>/dev/null || grep -q '^State:.Z' /proc/$dockerd/status"
	fi
	[ ! -r "$d/exec/containerd/containerd.pid" ] || kill -9 "$(cat "$d/exec/containerd/containerd.pid")" 2>/dev/null
	finish
}
trap docker_end EXIT
dk_up() {
	kill -0 "$dockerd" 2>/dev/null || skip "dockerd does not run here: $(grep -m 1 'failed to' "$tmp/dockerd.log")"
	dk version
}
within 30 dk_up || skip "dockerd does not start here"
tar -C "$tmp/root" -c . | timeout 60 docker import - tiny:1 >"$tmp/docker.out" 2>&1 || skip "docker import: $(cat "$tmp/docker.out")"

# Nothing guards the file system that holds the layers.
g=$tmp/guarded
mkdir "$g"
mount -t tmpfs none "$g" || skip "no tmpfs"
echo x >"$g/file"
config 'exec: {mode: enforce, trust: [explicit]}' "containers:" "  stores: [$d/root]" '  baseline_on_start: yes' \
	'  policies: [{image: "tiny*", exec: enforce}]' 'limits: {settle: 20ms}'
hf init >/dev/null 2>"$err" || die "init"
watch
# In enforce mode nothing of an image runs that nobody has a baseline of; the first try makes one.
dk run --name first --network none tiny:1 true
has_baseline() {
	hf baseline list >"$tmp/list" 2>&1 && grep -q 'tiny:1@' "$tmp/list"
}
within 20 has_baseline || fail "no baseline of the image: $(cat "$tmp/list" "$tmp/docker.out")"
web_runs() {
	dk rm -f web
	dk run -d --name web --network none --label app=shop --cap-add SYS_ADMIN --security-opt apparmor=unconfined \
		--security-opt seccomp=unconfined tiny:1 sleep 1000
}
within 20 web_runs || die "docker run: $(cat "$tmp/docker.out")"
id=$(docker inspect -f '{{.Id}}' web)

# want KIND PATH WORD...
want() {
	kind=$1
	shift
	within 20 seen "$kind" web "$@" || fail "not seen: $kind $*: $(hf history --json --container web 2>&1 | grep -F "\"path\":\"$1\"" | cut -c1-600)"
}
want exec /bin/busybox "\"id\":\"$id\"" '"name":"web"' '"image":"tiny:1"' '"runtime":"docker"'
dk exec web sh -c 'echo more >>/etc/motd; rm /etc/passwd; echo new >/opt-new' || fail "docker exec: $(cat "$tmp/docker.out")"
want change /etc/motd '"change":"changed"' '"process":{' "\"host_path\":\"$d/root/overlay2/" '"baseline":"tiny:1@'
want change /etc/passwd '"change":"removed"'
want change /opt-new '"change":"added"'
dk exec web busybox mount --bind /bin/busybox /usr/bin/busybox-tool || fail "mount: $(cat "$tmp/docker.out")"
want change /usr/bin/busybox-tool "\"cause\":\"mounted over it: the container's own /bin/busybox\""
# What docker mounts itself, and its image's own program under another name, is none.
dk exec web sh -c 'cp /bin/busybox /busybox-dropped; /busybox-dropped true' || fail "a copy of the image's own is refused: $(cat "$tmp/docker.out")"
if dk exec web sh -c 'echo >>/busybox-dropped; /busybox-dropped true'; then fail "the dropped program ran"; fi
want exec /busybox-dropped '"verdict":"denied"' '"reason":"not in the image of its container"' '"name":"web"'
for path in /etc/hosts /etc/hostname /etc/resolv.conf; do
	if seen change web "$path" mounted; then fail "docker's own mount: $(cat "$tmp/history")"; fi
done
# A container's end takes along what was mounted in it.
dk rm -f web first || fail "docker rm: $(cat "$tmp/docker.out")"
want change /usr/bin/busybox-tool '"change":"reverted"' 'gone with its mount namespace'
stop
hf baseline verify >"$tmp/verify" 2>&1 || fail "verify: $(cat "$tmp/verify")"
end
