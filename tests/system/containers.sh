# Real containers for the tests of the whole monitor, without a network; read with `.` after lib.sh, which has given us a
# mount namespace of our own. Image, layers and state lie on a file system of the test's own, $fs.

in_chroot && skip "in a chroot no runtime can enter its containers"
command -v podman >/dev/null || skip "no podman"
busybox=$(command -v busybox) || skip "no busybox"
if ldd "$busybox" >/dev/null 2>&1; then skip "busybox is not static"; fi
command -v mkfs.ext4 >/dev/null || skip "no mkfs.ext4"

fs=$tmp/fs
image=localhost/tiny:1
containers=

# own_fs SIZE: the file system; what is guarded lies on it too
own_fs() {
	mkdir -p "$fs"
	truncate -s "${1:-256M}" "$tmp/disk"
	mkfs.ext4 -q -F "$tmp/disk" >/dev/null 2>&1 && mount -o loop "$tmp/disk" "$fs" 2>/dev/null || skip "no loop image"
	mkdir "$fs/g" "$fs/graph" "$fs/run" "$fs/vol"
	g=$fs/g
}

# cgroups v1|v2: the runtimes refuse to start where both versions are mounted together
cgroups() {
	case $1 in
	v2)
		umount -R /sys/fs/cgroup 2>/dev/null || umount -l /sys/fs/cgroup 2>/dev/null
		mount -t cgroup2 none /sys/fs/cgroup 2>/dev/null || skip "no cgroup v2"
		;;
	v1)
		umount /sys/fs/cgroup/unified 2>/dev/null
		grep -q ' /sys/fs/cgroup/pids ' /proc/self/mountinfo || skip "no cgroup v1"
		;;
	esac
}

# podman with storage, state and settings of its own
podman_setup() {
	cat >"$tmp/containers.conf" <<-END
		[containers]
		netns = "none"
		pids_limit = 0
		default_ulimits = ["nofile=1024:2048", "nproc=1000:1000"]

		[engine]
		runtime = "${1:-runc}"
		cgroup_manager = "cgroupfs"
		events_logger = "none"
	END
	printf '[storage]\ndriver = "overlay"\ngraphroot = "%s/graph"\nrunroot = "%s/run"\n' "$fs" "$fs" >"$tmp/storage.conf"
	export CONTAINERS_CONF="$tmp/containers.conf" CONTAINERS_STORAGE_CONF="$tmp/storage.conf"
	make_image "$image"
}

# make_root: what is in the image, in $tmp/root
make_root() {
	rm -rf "$tmp/root"
	mkdir -p "$tmp/root/bin" "$tmp/root/etc" "$tmp/root/tmp" "$tmp/root/usr/bin"
	cp "$busybox" "$tmp/root/bin/busybox"
	for applet in sh cat cp rm mv chmod echo sleep true false ls mkdir touch ln tr kill; do
		ln -s busybox "$tmp/root/bin/$applet"
	done
	cp "$busybox" "$tmp/root/usr/bin/busybox-tool"
	echo 'root:x:0:0:root:/:/bin/sh' >"$tmp/root/etc/passwd"
	echo 'hello' >"$tmp/root/etc/motd"
}

# make_image NAME [FILE...]: a tiny image; files are added to its /usr/bin
make_image() {
	make_root
	name=$1
	shift
	for file; do cp "$file" "$tmp/root/usr/bin/"; done
	tar -C "$tmp/root" -c . | podman import - "$name" >/dev/null 2>"$tmp/import.err" || {
		cat "$tmp/import.err"
		skip "podman cannot import an image here"
	}
}

# run_container NAME ARGUMENT...: podman run, removed at the end
run_container() {
	containers="$containers $1"
	name=$1
	shift
	podman run --name "$name" "$@" >"$tmp/podman.out" 2>"$tmp/podman.err"
}

containers_finish() {
	for name in $containers; do
		podman rm -f -t 0 "$name" >/dev/null 2>&1
	done
	finish
}
trap containers_finish EXIT

# seen KIND CONTAINER PATH WORD...: a row of its history holds all of them ($tmp/history: those that do)
seen() {
	hf history --json --kind "$1" --container "$2" 2>"$err" | grep -F "\"path\":\"$3\"" >"$tmp/history"
	shift 3
	for word; do
		grep -F -- "$word" "$tmp/history" >"$tmp/history.2"
		mv "$tmp/history.2" "$tmp/history"
	done
	[ -s "$tmp/history" ]
}
