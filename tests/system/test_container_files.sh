#!/bin/sh
# Files of containers as they change, under podman: what happens in a writable layer is a deviation from the image, told with
# the container, the process and the path in the container; nobody names the file system that holds the layers.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/containers.sh"

own_fs
cgroups v2
podman_setup
run_container probe --rm "$image" true || {
	cat "$tmp/podman.err"
	skip "podman cannot start a container here"
}
# What is guarded on the host lies elsewhere.
g=$tmp/g
echo x >"$g/file"
config "containers:" "  stores: [$fs/graph]" '  policies: [{image: "localhost/*"}]' 'limits: {settle: 20ms}' 'exec: {mode: off}'
hf init >/dev/null 2>"$err" || die "init"
hf init --image "containers-storage:[$fs/graph]$image" tiny >/dev/null 2>"$err" || die "init --image"

changes() {
	hf history --json --kind change --container "$1" >"$tmp/history" 2>"$err"
}
# has CONTAINER CHANGE PATH [WORD]
has() {
	changes "$1" && grep -F "\"path\":\"$3\"" "$tmp/history" | grep -F "\"change\":\"$2\"" | grep -qF "${4:-}"
}
want() {
	within 20 has "$@" || fail "no $2 $3 ${4:-} in $1: $(grep -F "\"path\":\"$3\"" "$tmp/history" | head -3)"
}
in_web() {
	podman exec web sh -c "$1" || fail "podman exec: $1"
}
none() {
	changes web
	if grep -qF "\"path\":\"$1\"" "$tmp/history"; then fail "$1: $(grep -F "\"path\":\"$1\"" "$tmp/history")"; fi
}

told_of_mounts() {
	hf status --json 2>/dev/null | grep -q 'the kernel does not tell of them' && return 1
	return 0
}

twice_mounted() {
	changes web && [ "$(grep -F '"path":"/srv"' "$tmp/history" | grep -c 'mounted over it: tmpfs')" = 2 ]
}

mounted_no_more() {
	changes web && ! grep -F '"path":"/srv"' "$tmp/history" | grep 'mounted over it: tmpfs' | grep -qF '"status":"open"'
}

watch
run_container web -d -v "$fs/vol:/data" --tmpfs /scratch --cap-add SYS_ADMIN --security-opt seccomp=unconfined "$image" sleep 1000 ||
	die "podman run"
in_web 'echo more >>/etc/motd'
want web changed /etc/motd '"digest"'
grep -F '"path":"/etc/motd"' "$tmp/history" | grep -qF '"process":{' || fail "nobody is named: $(cat "$tmp/history")"
for word in '"name":"web"' "\"image\":\"$image\"" '"baseline":"tiny"' "\"host_path\":\"$fs/graph/overlay/" '"layer":1' '"status":"open"'; do
	grep -F '"path":"/etc/motd"' "$tmp/history" | grep -qF "$word" || fail "motd: no $word: $(cat "$tmp/history")"
done
in_web 'chmod 700 /usr/bin/busybox-tool'
want web attributes /usr/bin/busybox-tool '"mode"'
in_web 'rm /etc/passwd'
want web removed /etc/passwd
in_web 'echo new >/opt-new'
want web added /opt-new
in_web 'mv /opt-new /opt-newer'
want web renamed /opt-new '"path2":"/opt-newer"'
in_web 'cp /bin/sh /bin/other; mkdir -p /srv/a/b; echo deep >/srv/a/b/c'
want web added /srv/a/b/c
want web added /bin/other
in_web 'rm -r /usr && mkdir /usr && echo in >/usr/in'
want web removed /usr/bin
want web removed /usr/bin/busybox-tool
want web added /usr/in
in_web 'mv /bin/ls /bin/list'
want web renamed /bin/ls '"path2":"/bin/list"'
in_web 'rm /bin/kill && echo other >/bin/kill'
want web replaced /bin/kill
# A second time, and back again.
in_web 'echo hello >/etc/motd.new && cat /etc/motd.new >/etc/motd && touch -r /bin/busybox /etc/motd'
in_web 'rm /opt-newer /etc/motd.new'
want web reverted /opt-newer
# What a policy lets change, and what is not the layer's.
in_web 'echo t >/tmp/t; echo d >/data/d; echo s >/scratch/s; echo end >/etc/end'
want web added /etc/end
for path in /tmp/t /tmp /data /data/d /scratch /scratch/s /etc /bin /etc/hosts /etc/mtab; do none "$path"; done

