#!/bin/sh
# Too much at once, somebody who does not read, what no event tells, file systems that come and devices that are written.
# shellcheck source=/dev/null
. "$(dirname "$0")/lib.sh"

mkdir "$g/many" "$g/mnt"
echo a >"$g/mapped"
echo a >"$g/flagged"
printf 'begin\n' >"$g/log"
config 'limits: {queue: 16, pending: 64, recheck: 60s, canary: 0}'
hf init -q || die "init"
watch

# Far more than the table of pending paths: nothing is lost in the end.
i=0
while [ $i -lt 1000 ]; do
	echo $i >"$g/many/f$i"
	i=$((i + 1))
done
all_told() {
	[ "$(grep -aF '"change":"added"' "$out" | grep -aoE 'many/f[0-9]+"' | sort -u | wc -l)" = 1000 ]
}
within 60 all_told || fail "of 1000 files $(grep -aoE 'many/f[0-9]+"' "$out" | sort -u | wc -l) were told"
within 20 idle || fail "not idle after the burst"
stop

# Nobody reads the output: detection and history go on.
mkfifo "$tmp/fifo"
exec 9<>"$tmp/fifo"
"$holdfast" -c "$tmp/conf.yaml" watch --json >"$tmp/fifo" 2>"$err" &
pid=$!
within 10 test -S "$tmp/control" || fail "no control socket"
rm -rf "$g/many"
mkdir "$g/many2"
i=0
while [ $i -lt 800 ]; do
	echo $i >"$g/many2/f$i"
	i=$((i + 1))
done
in_history() { hf history --json --path "$g/many2/f799" | grep -q added; }
within 60 in_history || fail "history stopped with the output"
stop
in_time "$took" || fail "took $took ms to end with a blocked output"
exec 9>&-

# Stores through a mapping that stays, and inode flags: the recheck finds them.
config 'limits: {queue: 16, pending: 64, recheck: 3s, canary: 0}'
if command -v python3 >/dev/null; then
	cat >"$tmp/map.py" <<-'EOT'
		import mmap, sys, time
		f = open(sys.argv[1], "r+b")
		m = mmap.mmap(f.fileno(), 1)
		f.close()
		m[0:1] = b"Z"
		print("mapped", flush=True)
		time.sleep(600)
	EOT
	watch
	python3 "$tmp/map.py" "$g/mapped" >"$tmp/mapped" &
	pids="$pids $!"
	within 10 grep -q mapped "$tmp/mapped"
	chattr +i "$g/flagged" 2>/dev/null && flags=1 || flags=0
	within 70 line '"change":"changed"' "$g/mapped" || fail "a store through a mapping was not found"
	[ $flags = 0 ] || told "$g/flagged" '"flags"'
	chattr -i "$g/flagged" 2>/dev/null
else
	watch
fi

# A file system mounted inside what is guarded.
if mount -t tmpfs none "$g/mnt" 2>/dev/null; then
	on_mount() {
		rm -f "$g/mnt/new"
		echo x >"$g/mnt/new"
		within 1 line "$g/mnt/new"
	}
	within 10 on_mount || fail "a new file system below a guarded path is not seen"
	umount "$g/mnt"
fi
stop

# The block device under a guarded file system is written.
truncate -s 64M "$tmp/image"
if mkfs.ext4 -q -F "$tmp/image" 2>/dev/null && mount -o loop "$tmp/image" "$g/mnt" 2>/dev/null; then
	echo x >"$g/mnt/inside"
	hf init -q --replace || die "init again"
	watch
	device=$(awk -v m="$g/mnt" '$2 == m {print $1}' /proc/mounts)
	dd if="$device" of="$device" bs=512 count=1 conv=notrunc 2>/dev/null
	told '"reason":"device-written"' "$device"
	told '"reason":"device-written"' 'rescan: 0 changes found'
	stop
	umount "$g/mnt"
fi
end
