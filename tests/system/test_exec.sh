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
# The monitor first: what is guarded is what lies under a path.
unmount() {
	for p in $pids; do kill -9 "$p" 2>/dev/null; done
	umount -l "$mnt"
	[ -z "$loops" ] || losetup -d "$loops"
	finish
}
loops=
trap unmount EXIT

mkdir "$mnt/bin"
cp /bin/true "$mnt/bin/good"
mkdir -m 700 "$tmp/state"

configure() {
	cat >"$tmp/holdfast.yaml" <<-END
		paths: [$mnt]
		control: $tmp/control.sock
		limits: {settle: 50ms}
		exec: {mode: $1, trust: [baselines, explicit], stall: 1s}
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
	"$holdfast" -c "$tmp/holdfast.yaml" --db "$tmp/state/holdfast.db" status --json 2>/dev/null | grep -q '"file_systems":[1-9].*"trusted_digests":[1-9]'
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

# A file system that is mounted while it enforces, and one that was there before.
start enforce
mkdir "$mnt/new"
# How many file systems are gated, besides the one that was mounted and unmounted here.
gated_count() {
	"$holdfast" -c "$tmp/holdfast.yaml" --db "$tmp/state/holdfast.db" status --json |
		sed 's/.*"watchdog":[^}]*"file_systems":\([0-9]*\).*/\1/'
}
before=$(gated_count)
one_more() {
	[ "$(gated_count)" = $((before + 1)) ]
}
as_before() {
	[ "$(gated_count)" = "$before" ]
}
mount -t tmpfs none "$mnt/new"
until_true 10 one_more || fail "a file system that was mounted later is not gated"
cp "$mnt/bin/bad" "$mnt/new/bad"
cp "$mnt/bin/good" "$mnt/new/good"
ran 126 "$mnt/new/bad"
ran 0 "$mnt/new/good"
until_true 10 umount "$mnt/new" || fail "umount"
until_true 10 as_before || fail "a file system that was unmounted is still gated"
ran 126 "$mnt/bin/bad"
# And again, under the same name.
mount -t tmpfs none "$mnt/new"
until_true 10 one_more || fail "a file system that was mounted again is not gated"
cp "$mnt/bin/bad" "$mnt/new/bad"
ran 126 "$mnt/new/bad"
until_true 10 umount "$mnt/new" || fail "umount"
until_true 10 as_before || fail "a file system that was unmounted again is still gated"

# Another file system on the same device: inode numbers, times and sizes are those of before, one byte is not.
truncate -s 16M "$tmp/first"
mkfs.ext4 -q -F "$tmp/first"
loop=$(losetup -f --show "$tmp/first") || fail "no loop device"
loops=$loop
mount "$loop" "$mnt/new"
cp "$mnt/bin/good" "$mnt/new/good"
# umount may be over before the file system is: somebody closes a file of it.
removed() {
	until_true 10 umount "$mnt/new" || fail "umount"
	until_true 10 test ! -e "/sys/fs/ext4/${loop##*/}" || fail "what was unmounted is in use"
}
removed
cp "$tmp/first" "$tmp/second"
at=$(LC_ALL=C grep -obUaP '\x7fELF' "$tmp/first" | head -1 | cut -d: -f1)
[ "$at" ] || fail "the image does not hold the program"
printf x | dd of="$tmp/second" bs=1 seek=$((at + 9)) conv=notrunc status=none # in the padding of the ELF header
# inserted IMAGE
inserted() {
	until_true 10 losetup -d "$loop" 2>/dev/null || fail "losetup -d"
	until_true 10 losetup "$loop" "$1" 2>/dev/null || fail "losetup"
	mount "$loop" "$mnt/new" || fail "mount"
}
refused() {
	"$mnt/new/good" 2>/dev/null
	[ $? = 126 ]
}
until_true 10 as_before || fail "an image that was unmounted is still gated"
inserted "$tmp/first"
until_true 10 one_more || fail "an image that was mounted again is not gated"
ran 0 "$mnt/new/good"
removed
# At once: the monitor need not see that it was gone.
inserted "$tmp/second"
until_true 10 refused || fail "a program of another file system on the same device runs by the verdict for the one before"
removed
losetup -d "$loop"
loops=

# A program is read once: when it is written, for file integrity and its first start. (Not within 20 ms of the writing:
# its ctime could be a later version's too. The settle time of this test is longer.)
number() {
	"$holdfast" -c "$tmp/holdfast.yaml" --db "$tmp/state/holdfast.db" status --json | sed "s/.*\"$1\":\([0-9]*\).*/\1/"
}
reads=$(number read_ahead) hashed=$(number hashed)
cp "$mnt/bin/good" "$mnt/bin/written"
until_true 10 grep -q "added .*$mnt/bin/written" "$tmp/watch" || fail "a program that was written is not told"
[ "$(number read_ahead)" -gt "$reads" ] || fail "a program that was written is not read ahead"
ran 0 "$mnt/bin/written"
is "$hashed" "$(number hashed)" "programs that the gate had to read"
# Or the other way round.
cp "$mnt/bin/good" "$mnt/bin/started"
ran 0 "$mnt/bin/started"
until_true 10 grep -q "added .*$mnt/bin/started" "$tmp/watch" || fail "a program that was written and started is not told"

# By hand, at once, and no more.
hf 0 trust add "$mnt/bin/bad" --reason 'wanted after all' --until 1h
ran 1 "$mnt/bin/bad"
hf 0 trust remove --path "$mnt/bin/bad" --reason 'no more'
ran 126 "$mnt/bin/bad"
cp "$mnt/bin/bad" "$mnt/bin/plugin"
hf 0 trust add --path "$mnt/bin/plug*" --reason 'changes by itself'
ran 1 "$mnt/bin/plugin"
ran 126 "$mnt/bin/bad"
mv "$mnt/bin/plugin" "$mnt/bin/elsewhere"
ran 126 "$mnt/bin/elsewhere"
hf 0 trust add "$mnt/bin/bad" --reason 'for a moment' --until 2s
ran 1 "$mnt/bin/bad"
refused_again() {
	"$mnt/bin/bad" 2>/dev/null
	[ $? = 126 ]
}
until_true 10 refused_again || fail "an entry that ran out is still in force"
# What is accepted into the baseline is trusted.
hf 0 accept "$mnt/bin/bad" --reason 'part of it'
accepted() {
	"$mnt/bin/bad"
	[ $? = 1 ]
}
until_true 10 accepted || fail "what was accepted is refused"
stop
# An entry that was not sealed by the program is none.
if command -v sqlite3 >/dev/null; then
	hf 0 trust list --all
	has "for a moment"
fi

# Learning from what was seen.
start observe
cp /bin/false "$mnt/bin/tool"
echo salt >>"$mnt/bin/tool"
cp "$mnt/bin/tool" "$mnt/bin/passing"
echo more >>"$mnt/bin/passing"
ran 1 "$mnt/bin/tool"
ran 1 "$mnt/bin/passing"
rm "$mnt/bin/passing"
until_true 10 grep -q "unexpected .*$mnt/bin/passing" "$tmp/watch" || fail "no unexpected program"
hf 0 trust learn
has "$mnt/bin/tool"
has "1 new; nothing was changed"
grep "$mnt/bin/passing" "$out" | grep -q gone || fail "a program that is gone is not named so"
hf 0 trust learn --json
has '"state":"new"'
hf 0 trust learn --yes --reason 'seen in May'
has "1 entry added"
hf 0 trust learn
has "nothing new"
stop
start enforce
ran 1 "$mnt/bin/tool"
rm "$mnt/bin/tool"
stop

# Time without a verdict is a gap: a program that takes longer to read than it has time.
configure enforce
sed -i 's/stall: 1s/stall: 5s, deadline: 20ms, max_size: 8G/' "$tmp/holdfast.yaml"
"$holdfast" -c "$tmp/holdfast.yaml" --db "$tmp/state/holdfast.db" watch --for 2m >"$tmp/watch" 2>"$tmp/watch.err" &
pids=$!
until_true 20 gated || fail "no gate"
cp /bin/false "$mnt/bin/huge"
truncate -s 3G "$mnt/bin/huge"
"$mnt/bin/huge" 2>/dev/null
told_gap() {
	hf 0 history --kind gap --json && grep -q 'not judged within exec.deadline' "$out"
}
until_true 15 told_gap || fail "a deadline that passed is no gap"
rm "$mnt/bin/huge"
stop

# What was mounted there goes: the path is the host's file system then, whose programs nobody vouches for here. Nobody is
# locked out, and that is a gap. (No program but this shell's own is needed to end the monitor, and it ends by itself.)
not_gated() {
	grep -q 'are not gated: nobody vouches for' "$tmp/watch.err"
}
unmounted_below() {
	configure enforce
	"$holdfast" -c "$tmp/holdfast.yaml" --db "$tmp/state/holdfast.db" watch --for 20 >"$tmp/watch" 2>"$tmp/watch.err" &
	pids=$!
	until_true 20 gated || fail "no gate"
	cp /bin/false "$tmp/strange"
	umount -l "$mnt"
	until_true 15 not_gated || fail "a file system whose programs would be refused is gated, or that is not told"
	ran 1 "$tmp/strange"
	kill -TERM $pids
	wait $pids
	pids=
	mount -o loop "$tmp/image" "$mnt" || fail "mount again"
}
if [ "$(stat -f -c %T "$tmp")" = tmpfs ]; then
	echo "not tried: an unmount under the gate: $tmp is a tmpfs, which is never judged"
else
	unmounted_below
fi

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
