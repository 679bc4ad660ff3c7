#!/bin/sh
# The store under a running monitor: a full disk, kill -9 at any moment, a lock, a database that is gone, cut short, put back.
# The watch goes on telling, what could not be written is a gap, and what is there can be verified.
# HOLDFAST_ONLY=disk, kills: that part alone; HOLDFAST_KILLS: how many.
# shellcheck source=/dev/null
. "$(dirname "$0")/lib.sh"

db=$tmp/state/holdfast.db
echo one >"$g/one"
config 'limits: {canary: 0}' 'exec: {mode: "off"}'

wanted() { [ "${HOLDFAST_ONLY:-$1}" = "$1" ]; }
store_says() { hf status --json >"$tmp/status" 2>/dev/null; grep -o '"store":{[^}]*}' "$tmp/status" | grep -q "\"failing\":$1"; }
red() { grep -q '"health":"red"' "$tmp/status"; }
no_gaps() { hf status --json | grep -q '"gaps":\[\]'; }
store_gap() { line '"kind":"gap"' '"reason":"store"' "$@"; }

# failing WHY: changes are made until one cannot be written; those are told all the same, and the gap is open
n=0
failing() {
	end_at=$(($(now_ms) + 60000))
	first=$((n + 1))
	until store_says true; do
		[ "$(now_ms)" -lt $end_at ] || die "writing does not fail"
		n=$((n + 1))
		echo x >"$g/f$n"
		sleep 0.05
	done
	red || fail "health is not red"
	grep -q '"reason":"store"' "$tmp/status" || fail "status names no gap"
	within 10 store_gap "$1" || fail "the output names no gap: $1"
	n=$((n + 1))
	echo x >"$g/f$n"
	told "$g/f$n" '"change":"added"'
	# It is tried again and again, and not said to work before it does; once is enough to see it.
	[ -z "${tried:-}" ] || return 0
	healed=$(lines '"reason":"store"' '"healed"')
	tried=$(failures)
	within 30 tried_twice || fail "it is not tried again"
	[ "$(lines '"reason":"store"' '"healed"')" = "$healed" ] || fail "said to be written again"
}
failures() { hf status --json | grep -o '"store":{[^}]*' | grep -o '"failures":[0-9]*' | cut -d: -f2; }
tried_twice() { [ "$(failures)" -ge $((tried + 2)) ]; }

# resumed: and it is all there
resumed() {
	within 30 store_says false || die "writing does not go on"
	within 10 store_gap '"healed":"writing works again; nothing was lost"' || fail "the gap was not closed"
	within 10 no_gaps || fail "status: the gap is still there"
	! red || fail "health is still red"
	n=$((n + 1))
	echo x >"$g/f$n"
	told "$g/f$n" '"id":'
	for i in $(seq $first $n); do
		within 10 committed "$g/f$i" || fail "f$i is not in history"
	done
	hf history --json --kind gap >"$tmp/gaps"
	grep '"reason":"store"' "$tmp/gaps" | grep -q '"to":' || fail "history has no gap that is closed"
	hf baseline verify >/dev/null 2>"$err.verify" || fail "verify: $(cat "$err.verify")"
}

# --- a full disk, also at the start

fill() {
	dd if=/dev/zero of="$tmp/state/filler" bs=4096 2>/dev/null
	! dd if=/dev/zero of="$tmp/state/filler2" bs=1 count=1 2>/dev/null || dd if=/dev/zero of="$tmp/state/filler2" bs=1 2>/dev/null
}
unfill() { rm -f "$tmp/state/filler" "$tmp/state/filler2"; }

full_disk() {
	if ! mount -t tmpfs -o size=24m,mode=700 none "$tmp/state" 2>/dev/null; then
		echo "not tried: full disk: no tmpfs can be mounted"
		return
	fi
	hf init -q || die "init"
	watch
	settled
	fill
	failing full
	unfill
	resumed
	settled
	stop
	fill
	: >"$out"
	"$holdfast" -c "$tmp/conf.yaml" watch --json >"$out" 2>"$err" &
	pid=$!
	within 20 line '"kind":"note"' || die "the monitor does not start on a full disk"
	failing full
	unfill
	resumed
	stop
	hf baseline verify >/dev/null 2>"$err.verify" || fail "verify: $(cat "$err.verify")"
	umount "$tmp/state"
}

