# A root file system of the test's own, in a mount namespace and a session of its own, for a monitor that enforces for a
# whole host: nothing else on this machine is judged. The gate marks what is mounted there alone, and what it cannot mark
# is looked at in that session alone. Read with `.` after lib.sh.

in_chroot && skip "in a chroot nothing can be pivoted"
act=$PWD/tests/system/act
[ -x "$act" ] || skip "no $act"
busybox=$(command -v busybox) || skip "no busybox"
if ldd "$busybox" >/dev/null 2>&1; then skip "busybox is not static"; fi
for c in mkfs.ext4 pivot_root nsenter setsid; do command -v $c >/dev/null || skip "no $c"; done
root=$tmp/root

# put PROGRAM NAME: with what it is linked with
put() {
	cp "$1" "$root/usr/bin/$2"
	for l in $(LC_ALL=C ldd "$1" 2>/dev/null | grep -o '/[^ ]*'); do
		mkdir -p "$root/${l%/*}"
		[ -e "$root/$l" ] || cp -L "$l" "$root/$l"
	done
}

# inside_make: an ext4 with busybox, holdfast and act in its /usr/bin; not entered yet
inside_make() {
	mkdir "$root"
	truncate -s 512M "$tmp/disk"
	mkfs.ext4 -q -F "$tmp/disk" >/dev/null 2>&1 && mount -o loop "$tmp/disk" "$root" 2>/dev/null || skip "no loop image"
	mkdir -p "$root/usr/bin" "$root/lib" "$root/lib64" "$root/etc" "$root/dev" "$root/proc" "$root/sys" "$root/mnt" "$root/old" "$root/result" "$root/run"
	mkdir -m 700 "$root/state"
	ln -s usr/bin "$root/bin"
	put "$busybox" busybox
	put "$holdfast" holdfast
	put "$act" act
	for a in sh mount umount cp unshare; do ln -s busybox "$root/usr/bin/$a"; done
	mount -t tmpfs -o mode=755 none "$root/dev" && mknod -m 666 "$root/dev/null" c 1 3 && mknod -m 444 "$root/dev/urandom" c 1 9
	mount -t proc none "$root/proc" && mount -t sysfs none "$root/sys" || skip "no proc or sysfs of our own"
	mkfifo "$root/commands"
	# For both, or who opens it first waits until somebody else does.
	exec 6<>"$root/commands"
	cat >"$root/serve" <<-'END'
		while read -r n line; do
			eval "$line" >"/result/$n.out" 2>&1
			echo $? >"/result/$n.new"
			/usr/bin/busybox mv "/result/$n.new" "/result/$n"
		done
	END
}

# inside_enter: a session of its own, whose number $inner is that of the shell that serves it.
inside_enter() {
	setsid unshare -m --propagation private sh -c 'cd "$0" && pivot_root . old && exec /usr/bin/busybox chroot . /usr/bin/busybox sh -c "
		/usr/bin/busybox umount -l /old; exec /usr/bin/busybox sh /serve <>/commands"' "$root" 2>"$tmp/serve.err" &
	inner=$!
	pids=$inner
	n=0
	inside 'echo here'
	[ "$(ps -o sid= -p $inner | tr -d ' ')" = "$inner" ] || skip "no session of its own"
}
# inside_begin COMMAND: as inside, and does not wait for its end, which inside_end does
inside_begin() {
	n=$((n + 1))
	echo "$n $1" >&6
}
inside_end() { # SECONDS
	within "$1" test -s "$root/result/$n" || die "no answer within $1 s; $(cat "$tmp/serve.err")"
	result=$(cat "$root/result/$n")
}
# inside COMMAND: its status, in that session
inside() {
	inside_begin "$1"
	inside_end 20
}
# becomes STATUS COMMAND
becomes() {
	inside "$2"
	[ "$result" = "$1" ] || fail "$2: $result, not $1: $(cut -c1-200 "$root/result/$n.out")"
}

hf() {
	nsenter --mount="/proc/$inner/ns/mnt" /usr/bin/holdfast -c /etc/holdfast.yaml "$@"
}
gated() { hf status --json 2>/dev/null | grep -q '"file_systems":[1-9].*"trusted_digests":[1-9]'; }
# inside_init KEYS [LINE...]: a configuration (KEYS of exec, further lines), and a baseline when there is none
inside_init() {
	printf 'paths: [%s]\ncontrol: /run/control\nstore: {path: /state/holdfast.db}\nexec: {mode: enforce, trust: [baselines], stall: 5s, %s}\n' \
		"${guarded:-/usr, /lib, /lib64}" "$1" >"$root/etc/holdfast.yaml"
	shift
	for line; do printf '%s\n' "$line" >>"$root/etc/holdfast.yaml"; done
	[ -e "$root/state/holdfast.db" ] || hf init >/dev/null 2>"$err" || die "init"
}
# judge KEYS [LINE...]: that, and the monitor under it
judge() {
	inside_init "$@"
	: >"$out"
	nsenter --mount="/proc/$inner/ns/mnt" /usr/bin/holdfast -c /etc/holdfast.yaml watch --json --session "$inner" >"$out" 2>"$err" &
	pid=$!
	within 20 line '"kind":"note"' && within 20 gated || die "the monitor did not start"
}
