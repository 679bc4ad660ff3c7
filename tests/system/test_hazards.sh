#!/bin/sh
# What the gate loses is a gap that names it, and nothing that happens to the monitor hangs the machine: floods, foreign
# leases, no descriptors, frozen cgroups, no memory. On a file system of the test's own.
. "$(dirname "$0")/lib.sh"

command -v mkfs.ext4 >/dev/null || skip "no mkfs.ext4"
act=$PWD/tests/system/act
[ -x "$act" ] || skip "no $act"
truncate -s 64M "$tmp/disk"
mkfs.ext4 -q -F "$tmp/disk" >/dev/null 2>&1 && mount -o loop "$tmp/disk" "$g" 2>/dev/null || skip "no loop image"
cp /bin/true "$g/good"
cp /bin/sleep "$g/slow"
config 'exec: {mode: enforce, trust: [baselines], stall: 2s}' 'limits: {settle: 5ms}'
hf init >/dev/null 2>"$err" || die "init"

# ends SECONDS COMMAND...: its status, 124 when it took longer
ends() {
	s=$1
	shift
	timeout -s KILL "$s" "$@" 2>/dev/null
}
# gap DETAIL: a closed one in history
gap() {
	hf history --kind gap --json >"$tmp/gaps" 2>/dev/null && grep -F "$1" "$tmp/gaps" | grep -q '"to":'
}
gaps_of() {
	within 15 gap "$1" || fail "no gap: $1: $(cut -c1-300 "$tmp/gaps" | head -5)"
}
# gone: the monitor has ended
gone() {
	! kill -0 "$pid" 2>/dev/null || grep -q '^State:.Z' "/proc/$pid/status" 2>/dev/null
}
# released WHAT: starts go on in time, the monitor is dead, and the next one says since when there was none
released() {
	ends 20 "$g/good" || fail "$1: a start waits ($?)"
	within 20 gone || fail "$1: the monitor was not ended"
	wait "$pid" 2>/dev/null
	pid=
	watch
	within 20 gated || die "$1: no gate"
	ends 20 "$g/good" || fail "$1: the next monitor refuses"
	hf history --kind gap --json >"$tmp/gaps"
	grep -q '"reason":"down"' "$tmp/gaps" || fail "$1: no gap for the time without a monitor"
}

# watch_in CGROUP
watch_in() {
	: >"$out"
	sh -c "echo \$\$ >$1/cgroup.procs; exec $holdfast -c $tmp/conf.yaml watch --json" >"$out" 2>"$err" &
	pid=$!
	within 20 line '"kind":"note"' && within 20 gated || die "the monitor did not start in $1"
}
gated() {
	hf status --json 2>/dev/null | grep -q '"file_systems":[1-9].*"trusted_digests":[1-9]'
}

watch
within 20 gated || die "no gate"
ends 20 "$g/good" || die "a trusted program is refused"

# Somebody holds a write lease on a program: the kernel cannot open it for the gate, and refuses its start.
cp "$g/good" "$g/leased"
mkfifo "$tmp/hold"
"$act" lease "$g/leased" <"$tmp/hold" >"$tmp/lease" &
pids="$pids $!"
exec 5>"$tmp/hold"
within 10 grep -q held "$tmp/lease" || die "no write lease"
ends 20 "$g/leased" && fail "a program under a write lease was let run"
exec 5>&-
gaps_of 'the kernel could not open the program for the gate'
ends 20 "$g/good" || fail "after a foreign lease"

# No descriptors: the kernel refuses by itself; afterwards all is well.
if command -v prlimit >/dev/null; then
	limit_before=$(awk '/^Max open files/ {print $4 ":" $5}' "/proc/$pid/limits")
	kernel_gaps() {
		hf history --kind gap --json | grep -F 'the kernel could not open the program' | grep -c '"to":'
	}
	gaps_before=$(kernel_gaps)
	before=$(hf status --json | sed 's/.*"refused_by_kernel":\([0-9]*\).*/\1/')
	prlimit --pid "$pid" --nofile=4:"${limit_before#*:}" || die "prlimit"
	ends 20 "$g/good" && fail "started without a verdict"
	prlimit --pid "$pid" --nofile="$limit_before"
	more_refused() {
		[ "$(hf status --json | sed 's/.*"refused_by_kernel":\([0-9]*\).*/\1/')" -gt "$before" ]
	}
	within 10 more_refused || fail "no descriptors: not counted"
	more_gaps() { [ "$(kernel_gaps)" -gt "$gaps_before" ]; }
	within 15 more_gaps || fail "no descriptors: no gap of its own"
	ends 20 "$g/good" || fail "when there are descriptors again"
