#!/bin/sh
# watch, status, accept and history together: a change has its author, is accepted while the monitor runs, and the next
# one is told again.
. "$(dirname "$0")/lib.sh"
make_tree
etc=$tmp/tree/etc

hf 66 watch --for 1s
# The folder of the store is not watched: no guarded path may be in it.
"$holdfast" -c "$tmp/holdfast.yaml" --db "$tmp/tree/h.db" watch --for 1s >"$out" 2>"$err"
is 78 $? "a store among guarded files"
"$holdfast" -c "$tmp/holdfast.yaml" --db "$tmp/h.db" watch --for 1s >"$out" 2>"$err"
is 78 $? "a store above guarded files"
what="a store above guarded files"
has_err "folder of its own"
hf 0 init
for sensor in fanotify inotify; do
	if [ $sensor = fanotify ] && [ "$(id -u)" != 0 ]; then
		echo "not root: fanotify was not tried"
		continue
	fi
	"$holdfast" -c "$tmp/holdfast.yaml" --db "$tmp/state/holdfast.db" watch --sensor $sensor --for 2m >"$tmp/watch" 2>"$tmp/watch.err" &
	pid=$!
	pids=$pid
	until_true 20 grep -q guarding "$tmp/watch" || {
		cat "$tmp/watch.err"
		if [ $sensor = fanotify ] && grep -q 'fanotify' "$tmp/watch.err"; then
			echo "fanotify cannot be had here: not tried"
			kill $pid
			wait $pid
			pids=
			continue
		fi
		fail "watch --sensor $sensor does not begin"
	}
	"$holdfast" -c "$tmp/holdfast.yaml" --db "$tmp/state/holdfast.db" status >"$out" 2>"$err"
	status=$?
	what="status ($sensor)"
	case $status in
	0 | 2) ;;
	*) fail "$what: $status" ;;
	esac
	has health
	has $sensor
	"$holdfast" -c "$tmp/holdfast.yaml" --db "$tmp/state/holdfast.db" status --json >"$out" 2>"$err"
	case $? in
	0 | 2) ;;
	*) fail "status --json ($sensor)" ;;
	esac
	has '"health":'
	sh -c "echo $sensor >>'$etc/one'"
	until_true 10 grep -q "changed .*$etc/one" "$tmp/watch" || fail "$sensor: the change was not told"
	hf 0 accept "$etc/one" --reason "$sensor" && hf 0 check
	hf 0 history --kind change --path "$etc/one" -n 1 --json
	[ $sensor = inotify ] || has '"process":{"pid":'
	: >"$tmp/watch"
	sh -c "echo again >>'$etc/one'"
	until_true 10 grep -q "changed .*$etc/one" "$tmp/watch" || fail "$sensor: the change after accept was not told"
	hf 4 check
	hf 0 accept --all --reason again
	kill -TERM $pid
	wait $pid
	is 0 $? "exit status of watch ($sensor)"
	pids=
	hf 1 status
	has "ended as asked"
done
hf 0 baseline verify
finished
