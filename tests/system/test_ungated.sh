#!/bin/sh
# Programs for which the kernel asks nobody, under a monitor that enforces for a whole host: a root file system of the
# test's own, in a mount namespace and a session of its own. Nothing else on this machine is judged: the gate marks that
# file system alone, and what it cannot mark is looked at in that session alone.
. "$(dirname "$0")/lib.sh"

in_chroot && skip "in a chroot nothing can be pivoted"
act=$PWD/tests/system/act
[ -x "$act" ] || skip "no $act"
busybox=$(command -v busybox) || skip "no busybox"
if ldd "$busybox" >/dev/null 2>&1; then skip "busybox is not static"; fi
for c in mkfs.ext4 pivot_root nsenter setsid; do command -v $c >/dev/null || skip "no $c"; done

root=$tmp/root
mkdir "$root"
truncate -s 512M "$tmp/disk"
mkfs.ext4 -q -F "$tmp/disk" >/dev/null 2>&1 && mount -o loop "$tmp/disk" "$root" 2>/dev/null || skip "no loop image"
mkdir -p "$root/usr/bin" "$root/lib" "$root/lib64" "$root/etc" "$root/dev" "$root/proc" "$root/sys" "$root/mnt" "$root/old" "$root/result" "$root/run"
mkdir -m 700 "$root/state"
ln -s usr/bin "$root/bin"
# put PROGRAM NAME: with what it is linked with
put() {
	cp "$1" "$root/usr/bin/$2"
	for l in $(LC_ALL=C ldd "$1" 2>/dev/null | grep -o '/[^ ]*'); do
		mkdir -p "$root/${l%/*}"
		[ -e "$root/$l" ] || cp -L "$l" "$root/$l"
	done
}
put "$busybox" busybox
put "$holdfast" holdfast
put "$act" act
put "$act" runc
for a in sh mount cp unshare; do ln -s busybox "$root/usr/bin/$a"; done
mount -t tmpfs -o mode=755 none "$root/dev" && mknod -m 666 "$root/dev/null" c 1 3 && mknod -m 444 "$root/dev/urandom" c 1 9
mount -t proc none "$root/proc" && mount -t sysfs none "$root/sys" || skip "no proc or sysfs of our own"
mkfifo "$root/commands"
# For both, or who opens it first waits until somebody else does.
exec 6<>"$root/commands"
cat >"$root/serve" <<'END'
while read -r n line; do
	eval "$line" >"/result/$n.out" 2>&1
	echo $? >"/result/$n.new"
	/usr/bin/busybox mv "/result/$n.new" "/result/$n"
done
END

# A session of its own, whose number is that of the shell that serves it.
setsid unshare -m --propagation private sh -c 'cd "$0" && pivot_root . old && exec /usr/bin/busybox chroot . /usr/bin/busybox sh -c "
	/usr/bin/busybox umount -l /old; exec /usr/bin/busybox sh /serve <>/commands"' "$root" 2>"$tmp/serve.err" &
inner=$!
pids=$inner
n=0
# inside COMMAND: its status, in that session
inside() {
	n=$((n + 1))
	echo "$n $1" >&6
	within 20 test -s "$root/result/$n" || die "no answer to: $1; $(cat "$tmp/serve.err")"
	result=$(cat "$root/result/$n")
}
# becomes STATUS COMMAND
becomes() {
	inside "$2"
	[ "$result" = "$1" ] || fail "$2: $result, not $1: $(cut -c1-200 "$root/result/$n.out")"
}
inside 'echo here'
[ "$(ps -o sid= -p $inner | tr -d ' ')" = "$inner" ] || skip "no session of its own"

hf() {
	nsenter --mount="/proc/$inner/ns/mnt" /usr/bin/holdfast -c /etc/holdfast.yaml "$@"
}
# judge KEYS: a new configuration, and the monitor under it
judge() {
	printf 'paths: [/usr, /lib, /lib64]\ncontrol: /run/control\nstore: {path: /state/holdfast.db}\nlimits: {settle: 5ms}\nexec: {mode: enforce, trust: [baselines], stall: 5s, %s}\n' \
		"$1" >"$root/etc/holdfast.yaml"
	[ -e "$root/state/holdfast.db" ] || hf init >/dev/null 2>"$err" || die "init"
	: >"$out"
	nsenter --mount="/proc/$inner/ns/mnt" /usr/bin/holdfast -c /etc/holdfast.yaml watch --json --session "$inner" >"$out" 2>"$err" &
	pid=$!
	within 20 line '"kind":"note"' && within 20 gated || die "the monitor did not start"
}
gated() { hf status --json 2>/dev/null | grep -q '"file_systems":[1-9].*"trusted_digests":[1-9]'; }

judge 'ungated: late'
# Not the host's file systems: the test would refuse programs of others.
[ "$(hf status --json | sed 's/.*"file_systems":\([0-9]*\).*/\1/')" -le 2 ] || die "more than the test's file systems are gated"
cp "$act" "$root/usr/bin/bad"
echo >>"$root/usr/bin/bad"
becomes 0 '/usr/bin/act linger 1'
becomes 126 '/usr/bin/bad linger 1'
becomes 0 '/usr/bin/act memory /usr/bin/act'
becomes 137 '/usr/bin/act memory /usr/bin/bad'
told '"kind":"exec"' '"verdict":"killed"' 'memfd'
stop

judge 'ungated: kill'
if hf status --json | grep -q '"source":"BPF"' && ! hf history --kind gap --json | grep -q 'exec.ungated: kill needs BPF'; then
	# Whatever its digest.
	becomes 137 '/usr/bin/act memory /usr/bin/act'
	told '"kind":"exec"' '"verdict":"killed"' 'a memory file; killed before its first instruction'
	becomes 137 'unshare -m sh -c "mount -t tmpfs none /mnt && cp /usr/bin/act /mnt/x && exec /mnt/x linger 1"'
	told '"kind":"exec"' '"verdict":"killed"' 'its file system is not gated; killed before its first instruction'
	# A runtime that a source vouches for runs a copy of itself from memory; under another name it may not.
	becomes 0 '/usr/bin/runc memory /usr/bin/runc'
	becomes 126 '/usr/bin/bad linger 1'
	becomes 0 '/usr/bin/act linger 1'
	# Other sessions are none of its business.
	"$act" memory "$act" || fail "a memory file of another session was ended"
	stop
	becomes 0 '/usr/bin/act memory /usr/bin/act'
	# One that nobody vouches for is no runtime.
	cp "$root/usr/bin/bad" "$root/usr/bin/crun"
	judge 'ungated: kill'
	becomes 0 '/usr/bin/runc memory /usr/bin/runc'
	becomes 126 '/usr/bin/crun memory /usr/bin/crun'
	stop
else
	echo "not tried: exec.ungated: kill needs BPF on Linux 6.10"
	stop
fi
end
