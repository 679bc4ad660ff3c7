# What every test of the commands needs; read with `.`. The real program, a folder of its own, one line for each check.
# POSIX sh.

here=$(cd "$(dirname "$0")" && pwd)
holdfast=${HOLDFAST:-$PWD/holdfast}
failed=0
status=0

skip() {
	printf 'SKIP: %s\n' "$*"
	exit 77
}

[ -x "$holdfast" ] || skip "no program at $holdfast"

tmp=$(mktemp -d "${TMPDIR:-/tmp}/holdfast-cmd.XXXXXX") || exit 99
tmp=$(cd "$tmp" && pwd -P)
out=$tmp/out
err=$tmp/err

# Things that live longer than one command are named here while they live (a pid that was waited for may be another's by now).
pids=
finish() {
	for pid in $pids; do
		kill "$pid" 2>/dev/null
	done
	chmod -R u+rwx "$tmp" 2>/dev/null
	rm -rf "$tmp"
}
trap finish EXIT
trap 'exit 99' HUP INT TERM

fail() {
	failed=$((failed + 1))
	printf 'FAIL: %s\n' "$*" | cat -v
	sed 's/^/   out: /' "$out" | head -20
	sed 's/^/   err: /' "$err" | head -20
}

# hf STATUS ARGUMENT...: runs the program with the test's configuration and store, output in $out and $err
hf() {
	want=$1
	shift
	what="holdfast $*"
	"$holdfast" -c "$tmp/holdfast.yaml" --db "$tmp/state/holdfast.db" "$@" >"$out" 2>"$err" </dev/null
	status=$?
	[ "$status" = "$want" ] || fail "$what: exit status $status, not $want"
	quiet_bytes "$what"
}

# No byte that a terminal obeys: of the controls, only newline.
quiet_bytes() {
	if LC_ALL=C tr -d '\n\040-\176\200-\377' <"$out" | grep -q . || LC_ALL=C tr -d '\n\040-\176\200-\377' <"$err" | grep -q .; then
		fail "$1: control bytes in the output"
	fi
}

# has TEXT, has_err TEXT, lacks TEXT: of the last command
has() {
	grep -qF -e "$1" "$out" || fail "$what: no '$1' in the output"
}

has_err() {
	grep -qF -e "$1" "$err" || fail "$what: no '$1' in the messages"
}

lacks() {
	! grep -qF -e "$1" "$out" || fail "$what: '$1' in the output"
}

# is WANT GOT TEXT
is() {
	[ "$1" = "$2" ] || fail "$3: '$2', not '$1'"
}

# A tree to guard, and a configuration that names it.
make_tree() {
	mkdir -p "$tmp/tree/etc/sub" "$tmp/tree/bin"
	echo one >"$tmp/tree/etc/one"
	echo two >"$tmp/tree/etc/two"
	echo three >"$tmp/tree/etc/sub/three"
	echo program >"$tmp/tree/bin/program"
	chmod 755 "$tmp/tree/bin/program"
	ln -s one "$tmp/tree/etc/link"
	printf 'paths: [%s/tree]\ncontrol: %s/control.sock\n' "$tmp" "$tmp" >"$tmp/holdfast.yaml"
	: >"$out"
	: >"$err"
}

# until_true SECONDS COMMAND...: polls; a busy machine has three times as long
until_true() {
	tries=$(($1 * 60))
	shift
	while ! "$@" >/dev/null 2>&1; do
		tries=$((tries - 1))
		[ "$tries" -gt 0 ] || return 1
		sleep 0.05
	done
}

finished() {
	if [ "$failed" = 0 ]; then
		echo "all as it should be"
		exit 0
	fi
	echo "$failed failed"
	exit 1
}
