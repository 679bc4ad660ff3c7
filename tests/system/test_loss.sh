#!/bin/sh
# What the kernel tells is lost on the way: counted, named as a gap that began when it did, healed by a look at everything,
# and closed with what was found; what comes afterwards is told and attributed rightly.
# shellcheck source=/dev/null
. "$(dirname "$0")/lib.sh"
act=${ACT:-$PWD/tests/system/act}
[ -x "$act" ] || skip "no program at $act"

mkdir "$g/many"
echo old >"$g/old"
echo old >"$g/gone"
plain='limits: {canary: 0, queue: 16}'
off='exec: {mode: "off"}'
config "$plain" "$off"
hf init -q || die "init"

# gap REASON WORD...: the newest line of such a gap, in $tmp/gap
gap() {
	line '"kind":"gap"' "\"reason\":\"$1\"" || return 1
	tail -1 "$tmp/lines" >"$tmp/gap"
	shift
	for word; do grep -qF -- "$word" "$tmp/gap" || return 1; done
}

# began REASON BEFORE AFTER: a gap with that reason is of the time between (ms), and none older; on a busy machine more may follow
began() {
	line '"kind":"gap"' "\"reason\":\"$1\""
	grep -o '"from":"[^"]*"' "$tmp/lines" | cut -d'"' -f4 | sort -u | while read -r from; do
		ms=$(date -d "$from" +%s%N | cut -c1-13)
		if [ "$ms" -lt "$2" ]; then
			echo "early $from"
		elif [ "$ms" -le "$3" ]; then
			echo "right $from"
		fi
	done >"$tmp/began"
	! grep -q early "$tmp/began" && grep -q right "$tmp/began" ||
		fail "$1: $(cat "$tmp/began") is not between $(date -d "@$(($2 / 1000))") and $(date -d "@$(($3 / 1000))")"
}

no_gaps() { hf status --json | grep -q '"gaps":\[\]'; }
frozen() { grep -q '^State:.T' "/proc/$pid/status"; }
freeze() {
	settled
	# What was read up to now is known to the second: a moment later nothing older can be said to be missing.
	from=$(($(now_ms) - 5000))
	kill -STOP "$pid"
	within 10 frozen || die "the monitor does not stop"
	stopped=$(now_ms)
}

# --- who: messages about processes

# $1 processes end unheard, after one that was known, whose number goes to one that stays.
cp /bin/sh "$tmp/before"
cp /bin/sh "$tmp/after"
runs_after() { [ "$(readlink "/proc/$number/exe")" = "$tmp/after" ]; }
processes() {
	mkfifo "$tmp/go"
	"$tmp/before" -c 'echo x >"$1"; read -r _ <"$2"' "" "$g/first-$1" "$tmp/go" &
	number=$!
	told "$g/first-$1" '"change":"added"' "\"pid\":$number," '/before"'
	freeze
	echo >"$tmp/go"
	wait "$number"
	sh -c "echo x >'$g/during-$1'"
	"$act" forks "$1" || fail "no processes"
	mkfifo "$tmp/go2"
	"$act" under "$number" "$tmp/after" -c 'read -r _ <"$2"; echo y >"$1"' "" "$g/second-$1" "$tmp/go2" &
	runner=$!
	within 20 runs_after || fail "no process $number"
	kill -CONT "$pid"
	within 30 gap proc-lost '"healed":"process table read again' || fail "no gap was opened and closed"
	gap proc-lost '"lost":' || fail "what was lost was not counted"
	began proc-lost "$from" "$stopped"
	within 20 no_gaps || fail "a gap is still open"
	echo >"$tmp/go2"
	wait "$runner" || fail "the process was not made"
	told "$g/second-$1" '"change":"added"' "\"pid\":$number," '/after"'
	told "$g/during-$1" '"change":"added"'
	settled
	never "$g/second-$1" '/before"'
	never "$g/during-$1" '/before"'
	never "$g/during-$1" '/after"'
	hf status --json | grep -o '"processes":{[^}]*' | grep -q '"lost":[1-9]' || fail "status does not count it"
	rm "$tmp/go" "$tmp/go2"
}