# --- the file system below fails: from one moment on nothing can be written any more, and nothing read that is not in memory

# As at a power loss: with store.sync: full, the default, nothing that was committed is missed.
# broken HOW: the watch goes on; after a repair the database opens, what it held before is there, the gap is named
broken() {
	truncate -s 64M "$tmp/disk"
	mkfs.ext4 -q -F "$tmp/disk" >/dev/null 2>&1 && mount -o loop,errors=remount-ro "$tmp/disk" "$tmp/state" 2>/dev/null || {
		echo "not tried: $1: no loop image"
		return
	}
	chmod 700 "$tmp/state"
	hf init -q || die "init"
	watch
	settled
	echo "$1" >"$g/before"
	told "$g/before" '"id":'
	within 10 committed "$g/before" || die "not in history"
	device=$(awk -v m="$tmp/state" '$2 == m {sub(".*/", "", $1); print $1}' /proc/mounts)
	if "$1"; then
		failing ''
		stop KILL
		umount "$tmp/state" || umount -l "$tmp/state"
		e2fsck -fy "$tmp/disk" >/dev/null 2>&1
		mount -o loop "$tmp/disk" "$tmp/state" || die "$1: mount again"
		hf baseline verify >/dev/null 2>"$err.verify" || fail "$1: verify: $(cat "$err.verify")"
		committed "$g/before" || fail "$1: what was in history is gone"
		watch
		told '"reason":"down"' '"healed":"check at start'
		told "$g/f$n"
		stop
	else
		echo "not tried: $1"
		stop
	fi
	umount "$tmp/state" || umount -l "$tmp/state"
}
io_errors() { xfs_io -x -c 'shutdown' "$tmp/state" >/dev/null 2>&1; }
read_only() { echo broken >"/sys/fs/ext4/$device/trigger_fs_error" 2>/dev/null; }

# --- the clock jumps, both ways: what happens is told with the time that there is then, in its order, and nothing is taken for a loss

jump=$PWD/tests/system/jump.so
# now_is SECONDS: off by
now_is() { printf '%-31s\n' "$1" | dd of="$tmp/jump" conv=notrunc 2>/dev/null; }
canaries() { hf status --json 2>/dev/null | sed 's/.*"canary":\[{\([^}]*\)}.*/\1/; s/.*"good":\([0-9]*\).*/\1/'; }
more_canaries() { [ "$(canaries)" -ge $((good + 3)) ]; }
clock() {
	now_is 0
	if sanitized || [ ! -e "$jump" ] || ! HOLDFAST_JUMP=$tmp/jump LD_PRELOAD=$jump true 2>/dev/null; then
		echo "not tried: jumps of the clock (a program built with sanitizers, or no preloading)"
		return
	fi
	config 'limits: {canary: 500ms, canary_deadline: 400ms}' 'exec: {mode: "off"}'
	hf init -q || die "init"
	export HOLDFAST_JUMP="$tmp/jump" LD_PRELOAD="$jump"
	watch
	unset LD_PRELOAD
	jumps='0 86400 -86400 315360000 -3600'
	for by in $jumps; do
		now_is "$by"
		echo x >"$g/jump$by"
		told "$g/jump$by\"" '"change":"added"'
		# What is waited for is no later for it: one that began before the jump, and one after.
		good=$(canaries)
		within 20 more_canaries || fail "clock: after a jump by $by s the event path is not tested any more: $good tests"
	done
	line "$g/jump315360000\"" "\"time\":\"$(date -u -d "@$(($(date +%s) + 315360000))" +%Y)-" || fail "not told with the time that there was"
	settled
	within 10 no_gaps || fail "the clock jumped, and a gap is open: $(cat "$tmp/status")"
	for by in $jumps; do within 10 committed "$g/jump$by" || fail "jump$by is gone"; done
	stop
	hf baseline verify >/dev/null 2>"$err.verify" || fail "clock: verify: $(cat "$err.verify")"
	echo "clock: jumped by $jumps seconds"
	rm -f "$g"/jump*
	rm -rf "$tmp/state"
	mkdir -m 700 "$tmp/state"
	config 'limits: {canary: 0}' 'exec: {mode: "off"}'
}

