# What the tests of the whole monitor need; read with `.`. The real program on the real kernel, in a folder and a mount
# namespace of its own. POSIX sh. Nothing sleeps to wait: everything polls with a deadline.
holdfast=${HOLDFAST:-$PWD/holdfast}
failed=0

skip() {
	printf 'SKIP: %s\n' "$*"
	exit 77
}

[ -x "$holdfast" ] || skip "no program at $holdfast"
[ "$(id -u)" = 0 ] || skip "needs root"
if [ "${HOLDFAST_TEST_NS:-}" != 1 ]; then
	unshare -m true 2>/dev/null || skip "no mount namespace of our own"
	HOLDFAST_TEST_NS=1 exec unshare -m --propagation private "$0" "$@"
fi

tmp=$(mktemp -d "${TMPDIR:-/tmp}/holdfast-system.XXXXXX") || exit 99
tmp=$(cd "$tmp" && pwd -P)
g=$tmp/g
out=$tmp/out
err=$tmp/err
pid=
pids=
mkdir "$g" "$tmp/state"
# Where a monitor of this store keeps who killed it: it stays when nobody starts after a kill.
pin=/sys/fs/bpf/holdfast-$(stat -c %D "$tmp/state")-$(printf %x "$(stat -c %i "$tmp/state")")
# Milliseconds in which the monitor has to end; programs built with sanitizers get more. On a machine that is busy with
# something else, or whose host is, this says little: then it only must not hang.
limit=1000
cpu_times() { # all, and what the host took away, since the machine started
	awk '$1 == "cpu" {all = 0; for (i = 2; i <= 9; i++) all += $i; print all, $9; exit}' /proc/stat
}
cpu_at_start=$(cpu_times)
in_time() { # MS [MORE]
	awk -v took="$1" -v limit=$((limit + ${2:-0})) -v n="$(nproc)" -v then="$cpu_at_start" -v now="$(cpu_times)" '{
		split(then, a, " ")
		split(now, b, " ")
		split($4, running, "/")
		calm = $1 < n && running[1] <= n && (b[2] - a[2]) * 20 < b[1] - a[1]
		exit !(took < (calm ? limit : 60000))
	}' /proc/loadavg
}
sanitized() { ldd "$holdfast" 2>/dev/null | grep -q asan || grep -qa __asan_init "$holdfast"; }
if sanitized; then limit=4000; fi

# in_chroot: the mount namespace has another root than we. Container runtimes then cannot enter what they made, and the
# kernel's own paths begin elsewhere.
in_chroot() {
	[ "$(nsenter --mount=/proc/self/ns/mnt stat -c %d:%i / 2>/dev/null)" != "$(stat -c %d:%i /)" ]
}

# In a build that counts lines (tests/coverage): what ran in a root of the test's own counted below that.
keep_counters() {
	[ -d "$PWD/counters" ] || return 0
	for counted in $(find "$tmp" -path "*$PWD/counters/*.profraw"); do
		cp "$counted" "$(mktemp "$PWD/counters/inside.XXXXXX.profraw")"
	done
}

finish() {
	for p in $pid $pids; do
		kill -9 "$p" 2>/dev/null
	done
	keep_counters
	for m in $(awk -v t="$tmp/" 'index($5, t) == 1 {print $5}' /proc/self/mountinfo | sort -r); do
		umount "$m" 2>/dev/null || umount -l "$m" 2>/dev/null
	done
	chattr -R -i "$g" 2>/dev/null
	rm -rf "$tmp" "$pin"
}
trap finish EXIT
trap 'exit 99' HUP INT TERM

fail() {
	failed=$((failed + 1))
	printf 'FAIL: %s\n' "$*" | cat -v
	tail -8 "$out" 2>/dev/null | cut -c1-400 | sed 's/^/   out: /'
	tail -40 "$err" 2>/dev/null | sed 's/^/   err: /'
}

# What comes after it makes no sense without this.
die() {
	fail "$*"
	exit 1
}

# config YAML...: the configuration; paths, store and socket are given
config() {
	{
		printf 'paths: [%s]\ncontrol: %s/control\nstore: {path: %s/state/holdfast.db}\n' "$g" "$tmp" "$tmp"
		for line; do printf '%s\n' "$line"; done
	} >"$tmp/conf.yaml"
}

# hf COMMAND ARGUMENT...
hf() {
	"$holdfast" -c "$tmp/conf.yaml" "$@"
}

now_ms() {
	date +%s%N | cut -c1-13
}

# within SECONDS COMMAND...: polls until it is true; a busy machine has three times as long
within() {
	end=$(($(now_ms) + $1 * 3000))
	shift
	until "$@"; do
		[ "$(now_ms)" -lt $end ] || return 1
		sleep 0.02
	done
}

# line WORD...: a line of the output holds all of them
line() {
	line_of "$out" "$@"
}

# line_of FILE WORD...: the same, of a file; $tmp/lines are such lines then
line_of() {
	cp "$1" "$tmp/lines"
	shift
	for word; do
		grep -aF -- "$word" "$tmp/lines" >"$tmp/lines.2"
		mv "$tmp/lines.2" "$tmp/lines"
	done
	[ -s "$tmp/lines" ]
}

lines() {
	line "$@"
	wc -l <"$tmp/lines"
}

# told WORD...: such a line comes
told() {
	within 30 line "$@" || fail "no line with: $*"
}

# never WORD...: there is none (call when everything has settled)
never() {
	if line "$@"; then fail "a line with: $*"; fi
}

# watch ARGUMENT...: starts the monitor, waits until its check at the start is through
watch() {
	: >"$out"
	"$holdfast" -c "$tmp/conf.yaml" watch --json "$@" >"$out" 2>"$err" &
	pid=$!
	within 60 line '"kind":"note"' || die "the monitor did not start"
}

# stop [SIGNAL]: ends it; exit status in $status, time in $took (ms)
stop() {
	t=$(now_ms)
	kill "-${1:-TERM}" "$pid"
	wait "$pid" 2>/dev/null
	status=$?
	took=$(($(now_ms) - t))
	pid=
	[ "${1:-TERM}" = KILL ] || [ $status = 0 ] || fail "ended with status $status"
}

# settled: a file made now has been told, and nothing is left to do
fence=0
settled() {
	fence=$((fence + 1))
	: >"$g/zz-fence-$fence"
	told "zz-fence-$fence"
	within 30 idle || fail "not idle"
	# Told before it is committed; what was told before it is committed by then.
	within 30 committed "$g/zz-fence-$fence" || fail "not committed"
}
committed() {
	hf history --json --path "$1" 2>/dev/null | grep -q "$1"
}
idle() {
	hf status --json >"$tmp/status" 2>/dev/null
	grep -q '"pending":0' "$tmp/status" && grep -q '"rescans_waiting":0' "$tmp/status" &&
		grep -q '"merging":0' "$tmp/status"
}

end() {
	if [ "$failed" -gt 0 ]; then
		printf '%s checks failed\n' "$failed"
		exit 1
	fi
	printf 'all checks passed\n'
	exit 0
}