# Something mounted over a file of the image: nothing in the layer changes. By the container itself; with a namespace of its own,
# where others do not see it; by the host.
in_web 'echo evil >/tmp/evil; busybox mount --bind /tmp/evil /etc/motd'
want web replaced /etc/motd "\"cause\":\"mounted over it: the container's own /tmp/evil\""
# By the mount's own number: whoever mounted something else meanwhile is not named.
grep -F 'mounted over it' "$tmp/history" | grep -qF '"cmdline":"busybox mount --bind /tmp/evil /etc/motd"' ||
	! told_of_mounts || fail "who mounted? $(grep motd "$tmp/history")"
in_web 'busybox umount /etc/motd; busybox mount -t tmpfs none /srv'
want web reverted /etc/motd 'what was mounted over it is gone'
grep -F 'over it is gone' "$tmp/history" | grep -qF '"cmdline":"busybox umount /etc/motd"' || ! told_of_mounts ||
	fail "who unmounted? $(grep motd "$tmp/history")"
want web replaced /srv '"cause":"mounted over it: tmpfs"'
in_web 'busybox umount /srv'
want web reverted /srv
mkfifo "$fs/vol/go"
podman exec -d web busybox unshare -m sh -c \
	'busybox mount --bind /tmp/evil /etc/end; echo second >/etc/in-second; read x </data/go' >/dev/null || fail "podman exec unshare"
want web replaced /etc/end 'own /tmp/evil; in another mount namespace of the container'
want web added /etc/in-second '"cause":"by a process of the container in another mount namespace"'
echo go >"$fs/vol/go"
want web reverted /etc/end 'gone with its mount namespace'
nsenter -m -t "$(podman inspect -f '{{.State.Pid}}' web)" /bin/busybox mount --bind /tmp/evil /bin/other || fail "nsenter"
want web replaced /bin/other 'by a process outside of the container'
nsenter -m -t "$(podman inspect -f '{{.State.Pid}}' web)" /bin/busybox umount /bin/other || fail "nsenter"
want web reverted /bin/other

# From the host, past the container.
upper=$(podman inspect -f '{{.GraphDriver.Data.UpperDir}}' web)
echo planted >"$upper/etc/planted"
want web added /etc/planted
grep -F '"path":"/etc/planted"' "$tmp/history" | head -1 | grep -qF '"process":{' || fail "planted: nobody: $(grep planted "$tmp/history")"
outside='"cause":"by a process outside of the container"'
grep -F '"path":"/etc/planted"' "$tmp/history" | grep -qF "$outside" || fail "planted: from where? $(grep planted "$tmp/history")"
if grep -F '"path":"/etc/motd"' "$tmp/history" | grep -qF "$outside"; then fail "motd: from outside"; fi
# From another mount namespace, through a mount of the folder.
mkdir "$tmp/mnt"
unshare -m sh -c "mount --bind '$upper' '$tmp/mnt' && echo second >'$tmp/mnt/etc/second'" || fail "bind mount"
want web added /etc/second "$outside"

# What stands over a restart is not told again, and is told when it goes.
in_web 'busybox mount -t tmpfs none /srv'
within 20 twice_mounted || fail "mounted again: $(grep '"/srv"' "$tmp/history")"
in_web 'busybox mount --bind /tmp/evil /bin/kill'
want web replaced /bin/kill 'own /tmp/evil'

