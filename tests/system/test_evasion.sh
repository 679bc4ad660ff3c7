#!/bin/sh
# The evasion matrix: each way to change a file, to open a secret or to start a program unseen, done for real on ext4, xfs,
# btrfs, tmpfs and overlay under one monitor that enforces, and what came of it as a table. tests/system/evasion has the cases.
# usage: test_evasion.sh [peers]: with other tools on the same cases (make evasion)
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/inside.sh"

evasion=$PWD/tests/system/evasion/evasion
[ -x "$evasion" ] || skip "no $evasion"
peers=${1:-}

inside_make
put "$evasion" evasion
# A shell that does not look like one.
put "$busybox" tool
mkdir -p "$root/fs" "$root/layers" "$root/tmp" "$root/dev/shm"
mount -t tmpfs none "$root/result" || skip "no tmpfs"
mount -t tmpfs none "$root/dev/shm"
out=$root/result/out

# file_system TYPE SIZE MKFS...: at /fs/TYPE, its device also there
file_system() {
	mkdir "$root/fs/$1"
	truncate -s "$2" "$tmp/disk.$1"
	type=$1
	shift 2
	if "$@" "$tmp/disk.$type" >/dev/null 2>&1 && mount -o loop "$tmp/disk.$type" "$root/fs/$type" 2>"$tmp/mount.err"; then
		device=$(awk -v m="$root/fs/$type" '$2 == m {print $1}' /proc/mounts)
		mknod -m 600 "$root$device" b $(printf '%d %d' "0x$(stat -c %t "$device")" "0x$(stat -c %T "$device")")
	else
		echo "skipped: $type: $(cat "$tmp/mount.err" 2>/dev/null || echo "cannot be made here")"
		rmdir "$root/fs/$type"
	fi
}
file_system ext4 64M mkfs.ext4 -q -F
file_system xfs 320M mkfs.xfs -q -f
file_system btrfs 160M mkfs.btrfs -q -f
mkdir "$root/fs/tmpfs" && mount -t tmpfs none "$root/fs/tmpfs"
# Its layers lie on an ext4 as those of containers do, and are not guarded themselves.
mkdir "$root/layers/lower" "$root/layers/upper" "$root/layers/work" "$root/fs/overlay"
mount -t overlay -o "lowerdir=$root/layers/lower,upperdir=$root/layers/upper,workdir=$root/layers/work" none "$root/fs/overlay" || {
	echo "skipped: overlay: cannot be mounted here"
	rmdir "$root/fs/overlay"
}
"$evasion" payload </dev/null >/dev/null
[ $? = 42 ] || die "the payload does not run"

# What an attack mounts by a loop device, with the payload in it.
mkdir "$tmp/inner"
cp "$evasion" "$tmp/inner/x"
echo evil >>"$tmp/inner/x"
truncate -s 16M "$root/image"
mkfs.ext4 -q -F -d "$tmp/inner" "$root/image" >/dev/null 2>&1
mknod -m 600 "$root/dev/loop-control" c 10 237

inside_enter
inside 'evasion prepare'
[ "$result" = 0 ] || die "prepare: $(cat "$root/result/$n.out")"
guarded='/usr, /lib, /lib64, /fs'
keys='ungated: kill, scripts: enforce, libraries: all'
left_out='exclude: ["/fs/*/*/out"]'
secrets='sensitive: ["/fs/*/secret-*/w/key"]'
inside_init "$keys" "$left_out" "$secrets"
# Not in the baseline, and opened by the driver before there is a monitor.
if [ -d "$root/fs/ext4" ]; then mkdir "$root/fs/ext4/early" && cp "$tmp/inner/x" "$root/fs/ext4/early/x"; fi
: >"$out"
with=
inside_begin "evasion run /result/out -o /result/table $with"
within 20 test -e "$root/result/ready" || die "no driver: $(cat "$root/result/$n.out")"
judge "$keys" "$left_out" "$secrets"
: >"$root/result/go"
inside_end 120
cat "$root/result/$n.out"
[ "$result" = 0 ] || fail "the matrix is worse than promised"
stop
end
