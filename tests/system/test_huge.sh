#!/bin/sh
# One folder with a great many entries: baseline, check and watch take it, and their memory does not follow it.
# usage: test_huge.sh [ENTRIES]; without: $HOLDFAST_ENTRIES, else 100000. A million takes a minute or two.
# shellcheck source=/dev/null
. "$(dirname "$0")/lib.sh"
entries=${1:-${HOLDFAST_ENTRIES:-100000}}
patience=$((60 + entries / 5000))

# peak FILE COMMAND...: runs it; its greatest resident size in KiB in FILE
peak() {
	file=$1
	shift
	"$@" &
	job=$!
	pids="$pids $job"
	echo 0 >"$file"
	until=$(($(now_ms) + patience * 1000))
	while kb=$(awk '/^VmHWM/ {print $2}' "/proc/$job/status" 2>/dev/null) && [ -n "$kb" ]; do
		echo "$kb" >"$file"
		[ "$(now_ms)" -lt $until ] || kill -9 "$job"
		sleep 0.02
	done
	wait "$job"
}
# bounded WHAT FILE MIB
bounded() {
	printf '%s of %s entries: %s KiB resident at most\n' "$1" "$entries" "$(cat "$2")"
	# A sanitizer's own memory is not meant.
	sanitized || [ "$(cat "$2")" -le $(($3 * 1024)) ] || fail "$1 took $(cat "$2") KiB, more than $3 MiB"
}
big=$((entries > 200000))

mount -t tmpfs -o size=2g,nr_inodes=0 none "$g" 2>/dev/null || echo "on the disk: no tmpfs can be mounted"
(cd "$g" && seq "$entries" | xargs touch) || die "no entries"
config 'limits: {canary: 0}' 'exec: {mode: "off"}'
peak "$tmp/init" "$holdfast" -c "$tmp/conf.yaml" init -q || die "init: $?"
bounded init "$tmp/init" $((64 + big * 64))
peak "$tmp/check" "$holdfast" -c "$tmp/conf.yaml" check -q || fail "check: $?"
bounded check "$tmp/check" $((64 + big * 64))

: >"$out"
"$holdfast" -c "$tmp/conf.yaml" watch --json >"$out" 2>"$err" &
pid=$!
within $patience line '"kind":"note"' || die "the monitor did not start"
grep -q '; 0 changes found' "$out" || fail "changes were found: $(cat "$out")"
echo x >"$g/1"
rm "$g/2"
mv "$g/3" "$g/renamed"
echo x >"$g/new"
told "$g/1\"" '"change":"changed"'
told "$g/2\"" '"change":"removed"'
told "$g/renamed\"" '"change":"renamed"'
told "$g/new\"" '"change":"added"'
settled
[ "$(lines '"kind":"change"')" = 5 ] || fail "$(lines '"kind":"change"') changes were told"
awk '/^VmHWM/ {print $2}' "/proc/$pid/status" >"$tmp/watch"
bounded watch "$tmp/watch" $((128 + big * 128))
stop
hf check -q
[ $? = 7 ] || fail "check afterwards"
end