# --- kill -9, at any moment of a watch and of a start

# Changes, and starts: mv, rm and sleep are programs.
cat >"$tmp/writer" <<'EOT'
i=0
until [ -e "$2" ]; do
	i=$(((i + 1) % 1000))
	echo $i >"$1/w$i"
	[ $((i % 7)) != 0 ] || mv "$1/w$i" "$1/x$i"
	[ $((i % 5)) != 0 ] || rm -f "$1/w$((i - 3))"
	sleep 0.005
done
EOT
# What was committed when it was killed is there afterwards.
rows() { ! command -v sqlite3 >/dev/null || sqlite3 -cmd '.timeout 5000' -readonly "$db" "SELECT max(id), count(*) FROM event WHERE id <= ${1:-(SELECT max(id) FROM event)}"; }
a_while() { # below MS
	sleep "$(od -An -N2 -tu2 /dev/urandom | awk -v below="$1" '{printf "%d.%03d", int($1 % below / 1000), $1 % below % 1000}')"
}
start_only() {
	: >"$out"
	"$holdfast" -c "$tmp/conf.yaml" watch --json >"$out" 2>"$err" &
	pid=$!
}
killed() {
	before=$(rows)
	stop KILL
	date -u +%FT%T.%6NZ >>"$tmp/killed"
	hf baseline verify >/dev/null 2>"$err.verify" || fail "killed $round: verify: $(cat "$err.verify")"
	[ "$before" = "$(rows "${before%|*}")" ] || fail "killed $round: $before rows were committed, and $(rows "${before%|*}") are there"
}
# None of its helpers outlives it: who else of this mount namespace runs the program
nobody_left() {
	! find /proc/[0-9]*/ns/mnt -lname "$(readlink /proc/self/ns/mnt)" 2>/dev/null | cut -d/ -f3 | while read -r p; do
		[ "$(readlink "/proc/$p/exe" 2>/dev/null)" != "$holdfast" ] || echo "$p"
	done | grep -q .
}
# Each moment without a monitor lies in a gap that is closed.
named() {
	hf history --json --kind gap -n 0 | grep '"reason":"down"' | grep '"to":' |
		sed 's/.*"from":"\([^"]*\)".*"to":"\([^"]*\)".*/\1 \2/' | sort >"$tmp/down"
	awk 'NR == FNR {from[NR] = $1; to[NR] = $2; n = NR; next}
		{for (i = 1; i <= n; i++) if (from[i] <= $1 && $1 <= to[i]) next; print}' "$tmp/down" "$tmp/killed"
}
kills() {
	hf init -q || die "init"
	: >"$tmp/killed"
	watch
	sh "$tmp/writer" "$g" "$tmp/enough" &
	writer=$!
	pids="$pids $writer"
	rounds=${HOLDFAST_KILLS:-5}
	for round in $(seq "$rounds"); do
		# Every second time while it starts.
		if [ $((round % 2)) = 0 ]; then
			start_only
			a_while 700
			killed
			continue
		fi
		[ "$round" = 1 ] || watch
		[ "$round" = 1 ] || told '"reason":"down"' 'ended without notice' '"healed":"check at start'
		a_while 500
		killed
	done
	within 10 nobody_left || fail "somebody is left of a monitor that was killed"
	watch
	told '"reason":"down"' 'ended without notice' '"healed":"check at start'
	: >"$tmp/enough"
	wait "$writer"
	settled
	within 10 no_gaps || fail "a gap is open"
	hf history --json --open -n 0 >"$tmp/history"
	for f in "$g"/w* "$g"/x*; do
		# Or as the new name of one that was renamed.
		grep -qE "\"path2?\":\"$f\"" "$tmp/history" || echo "$f"
	done >"$tmp/missing"
	[ ! -s "$tmp/missing" ] || fail "not in history: $(head -3 "$tmp/missing") of $(wc -l <"$tmp/missing")"
	[ -z "$(named)" ] || fail "killed when no gap says so: $(named | head -3)"
	echo "killed $rounds times, half of them at the start, while files were written and programs started; $(hf history --json -n 0 | wc -l) rows of history, none lost, $(wc -l <"$tmp/down") gaps"
}