config "$plain" "$off" 'sensors: {bpf: off}'
watch
if hf status --json | grep -q '"connector":true'; then
	processes 60000
else
	echo "no proc connector here: its losses were not tried"
fi
stop

config "$plain" "$off" 'sensors: {ring: 4K}'
watch
if hf status --json | grep -q '"source":"BPF"'; then
	processes 500
else
	echo "no BPF here: its losses were not tried"
fi
stop

# --- what: the kernel's queue of inotify

# changes: much more than 16384 events, and at the end a file of each kind
changes() {
	(cd "$g/many" && seq "$1" | xargs touch)
	echo new >>"$g/old"
	rm "$g/gone"
	echo x >"$g/fresh"
}
# told_all COUNT: the final states
told_all() {
	all_told() { [ "$(grep -aF '"change":"added"' "$out" | grep -aoE 'many/[0-9]+"' | sort -u | wc -l)" = "$1" ]; }
	within 60 all_told "$1" || fail "of $1 files $(grep -aoE 'many/[0-9]+"' "$out" | sort -u | wc -l) were told"
	told "$g/old" '"change":"changed"'
	told "$g/gone" '"change":"removed"'
	told "$g/fresh" '"change":"added"'
	within 20 no_gaps || fail "a gap is still open"
	hf check -q >/dev/null 2>&1
	[ "$(($(hf history --open -n 0 2>/dev/null | wc -l)))" -ge "$(($1 + 3))" ] || fail "history has less"
}
again() {
	rm -rf "$g/many"
	mkdir "$g/many"
	echo old >"$g/old"
	echo old >"$g/gone"
	rm -f "$g/fresh" "$g"/zz-*
	hf init -q --replace >/dev/null 2>&1 || die "init again"
}

again
config "$plain" "$off"
if [ "$(cat /proc/sys/fs/inotify/max_queued_events)" -le 20000 ]; then
	watch --sensor inotify
	freeze
	changes 6000
	kill -CONT "$pid"
	within 60 gap queue-overflow '"healed":"rescan: ' || fail "no gap was opened and closed"
	grep -q '"healed":"rescan: [1-9]' "$tmp/gap" || fail "the rescan found nothing"
	began queue-overflow "$from" "$stopped"
	told_all 6000
	echo "inotify: $(grep -o '"healed":"[^"]*"' "$tmp/gap")"
	stop
	again
else
	echo "the kernel's queue is too large to overflow"
fi

# --- what: fanotify's queue has no bound; ours has

watch
freeze
changes 6000
kill -CONT "$pid"
told_all 6000
never '"reason":"queue-overflow"'
stop
again

# The thread that takes events stands still for longer than the sensor waits.
watch
settled
from=$(($(now_ms) - 5000))
tid=$(grep -lx live "/proc/$pid/task"/*/comm | cut -d/ -f5)
mkfifo "$tmp/go"
"$act" halt "$tid" <"$tmp/go" >"$tmp/halted" &
halter=$!
pids="$pids $halter"
exec 8>"$tmp/go"
if within 10 grep -q halted "$tmp/halted"; then
	began_at=$(now_ms)
	i=0
	until line '"reason":"queue-overflow"'; do
		i=$((i + 1))
		[ "$(now_ms)" -lt $((began_at + 60000)) ] || break
		(cd "$g/many" && seq $((i * 300 - 299)) $((i * 300)) | xargs touch)
		sleep 0.05
	done
	changes $((i * 300))
	exec 8>&-
	wait "$halter"
	within 60 gap queue-overflow '"healed":"rescan: ' || fail "no gap was opened and closed"
	gap queue-overflow '"lost":' || fail "what was lost was not counted"
	began queue-overflow "$from" "$(now_ms)"
	told_all $((i * 300))
	hf status --json | grep -o '"sensor":{[^}]*' | grep -q '"overflows":[1-9]' || fail "status does not count it"
else
	exec 8>&-
	echo "a thread cannot be stopped here: our own queue was not overflowed"
fi
stop
hf baseline verify >/dev/null 2>"$err" || fail "verify"
end
