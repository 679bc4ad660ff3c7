#!/bin/sh
# holdfast check --container: what containers have made of their images, running and stopped, under podman.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/containers.sh"

own_fs
cgroups v2
podman_setup
mkdir -p "$tmp/more/usr/share/old/deep" "$tmp/more/opt"
for file in share/old/a share/old/deep/b share/keep; do echo "$file" >"$tmp/more/usr/$file"; done
run_container probe --rm "$image" true || {
	cat "$tmp/podman.err"
	skip "podman cannot start a container here"
}
# A second layer over the image's, with folders to take away.
tar -C "$tmp/more" -cf "$tmp/more.tar" usr opt
run_container make "$image" true && podman cp "$tmp/more/usr" make:/ >/dev/null 2>"$tmp/podman.err" &&
	podman commit -q make localhost/two:1 >/dev/null 2>"$tmp/podman.err" || {
	cat "$tmp/podman.err"
	skip "podman commit"
}
echo x >"$g/file"
config "containers: {stores: [$fs/graph]}"
hf init >/dev/null 2>"$err" || die "init"

# check STATUS ARGUMENT...: the report in $tmp/report
check() {
	want=$1
	shift
	hf check "$@" >"$tmp/report" 2>"$err"
	got=$?
	[ "$got" = "$want" ] || fail "check $*: exit status $got, not $want: $(cat "$tmp/report")"
}
# is CHANGE PATH [WORD]: of the last check --json
is() {
	grep -F "\"path\":\"$2\"" "$tmp/report" | grep -F "\"change\":\"$1\"" | grep -qF "${3:-}" ||
		fail "no $1 $2 ${3:-}: $(grep -F "\"path\":\"$2\"" "$tmp/report" | head -3)"
}
not() {
	if grep -F '"kind":"change"' "$tmp/report" | grep -qF "\"path\":\"$1\""; then fail "$1: $(grep -F "\"path\":\"$1\"" "$tmp/report")"; fi
}

run_container web -d -v "$fs/vol:/data" --tmpfs /scratch localhost/two:1 sleep 100 || die "podman run"
check 66 --container web
grep -qF 'no baseline of its image localhost/two:1: `holdfast init --image' "$err" || fail "not how to take one: $(cat "$err")"
hf init --image "containers-storage:[$fs/graph]localhost/two:1" two >/dev/null 2>"$err" || die "init --image"
check 0 --container web
grep -q 'no differences from image localhost/two:1' "$tmp/report" || fail "quiet: $(cat "$tmp/report")"
check 66 --container nosuch
check 64 --container web /etc

podman exec web sh -c '
	echo more >>/etc/motd
	chmod 700 /usr/bin/busybox-tool
	rm /etc/passwd
	rm -r /usr/share/old && mkdir /usr/share/old && echo new >/usr/share/old/new
	mkdir /root2 && echo new >/root2/file
	mv /usr/share/keep /usr/share/kept
	rm /bin/kill && cp /bin/busybox /bin/kill
	ln -s /bin/sh /etc/link
	echo t >/tmp/t; echo d >/data/d; echo s >/scratch/s
' || fail "podman exec"
check 7 --container web --json
is changed /etc/motd '"digest"'
is attributes /usr/bin/busybox-tool '"mode"'
is removed /etc/passwd
is removed /usr/share/old/a
is removed /usr/share/old/deep
is removed /usr/share/old/deep/b
is added /usr/share/old/new
is added /root2
is added /root2/file
is removed /usr/share/keep
is added /usr/share/kept
is replaced /bin/kill
is added /etc/link
is changed /etc/motd '"container":{"id":"'"$(podman inspect -f '{{.Id}}' web)"'","name":"web","image":"localhost/two:1"'
is changed /etc/motd "\"host_path\":\"$fs/graph/overlay/"
is changed /etc/motd '"baseline":"two"'
for path in /tmp/t /data /data/d /scratch /scratch/s /usr/share/old /usr/share /etc /etc/hosts /etc/mtab; do not "$path"; done
grep -qF '{"reason":"fs-skipped","path":"/data","detail":"bind"}' "$tmp/report" ||
	fail "the volume is not said: $(tail -1 "$tmp/report")"
grep '"summary"' "$tmp/report" | grep -q '"recorded":13' || fail "not recorded: $(tail -1 "$tmp/report" | cut -c1-400)"
check 7 --container web --json
grep '"summary"' "$tmp/report" | grep -q '"recorded":0' || fail "recorded twice: $(tail -1 "$tmp/report" | cut -c1-400)"

# What is mounted over a file of the image while it runs: with the words of the monitor, and recorded once.
in_web="nsenter -m -t $(podman inspect -f '{{.State.Pid}}' web) /bin/busybox"
$in_web mount -t tmpfs none /usr/share && $in_web mount --bind /bin/sh /usr/bin/busybox-tool || fail "nsenter"
check 7 --container web --json
is replaced /usr/share '"cause":"mounted over it: tmpfs"'
is replaced /usr/bin/busybox-tool '"cause":"mounted over it: the container'"'"'s own /bin/busybox"'
grep '"summary"' "$tmp/report" | grep -q '"recorded":2' || fail "mounts: $(tail -1 "$tmp/report" | cut -c1-400)"
check 7 --container web
grep -q '^Container web: .* 3 replaced' "$tmp/report" || fail "mounts: $(cat "$tmp/report")"
grep -q '0 recorded in history, 15 were open' "$tmp/report" || fail "mounts recorded twice: $(cat "$tmp/report")"

# Stopped, by what its id begins with; and another container of the image has nothing to do with it.
run_container second -d localhost/two:1 sleep 100 || die "podman run second"
podman stop -t 0 web >/dev/null 2>&1
check 7 --container "$(podman inspect -f '{{.Id}}' web | cut -c1-12)"
grep -q '^Container web: 5 added, 5 removed, 1 changed, 1 replaced, 1 attributes from image localhost/two:1 (baseline two)' \
	"$tmp/report" || fail "the sum: $(cat "$tmp/report")"
check 0 --container second --container second
podman exec second sh -c 'echo other >>/etc/motd' || fail "podman exec second"
check 4 --container second --json
is changed /etc/motd '"name":"second"'
grep '"summary"' "$tmp/report" | grep -q '"recorded":1' || fail "taken for the first one's: $(tail -1 "$tmp/report" | cut -c1-400)"
hf history --json --kind change >"$tmp/report" 2>"$err"
[ "$(grep -c '"path":"/etc/motd"' "$tmp/report")" = 2 ] || fail "history: $(grep -c '"path":"/etc/motd"' "$tmp/report")"

hf accept --baseline two --all --reason fine >"$tmp/report" 2>"$err"
[ $? = 64 ] || fail "the baseline of an image can be changed: $(cat "$tmp/report" "$err")"

# Written from the host, while it is stopped.
upper=$(podman inspect -f '{{.GraphDriver.Data.UpperDir}}' web)
echo planted >"$upper/etc/planted"
mknod "$upper/etc/whited" c 0 0
podman rm -f -t 0 second make >/dev/null 2>&1
check 7 --all-containers --json
is added /etc/planted '"name":"web"'
not /etc/whited
podman rm -f -t 0 web >/dev/null 2>&1
check 0 --all-containers
hf baseline verify >"$tmp/verify" 2>&1 || fail "verify: $(cat "$tmp/verify")"
end