if wanted disk; then
	full_disk
	broken io_errors
	broken read_only
	rm -f "$g"/f*
	clock
fi
config 'limits: {canary: 0}' 'exec: {mode: observe, trust: [baselines]}'
if wanted kills; then kills; fi
if [ -n "${HOLDFAST_ONLY:-}" ]; then
	[ -z "$pid" ] || stop
	end
fi
config 'limits: {canary: 0}' 'exec: {mode: "off"}'

# --- gone: moved away, and put back

failing_by() {
	eval "$1"
	failing "$2"
}
failing_by 'mv "$db" "$tmp/away.db"' 'moved, removed or replaced'
[ ! -e "$db" ] || fail "a database was made"
mv "$tmp/away.db" "$db"
resumed

# Another one in its place is not written to.
cp "$db" "$tmp/copy.db"
failing_by 'mv "$db" "$tmp/away.db"; cp "$tmp/copy.db" "$db"' 'moved, removed or replaced'
cmp -s "$tmp/copy.db" "$db" || fail "the other database was written to"
mv "$tmp/away.db" "$db"
resumed

# --- locked

if command -v sqlite3 >/dev/null; then
	mkfifo "$tmp/hold"
	sqlite3 "$db" <"$tmp/hold" >"$tmp/held" 2>&1 &
	holder=$!
	pids="$pids $holder"
	exec 8>"$tmp/hold"
	echo '.timeout 10000
begin immediate; select 42;' >&8
	within 20 grep -q 42 "$tmp/held" || die "no lock to test with"
	failing 'another program holds'
	echo 'rollback;' >&8
	exec 8>&-
	wait "$holder"
	resumed
else
	echo "sqlite3 is not installed: a locked database was not tried"
fi

# --- cut short while it runs: it goes on telling, ends as asked, and the next start refuses

hf baseline verify >/dev/null 2>&1 || fail "verify"
rm -rf "$tmp/good"
cp -a "$tmp/state" "$tmp/good"
truncate -s 8192 "$db"
n=$((n + 1))
echo x >"$g/f$n"
told "$g/f$n" '"change":"added"'
stop
refused() { # STATUS WORD
	timeout 20 "$holdfast" -c "$tmp/conf.yaml" watch --for 1 >"$tmp/refused" 2>&1
	s=$?
	[ $s = "$1" ] || fail "status $s, not $1: $(cat "$tmp/refused")"
	grep -q "$2" "$tmp/refused" || fail "does not say \"$2\": $(cat "$tmp/refused")"
}
fresh() {
	rm -rf "$tmp/state"
	cp -a "$tmp/good" "$tmp/state"
}
rm -f "$db-wal" "$db-shm"
refused 74 'database'
for size in 0 100 4096; do
	fresh
	rm -f "$db-wal" "$db-shm"
	truncate -s $size "$db"
	before=$(cksum <"$db")
	refused 74 'database'
	[ "$before" = "$(cksum <"$db")" ] || fail "a refused database was written to"
done
fresh
rm -f "$db-wal" "$db-shm"
dd if=/dev/urandom of="$db" bs=4096 seek=1 count=30 conv=notrunc 2>/dev/null
refused 74 ''
if command -v sqlite3 >/dev/null; then
	fresh
	sqlite3 "$db" 'PRAGMA user_version = 999'
	refused 74 'newer version'
fi
fresh
if mount --bind "$tmp/state" "$tmp/state" 2>/dev/null && mount -o remount,ro,bind "$tmp/state" 2>/dev/null; then
	refused 74 'ead-only'
	umount "$tmp/state"
fi
fresh
watch
settled
stop
end
