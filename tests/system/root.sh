# A root of its own on a tmpfs, for tests that have to write to /etc, /dev or /boot: made by the test, entered by a second
# part of it. Read with `.` after lib.sh. What is there: busybox, act, the program under test, the libraries of the host
# (read-only) and its programs at /host.

# make_root FOLDER
make_root() {
	root=$1
	busybox=$(command -v busybox) || skip "no busybox"
	mkdir "$root" && mount -t tmpfs -o mode=755 none "$root" || skip "no tmpfs"
	(cd "$root" && mkdir -p bin usr/bin usr/lib usr/share usr/local/bin etc/cron.d etc/ssh etc/pam.d etc/sudoers.d etc/systemd/system \
		boot dev proc sys tmp var/log var/lib/rpm var/spool/cron var/run run root/.ssh home/tmp/.ssh home/bob host hostsbin old state)
	chmod 1777 "$root/tmp"
	for d in lib lib64; do
		if [ -L /$d ]; then cp -P /$d "$root/"; elif [ -d /$d ]; then mkdir -p "$root/$d" && mount --bind /$d "$root/$d"; fi
	done
	mount --bind /usr/lib "$root/usr/lib" && mount -o remount,bind,ro "$root/usr/lib"
	[ ! -d /usr/lib64 ] || { mkdir -p "$root/usr/lib64" && mount --bind /usr/lib64 "$root/usr/lib64"; }
	mount --bind /usr/share "$root/usr/share" && mount -o remount,bind,ro "$root/usr/share"
	mount --bind /usr/bin "$root/host" && mount -o remount,bind,ro "$root/host"
	mount --bind /usr/sbin "$root/hostsbin" && mount -o remount,bind,ro "$root/hostsbin"
	cp "$busybox" "$root/usr/bin/busybox"
	for applet in $("$busybox" --list); do ln -s busybox "$root/usr/bin/$applet" 2>/dev/null; done
	# Its shell would run applets of its own in place of what lies in PATH.
	rm -f "$root/usr/bin/sh" && cp "$(readlink -f /bin/sh)" "$root/usr/bin/sh"
	ln -s ../usr/bin/sh "$root/bin/sh"
	cp "$holdfast" "$root/usr/local/bin/holdfast"
	mount -t tmpfs -o mode=755 none "$root/dev" && mkdir "$root/dev/shm"
	mknod -m 666 "$root/dev/null" c 1 3 && mknod -m 666 "$root/dev/zero" c 1 5 && mknod -m 444 "$root/dev/urandom" c 1 9
	mount --bind /proc "$root/proc" && mount --rbind /sys "$root/sys"
	printf 'root:x:0:0::/root:/bin/sh\ndaemon:x:1:1::/:/bin/sh\nbob:x:1000:1000::/home/bob:/bin/sh\nsshd:x:100:100::/run/sshd:/bin/false\n' >"$root/etc/passwd"
	printf 'root:*:19000::::::\n' >"$root/etc/shadow" && chmod 600 "$root/etc/shadow"
	printf 'root:x:0:\n' >"$root/etc/group"
	chmod 700 "$root/state"
}

# enter_root FOLDER PROGRAM ARGUMENT...: in a mount namespace of its own, without the way back
enter_root() {
	root=$1
	shift
	unshare -m --propagation private sh -c 'cd "$0" && pivot_root . old && exec chroot . /usr/bin/sh -c "umount -l /old; exec \"\$@\"" sh "$@"' "$root" "$@"
}

# A cgroup, below which each thing that is done has one of its own: alerts name it.
make_cgroup() {
	for top in /sys/fs/cgroup/unified /sys/fs/cgroup/systemd /sys/fs/cgroup; do
		[ -e $top/cgroup.procs ] || continue
		cgroup=$top/holdfast-test-$$
		mkdir "$cgroup" 2>/dev/null && return
	done
	skip "no cgroup of our own"
}
remove_cgroup() {
	[ -z "${cgroup:-}" ] || find "$cgroup" -depth -type d -exec rmdir {} \; 2>/dev/null
}