# Another container of the image has nothing to do with it; while the monitor is down it is found afterwards.
run_container second -d --cap-add SYS_ADMIN --security-opt seccomp=unconfined "$image" sleep 1000 || die "podman run"
podman exec second busybox mount --bind /bin/busybox /usr/bin/busybox-tool || fail "podman exec second"
want second replaced /usr/bin/busybox-tool "own /bin/busybox"
stop
podman exec second sh -c 'echo down >>/etc/motd' || fail "podman exec second"
in_web 'busybox umount /bin/kill'
watch
want web reverted /bin/kill 'while the monitor was down'
want second changed /etc/motd '"process_unknown"'
[ "$(grep -c '"path":"/etc/motd"' "$tmp/history")" = 1 ] || fail "motd of second: $(cat "$tmp/history")"
changes web
before=$(wc -l <"$tmp/history")
settled
changes web
[ "$(wc -l <"$tmp/history")" = "$before" ] || fail "told again after a restart: $(cat "$tmp/history")"
in_web 'busybox umount /srv'
within 20 mounted_no_more || fail "unmounted after a restart: $(grep '"/srv"' "$tmp/history")"
hf status --json >"$tmp/status" || true
grep -q '"container_files":{"events":' "$tmp/status" || fail "status: $(cat "$tmp/status")"
grep -o '"container_files":{[^}]*}' "$tmp/status" | grep -q '"errors":0' || fail "errors: $(grep -o '"container_files":{[^}]*}' "$tmp/status")"
stop
hf baseline verify >"$tmp/verify" 2>&1 || fail "verify: $(cat "$tmp/verify")"

# A container takes along what was mounted in it.
podman rm -f -t 0 second >/dev/null 2>&1
# Policies are read again: other paths may change now.
config "containers:" "  stores: [$fs/graph]" '  policies: [{image: "localhost/*", exclude: [/srv]}]' 'limits: {settle: 20ms}' 'exec: {mode: off}'
watch
config "containers:" "  stores: [$fs/graph]" '  policies: [{image: "localhost/*", exclude: ["/etc/q*"]}]' 'limits: {settle: 20ms}' \
	'exec: {mode: off}'
want second reverted /usr/bin/busybox-tool 'with its container, while the monitor was down'
kill -HUP "$pid"
within 10 grep -q 'configuration read again' "$err" || fail "no reload"
in_web 'echo q >/etc/quiet; echo l >/srv/loud; echo t >/tmp/loud'
want web added /srv/loud
want web added /tmp/loud
none /etc/quiet
stop

# An image without a baseline: from its layers, when a container starts.
make_image localhost/fresh:1
config "containers:" "  stores: [$fs/graph]" '  baseline_on_start: yes' '  policies: [{image: "localhost/fresh*"}]' 'limits: {settle: 20ms}' \
	'exec: {mode: off}'
