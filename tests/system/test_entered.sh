#!/bin/sh
# Who comes into a container past its runtime: by its mount namespace, by its pid namespace, from the host and from another
# container, with BPF and without, into a container that was there before the monitor.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/containers.sh"

command -v nsenter >/dev/null || skip "no nsenter"
shipped=$(cd "$(dirname "$0")/../../conf/rules" && pwd)
own_fs
cgroups v2
podman_setup
entered='"rule":"Entered a container past its runtime"'

of() { podman inspect -f '{{.State.Pid}}' "$1"; }
want() {
	within 20 seen exec "$@" || fail "$mode: no start of $2 in $1 $3: $(hf history --json --kind exec 2>&1 | grep -F -- "$3" | tail -2)"
}
not_entered() {
	if hf history --json --kind exec 2>"$err" | grep -F -- "$1" | grep -q container_nsenter; then fail "$mode: $1 is taken for one that entered"; fi
}

# held COMMAND...: its standard input ends with let_go, so that it stays until it was seen
held() {
	mkfifo "$tmp/hold"
	"$@" <"$tmp/hold" >"$tmp/held" 2>&1 &
	entering=$!
	exec 3>"$tmp/hold"
}
let_go() { # WHAT
	exec 3>&-
	wait "$entering" || fail "$mode: $1: $(cat "$tmp/held")"
	rm "$tmp/hold"
}

cp "$busybox" "$fs/busybox-tool"
run_container before -d --privileged "$image" sh -c 'sleep 1000; true' || {
	cat "$tmp/podman.err"
	skip "podman cannot start a container here"
}
for mode in bpf off; do
	bpf=auto
	[ $mode = bpf ] || bpf=off
	config "containers:" "  stores: [$fs/graph]" "sensors: {bpf: $bpf}" 'limits: {settle: 5ms}' \
		'exec: {mode: observe, trust: [baselines]}' "rules: {files: [$shipped/users.yaml], repeat: 0}"
	[ -e "$tmp/state/holdfast.db" ] || hf init -q 2>"$err" || die "init: $(cat "$err")"
	watch
	run_container "web-$mode" -d --privileged "$image" sleep 1000 || die "podman run: $(cat "$tmp/podman.err")"
	want "web-$mode" /bin/busybox '"sleep'

	for name in before "web-$mode"; do
		held nsenter -m -t "$(of "$name")" /bin/sh -c "cat; : by-mnt-$mode"
		want "$name" /bin/busybox "by-mnt-$mode" '"container_nsenter":true'
		told "$entered" "came into container $name past its runtime" "by-mnt-$mode"
		within 20 seen exec "$name" /bin/busybox "\"cat" || fail "$mode: what it starts is not in $name"
		let_go "by the mount namespace"
	done
	# By the pid namespace alone: a program of the host.
	held nsenter -p -t "$(of "web-$mode")" "$fs/busybox-tool" sh -c "cat; : by-pid-$mode"
	want "web-$mode" "$fs/busybox-tool" "by-pid-$mode" '"container_nsenter":true'
	let_go "by the pid namespace"
	# Out of another container, which sees the host's processes.
	containers="$containers from-$mode"
	held podman run -i --rm --privileged --pid=host --name "from-$mode" "$image" busybox nsenter -m -t "$(of "web-$mode")" \
		/bin/busybox sh -c "cat; : from-other-$mode"
	want "web-$mode" /bin/busybox "from-other-$mode" '"container_nsenter":true'
	let_go "from another container"

	# By its runtime, the container's own, and namespaces of no container are none of it.
	held podman exec -i "web-$mode" sh -c "cat; : by-runtime-$mode"
	unshare -m -p -f "$fs/busybox-tool" sh -c ": by-itself-$mode"
	want "web-$mode" /bin/busybox "by-runtime-$mode" '"container_exec":true'
	let_go "podman exec"
	not_entered "by-runtime-$mode"
	not_entered "by-itself-$mode"
	not_entered '"sleep","1000"'
	settled
	hf explain "$(hf history --json --kind alert | grep -F "$entered" | grep -o '"id":[0-9]*' | head -1 | cut -d: -f2)" >"$tmp/explained" 2>&1
	grep -q '^hf.container_nsenter  *true' "$tmp/explained" || fail "$mode: explain: $(cat "$tmp/explained")"
	stop
done
[ "$(sqlite3 "$tmp/state/holdfast.db" 'SELECT count(*) > 0 FROM execs WHERE container_nsenter' 2>/dev/null || echo 1)" = 1 ] ||
	fail "the view does not tell"
end
