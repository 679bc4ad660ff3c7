#!/bin/sh
# Too much at once, somebody who does not read, what no event tells, file systems that come and devices that are written.
# HOLDFAST_ONLY=storm: the storm alone; HOLDFAST_CYCLES, HOLDFAST_STORMS: of how much.
# shellcheck source=/dev/null
. "$(dirname "$0")/lib.sh"

mkdir "$g/many" "$g/mnt"
echo a >"$g/mapped"
echo a >"$g/flagged"
printf 'begin\n' >"$g/log"
bursts() {
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
}
[ "${HOLDFAST_ONLY:-}" = storm ] || bursts

# A storm of mounts, and the configuration read again and again, while somebody writes without end: marks and descriptors
# are what they were, each reload is in force or refused whole, and what was written last is known. With a store at its bound.
churn=$PWD/bench/churn
cycles=${HOLDFAST_CYCLES:-3000}
storms=${HOLDFAST_STORMS:-20}
rm -rf "$g/many2"
mkdir -p "$g/churn"
config 'limits: {canary: 0}' 'exec: {mode: "off"}'
sed -i 's/^store: {\(.*\)}/store: {\1, max_size: 4M}/' "$tmp/conf.yaml"
hf init -q --replace >/dev/null 2>&1 || die "init again"
watch
settled
# But for those of the store: a reader of it connects when it is asked for the first time.
held() { ls -l "/proc/$pid/fd" | grep -vc "$tmp/state/"; }
before=$(held)
"$churn" --keep 100 "$g/churn" "$cycles" >"$tmp/churned" &
writer=$!
pids="$pids $writer"
# Each reload is waited for: two that nobody waits for may be one.
refused=0
reloads=0
reloaded() { [ "$(grep -c 'configuration read again' "$err")" -ge $reloads ]; }
was_refused() { [ "$(grep -c 'conf.yaml:' "$err")" -gt $refused ]; }
# While the monitor looks at what is new there it is busy.
unmounted() { umount "$g/mnt" 2>/dev/null; }
resident() { awk 'NR == FNR {at = $1; next} /^VmRSS/ {print at, $2}' /proc/uptime "/proc/$pid/status" >>"$tmp/resident"; }
i=0
while [ $i -lt "$storms" ]; do
	i=$((i + 1))
	mount -t tmpfs none "$g/mnt" && within 10 unmounted || fail "mount $i"
	if [ $((i % 10)) = 5 ]; then
		refused=$(grep -c 'conf.yaml:' "$err")
		echo 'nonsense: [' >>"$tmp/conf.yaml"
		kill -HUP "$pid"
		within 30 was_refused || fail "a bad configuration was not refused"
		sed -i '/nonsense/d' "$tmp/conf.yaml"
	else
		reloads=$((reloads + 1))
		kill -HUP "$pid"
		within 30 reloaded || fail "no reload $reloads"
	fi
	resident
done
until ! kill -0 "$writer" 2>/dev/null; do
	resident
	sleep 1
done
wait "$writer" || fail "the writer ended"
last=$(ls "$g/churn" | sort -t. -k2n | tail -1)
last_known() { hf history --json -n 0 --path "$g/churn/$last" 2>/dev/null | grep -q "$last"; }
within 60 last_known || fail "$last is not in history"
within 60 idle || fail "not idle after the storm"
few() { [ "$(held)" -le $((before + 2)) ]; }
within 20 few || fail "descriptors: $before before, $(held) after: $(ls -l "/proc/$pid/fd" | tail -5)"
hf baseline verify >/dev/null 2>"$tmp/verify" || fail "verify: $(cat "$tmp/verify")"
grown() { grown=$(($(stat -c %s "$tmp/state/holdfast.db") / 1024)) && [ $grown -le 8192 ]; }
within 10 grown || fail "the database has $grown KiB, 4096 at most were asked for"
# Memory is flat: what is held in the last quarter of the time is what was in its first half, but for the states of files that were
# told a moment ago, of which the scan behind a flood tells many (LATELY_BYTES of fim/lately.h: 12 MiB).
resident
awk '{t[NR] = $1; v[NR] = $2}
	END {for (i = 1; i <= NR; i++) {q = t[NR] > t[1] ? (t[i] - t[1]) * 4 / (t[NR] - t[1]) : 4
			if (q <= 2 && v[i] > half) half = v[i]; if (q >= 3 && v[i] > last) last = v[i]} print half, last}' "$tmp/resident" >"$tmp/quarters"
read -r half last_quarter <"$tmp/quarters"
sanitized || [ "$last_quarter" -le $((half + 8192 + 12288)) ] || fail "resident: $half KiB in the first half, $last_quarter in the last quarter: $(awk '{v[NR] = $2} END {for (i = 1; i <= 20; i++) printf "%s ", v[int(NR * i / 20)]}' "$tmp/resident"); $(hf status --json)"
echo "$((cycles * 4)) operations in $(cat "$tmp/churned") s, $storms mounts, $reloads reloads and $((storms - reloads)) refused: database $grown KiB, descriptors $before and $(held), resident $half KiB in the first half and $last_quarter in the last quarter"
stop
rm -rf "$g/churn"

[ "${HOLDFAST_ONLY:-}" != storm ] || end

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
