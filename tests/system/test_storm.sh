#!/bin/sh
# Short containers, many at once: each first start is judged and has its container's name, and what the monitor holds is what it held before;
# what it costs is printed. Files of the containers are followed too.
# usage: test_storm.sh [CONTAINERS [AT ONCE [WITHOUT [MORE]]]]; without: 30 10 10 0. WITHOUT: how many are run without a monitor,
# to compare. MORE: further storms, after which memory is printed.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/containers.sh"

total=${1:-30}
width=${2:-10}
alone=${3:-$width}
more=${4:-0}
own_fs
cgroups v2
podman_setup
run_container probe --rm "$image" true || {
	cat "$tmp/podman.err"
	skip "podman cannot start a container here"
}
echo x >"$g/file"
config 'exec: {mode: observe, trust: [baselines]}' "containers:" "  stores: [$fs/graph]" '  policies: [{image: "localhost/*"}]'
hf init >/dev/null 2>"$err" || die "init"
hf init --image "containers-storage:[$fs/graph]$image" tiny >/dev/null 2>"$err" || die "init --image"

# storm FIRST COUNT
storm() {
	n=$1
	last=$(($1 + $2))
	while [ "$n" -lt "$last" ]; do
		for _ in $(seq "$width"); do
			[ "$n" -lt "$last" ] || break
			podman run --rm --name "short$n" "$image" true >/dev/null 2>>"$tmp/storm.err" &
			n=$((n + 1))
			jobs="$jobs $!"
		done
		for job in $jobs; do wait "$job" || refused=$((refused + 1)); done
		jobs=
	done
}
jobs=
refused=0

# CPU time in clock ticks: of all that this shell has waited for, and of the monitor.
waited() {
	awk '{sub(/.*\) /, ""); print $14 + $15}' "/proc/$$/stat"
}
spent() {
	awk '{sub(/.*\) /, ""); print $12 + $13}' "/proc/$pid/stat"
}
marks() {
	hf status --json 2>/dev/null | grep -o '"mountpoint":"[^"]*"' | sort
}

# The same without a monitor.
without=$(waited)
storm 2000 "$alone"
without=$(($(waited) - without))
watch

# What is held once everything has been used once.
storm 1000 "$width"
within 10 idle || fail "not idle"
fds=$(ls "/proc/$pid/fd" | wc -l)
memory=$(awk '/^VmRSS/ {print $2}' "/proc/$pid/status")
marks >"$tmp/marks"
with=$(waited)
monitor=$(spent)
storm 0 "$total"
[ "$refused" = 0 ] || fail "$refused containers were not started: $(tail -3 "$tmp/storm.err")"
with=$(($(waited) - with))
within 20 idle || fail "not idle"
monitor=$(($(spent) - monitor))
marks_back() {
	marks >"$tmp/marks.after"
	cmp -s "$tmp/marks" "$tmp/marks.after"
}
within 20 marks_back || fail "marks: $(diff "$tmp/marks" "$tmp/marks.after")"

# Each has its own first start under its own name, judged by its image.
all_named() {
	hf history --json --kind exec 2>"$err" | grep -F '"path":"/bin/busybox"' | grep -F '"verdict":"allowed"' >"$tmp/execs"
	missing=
	n=0
	while [ "$n" -lt "$total" ]; do
		grep -q "\"name\":\"short$n\"" "$tmp/execs" || missing="$missing $n"
		n=$((n + 1))
	done
	[ -z "$missing" ]
}
within 20 all_named || fail "without a start of their own that was judged:$missing"
after=$(ls "/proc/$pid/fd" | wc -l)
[ "$after" -le $((fds + 4)) ] || fail "descriptors: $fds before, $after after"
held=$(awk '/^VmRSS/ {print $2}' "/proc/$pid/status")
# An address sanitizer keeps what was freed.
sanitized || [ "$held" -le $((memory + 8192)) ] || fail "memory: $memory KiB before, $held KiB after"
printf '%s containers, %s at once: descriptors %s -> %s, memory %s -> %s KiB\n' "$total" "$width" "$fds" "$after" "$memory" "$held"
# Not asserted: a loaded machine has its own ideas. In hundredths.
ratio=$(((with + monitor) * 100 * alone / (total * (without > 0 ? without : 1))))
printf 'CPU: %s.%02d times that of the containers alone (ticks: %s for %s without; %s, and the monitor %s, for %s with it)\n' \
	$((ratio / 100)) $((ratio % 100)) "$without" "$alone" "$with" "$monitor" "$total"
first=$total
while [ "$more" -gt 0 ]; do
	storm "$((first + 3000))" "$total"
	within 20 idle || fail "not idle"
	first=$((first + total))
	more=$((more - 1))
	printf 'after %s more: memory %s KiB\n' "$total" "$(awk '/^VmRSS/ {print $2}' "/proc/$pid/status")"
done
# Nothing that is in the image was a deviation, and nobody lost anything.
hf status --json >"$tmp/status" || true
grep -o '"container_files":{[^}]*}' "$tmp/status" | grep -q '"lost":0' || fail "lost: $(grep -o '"container_files":{[^}]*}' "$tmp/status")"
changed=$(hf history --json --kind change 2>/dev/null | grep -c '"container":')
[ "$changed" = 0 ] || fail "$changed deviations of containers that changed nothing: $(hf history --json --kind change | tail -1)"
stop
end