fi
stop

# More starts at once than there is room for: exec.fail answers, and that is a gap. Each of a program of its own that takes
# long to judge, or those judged first would make room.
n=0
while [ $n -lt 150 ]; do
	cp "$g/slow" "$g/slow$n" && truncate -s 8M "$g/slow$n" || die "150 programs"
	n=$((n + 1))
done
(
	ulimit -n 256
	exec "$holdfast" -c "$tmp/conf.yaml" watch --json >"$out" 2>"$err"
) &
pid=$!
within 20 line '"kind":"note"' && within 20 gated || die "the monitor did not start with few descriptors"
kill -STOP "$pid"
n=0
while [ $n -lt 150 ]; do
	"$g/slow$n" 0 2>/dev/null &
	n=$((n + 1))
	flood="${flood:-} $!"
done
kill -CONT "$pid"
for p in $flood; do wait "$p" 2>/dev/null; done
gaps_of 'more at once than there is room for'
ends 20 "$g/good" || fail "after a flood"
stop

# Frozen, by either kind of cgroup: the watchdog is in none of them.
emptied() { rmdir "$own" 2>/dev/null; }
watch
if mkdir -p "$tmp/v2" && mount -t cgroup2 none "$tmp/v2" 2>/dev/null && mkdir "$tmp/v2/holdfast-test-$$" 2>/dev/null; then
	own=$tmp/v2/holdfast-test-$$
	stop
	watch_in "$own"
	hf status --json | grep -q '"watchdog_apart":true' || fail "the watchdog stayed in the monitor's cgroup"
	echo 1 >"$own/cgroup.freeze"
	frozen() { grep -q 'frozen 1' "$own/cgroup.events"; }
	within 10 frozen || fail "not frozen"
	released "frozen (v2)"
	echo 0 >"$own/cgroup.freeze"
	within 10 emptied || fail "somebody stayed in the cgroup"
else
	echo "not tried: no cgroup v2"
fi
freezer=$(awk '$0 ~ / - cgroup / && $NF ~ /(^|,)freezer(,|$)/ {print $5; exit}' /proc/self/mountinfo)
if [ -n "$freezer" ] && mkdir "$freezer/holdfast-test-$$" 2>/dev/null; then
	own=$freezer/holdfast-test-$$
	echo "$pid" >"$own/cgroup.procs"
	echo FROZEN >"$own/freezer.state"
	frozen() { grep -q FROZEN "$own/freezer.state"; }
	within 10 frozen || fail "not frozen (v1)"
	released "frozen (v1)"
	echo THAWED >"$own/freezer.state"
	within 10 emptied || fail "somebody stayed in the freezer"
else
	echo "not tried: no cgroup v1 freezer"
fi

# No memory: the kernel kills it, and nothing waits.
memory=$(awk '$0 ~ / - cgroup / && $NF ~ /(^|,)memory(,|$)/ {print $5; exit}' /proc/self/mountinfo)
if [ -n "$memory" ] && mkdir "$memory/holdfast-test-$$" 2>/dev/null; then
	own=$memory/holdfast-test-$$
	stop
	watch_in "$own"
	room=$(($(cat "$own/memory.usage_in_bytes") + 2097152))
	echo 0 >"$own/memory.swappiness" 2>/dev/null
	echo $room >"$own/memory.limit_in_bytes" || fail "no limit of memory"
	# Somebody else in there takes more than is left, and less than the monitor has; where it may, it cannot be chosen itself.
	sh -c "echo -1000 >/proc/self/oom_score_adj; echo \$\$ >$own/cgroup.procs; exec dd if=/dev/zero of=/dev/null bs=6M count=1" 2>/dev/null &
	other=$!
	pids="$pids $other"
	out_of_memory() { gone || ! kill -0 "$other" 2>/dev/null || grep -q '^State:.Z' "/proc/$other/status"; }
	within 20 out_of_memory || fail "nobody ran out of memory"
	if within 3 gone; then
		released "out of memory"
	else
		echo "not tried: the kernel found memory elsewhere"
		stop
	fi
	within 10 emptied || fail "somebody stayed in the memory cgroup"
else
	echo "not tried: no cgroup v1 memory"
fi
[ -z "$pid" ] || stop
end
