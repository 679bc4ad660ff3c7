#!/bin/sh
# Program starts under the real monitor, on a file system of the test's own: observed, refused, released when the monitor
# is killed or stalls, and what history says of all that.
if [ "$(id -u)" != 0 ]; then
	echo "SKIP: not root"
	exit 77
fi
# A mount namespace of its own: nothing of it is left, whatever happens.
if [ "${HOLDFAST_TEST_NS:-}" != 1 ]; then
	HOLDFAST_TEST_NS=1 exec unshare -m "$0" "$@"
fi
. "$(dirname "$0")/../cmd/lib.sh"

command -v mkfs.ext4 >/dev/null || skip "no mkfs.ext4"
mnt=$tmp/mnt
mkdir "$mnt"
truncate -s 64M "$tmp/image"
mkfs.ext4 -q -F "$tmp/image" >/dev/null 2>&1 && mount -o loop "$tmp/image" "$mnt" 2>/dev/null || skip "no loop image"
unmount() {
	umount -l "$mnt"
	finish
}
trap unmount EXIT

mkdir "$mnt/bin"
cp /bin/true "$mnt/bin/good"
mkdir -m 700 "$tmp/state"

configure() {
	cat >"$tmp/holdfast.yaml" <<-END
		paths: [$mnt]
		control: $tmp/control.sock
		limits: {settle: 5ms}
		exec: {mode: $1, trust: [baselines], stall: 1s}
	END
}

start() {
	configure "$1"
	"$holdfast" -c "$tmp/holdfast.yaml" --db "$tmp/state/holdfast.db" watch --for 2m >"$tmp/watch" 2>"$tmp/watch.err" &
	pids=$!
	until_true 20 gated || {
		cat "$tmp/watch.err"
		skip "watch does not gate program starts here"
	}
}

gated() {
	"$holdfast" -c "$tmp/holdfast.yaml" --db "$tmp/state/holdfast.db" status --json 2>/dev/null | grep -q '"file_systems":[1-9].*"trusted_digests":1'
}

stop() {
	kill -TERM $pids
	wait $pids
	is 0 $? "exit status of watch"
	pids=
}

# ran WANT PROGRAM: 0, 1, or refused (126)
ran() {
	"$2" 2>/dev/null
	is "$1" $? "$2"
}

rows() {
	command -v sqlite3 >/dev/null || return 0
	got=$(sqlite3 "$tmp/state/holdfast.db" "$2")
	[ "$got" = "$1" ] || fail "$2: '$got', not '$1'"
}

configure off
hf 0 init

start observe
cp /bin/false "$mnt/bin/bad"
ran 0 "$mnt/bin/good"
ran 1 "$mnt/bin/bad"
ran 1 "$mnt/bin/bad"
until_true 10 grep -q "unexpected .*$mnt/bin/bad" "$tmp/watch" || fail "observe: the unexpected program was not told"
stop
rows allowed "SELECT verdict FROM execs WHERE path = '$mnt/bin/good'"
rows '2|unexpected' "SELECT count, verdict FROM unexpected_binaries WHERE path = '$mnt/bin/bad'"
rows "$(sha256sum <"$mnt/bin/bad" | cut -d' ' -f1)" "SELECT digest FROM unexpected_binaries"

start enforce
ran 0 "$mnt/bin/good"
for i in 1 2 3 4 5; do
	ran 126 "$mnt/bin/bad"
done
# The content counts, not the name.
cp "$mnt/bin/good" "$mnt/bin/copy"
ran 0 "$mnt/bin/copy"
ln "$mnt/bin/bad" "$mnt/bin/link"
ran 126 "$mnt/bin/link"
until_true 10 grep -q "denied .*$mnt/bin/link" "$tmp/watch" || fail "enforce: what was denied was not told"
stop
rows 5 "SELECT count(*) FROM execs WHERE path = '$mnt/bin/bad' AND verdict = 'denied'"
hf 0 baseline verify

# Killed: nothing waits.
start enforce
kill -KILL $pids
wait $pids
pids=
ran 1 "$mnt/bin/bad"

# Stopped: the watchdog kills it, and what waited goes on.
start enforce
kill -STOP $pids
begin=$(date +%s)
ran 0 "$mnt/bin/good"
[ $(($(date +%s) - begin)) -le 4 ] || fail "a start waited for a stopped monitor"
wait $pids
is 137 $? "end of a stopped monitor"
pids=
finished