watch
run_container fresh -d localhost/fresh:1 sh -c 'echo more >>/etc/motd; exec sleep 1000' || die "podman run fresh"
want fresh changed /etc/motd
hf baseline list >"$tmp/list" 2>&1
grep -q 'fresh:1@' "$tmp/list" || fail "no baseline: $(cat "$tmp/list")"
# Not by the monitor itself: it never had what decompresses.
grep -q libarchive "/proc/$pid/maps" && fail "the monitor decompresses"
# One whose layer is not what it should be: said, nothing kept, and the next one is taken.
make_image localhost/fresh-broken:1
for f in "$fs"/graph/overlay-layers/*.tar-split.gz; do
	[ "$f" -nt "$tmp/list" ] && split=$f
done
cp "$split" "$tmp/split"
truncate -s -20 "$split"
run_container broken -d localhost/fresh-broken:1 sh -c 'echo more >>/etc/motd; exec sleep 1000' || die "podman run broken"
within 30 grep -q 'no baseline of image localhost/fresh-broken:1: .*layer 1 of 1' "$err" || fail "no word of a broken layer: $(tail -3 "$err")"
hf baseline list >"$tmp/list" 2>&1
grep -q 'fresh-broken:1@' "$tmp/list" && fail "a baseline of a broken image"
# That is a gap (a row as it begins, one as it ends), of the image and not of each container; until its containers are gone, or it has a baseline.
broken_gaps() { hf history --json --kind gap | grep -F '"scope":"image localhost/fresh-broken:1@' >"$tmp/gaps"; }
told_broken() { broken_gaps && [ "$(grep -c '"healed"' "$tmp/gaps")" = "$1" ] && [ "$(grep -vc '"healed"' "$tmp/gaps")" = "$2" ]; }
in_health() { hf status --json | grep -q 'unreadable: image localhost/fresh-broken:1@.*no baseline: .*layer 1 of 1'; }
within 20 told_broken 0 1 || fail "a broken image is no gap: $(cat "$tmp/gaps")"
in_health || fail "health says nothing of a broken image: $(hf status --json | grep -o '"reasons":.*')"
run_container broken2 -d localhost/fresh-broken:1 sh -c 'echo more >>/etc/motd; exec sleep 1000' || die "podman run broken2"
podman rm -f -t 0 broken >/dev/null 2>&1
podman rm -f -t 0 broken2 >/dev/null 2>&1
within 30 told_broken 1 1 || fail "the gap outlives the containers of the image: $(cat "$tmp/gaps")"
grep -qF '"healed":"no container of it is left"' "$tmp/gaps" || fail "how it was healed: $(cat "$tmp/gaps")"
in_health && fail "health speaks of containers that are gone"
run_container broken3 -d localhost/fresh-broken:1 sh -c 'echo more >>/etc/motd; exec sleep 1000' || die "podman run broken3"
within 30 told_broken 1 2 || fail "a broken image that comes back is no gap: $(cat "$tmp/gaps")"
cp "$tmp/split" "$split"
hf init --image "containers-storage:[$fs/graph]localhost/fresh-broken:1" mended >/dev/null 2>"$err.2" || fail "init --image: $(cat "$err.2")"
within 30 told_broken 2 2 || fail "the gap outlives the lack of a baseline: $(cat "$tmp/gaps")"
grep -qF '"healed":"there is a baseline"' "$tmp/gaps" || fail "how it was healed: $(cat "$tmp/gaps")"
want broken3 changed /etc/motd '"baseline":"mended"'
stop

# A sensor that comes late: what is gone from the disk is not told as removed before it is known that nobody renamed it.
stall=$PWD/tests/system/stall.so
if sanitized || [ ! -e "$stall" ] || ! LD_PRELOAD=$stall true 2>/dev/null; then
	echo "not tried: a sensor that comes late (a program built with sanitizers, or no preloading)"
else
	drift() { hf status --json 2>/dev/null | sed -n 's/.*"container_files":{\([^}]*\)}.*/\1/p' | grep -o "\"$1\":[0-9]*" | cut -d: -f2; }
	reached() { [ "$(drift "$1")" -ge "$2" ] 2>/dev/null; }
	config "containers:" "  stores: [$fs/graph]" '  policies: [{image: "localhost/*"}]' 'limits: {settle: 4s, settle_max: 9s}' 'exec: {mode: off}'
	HOLDFAST_STALL=$tmp/stall LD_PRELOAD=$stall
	export HOLDFAST_STALL LD_PRELOAD
	watch
	unset HOLDFAST_STALL LD_PRELOAD
	run_container late -d "$image" sleep 1000 || die "podman run late"
	podman exec late sh -c 'echo more >>/etc/motd' || fail "podman exec late"
	within 20 reached pending 1 || fail "no event: $(hf status --json)"
	: >"$tmp/stall"
	podman exec late mv /etc/motd /etc/motd.old || fail "podman exec late"
	before=$(drift looks)
	if has late changed /etc/motd; then
		echo "not tried: a sensor that comes late (it was looked at before it was renamed: this machine is slow)"
		rm "$tmp/stall"
	else
		within 20 reached looks $((before + 3)) || fail "nothing was looked at: $(hf status --json)"
		has late removed /etc/motd && fail "removed, and nobody had said so: $(grep -F /etc/motd "$tmp/history")"
		rm "$tmp/stall"
		want late renamed /etc/motd '"path2":"/etc/motd.old"'
		has late removed /etc/motd && fail "removed and renamed: $(grep -F /etc/motd "$tmp/history")"
	fi
	stop
fi
end
