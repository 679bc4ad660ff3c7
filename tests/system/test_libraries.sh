#!/bin/sh
# Libraries: what the environment of a program makes the loader do is recorded with its start, and a library that nobody
# vouches for is a finding with who mapped it.
. "$(dirname "$0")/lib.sh"

in_chroot && skip "in a chroot programs are named from another root"
command -v mkfs.ext4 >/dev/null || skip "no mkfs.ext4"
loader=
for l in /lib64/ld-linux-*.so.* /lib/ld-linux-*.so.*; do
	[ -e "$l" ] && loader=$l
done
[ -n "$loader" ] || skip "no glibc loader"
act=$PWD/tests/system/act
[ -x "$act" ] || skip "no $act"
library=$(LC_ALL=C ldd /bin/sleep | sed -n 's/.*libc\.so[^ ]* => \([^ ]*\).*/\1/p')
[ -e "$library" ] || skip "sleep is not linked with a libc that can be found"
truncate -s 64M "$tmp/disk"
mkfs.ext4 -q -F "$tmp/disk" >/dev/null 2>&1 && mount -o loop "$tmp/disk" "$g" 2>/dev/null || skip "no loop image"
chmod 711 "$tmp"
cp /bin/sleep "$g/sleep"
cp "$loader" "$g/loader"
cp "$library" "$g/libc.so.6"
cp "$g/sleep" "$g/other"

# evil NAME: a library of its own digest that does nothing
evil() {
	cp "$g/libc.so.6" "$g/$1"
	echo "$1" >>"$g/$1"
}
# Any file that the loader takes will do; it has to be found after init, to be in no baseline.
preload() {
	mapped=$1
	shift
	env LD_PRELOAD="$mapped" "$@" &
	pids="$pids $!"
}

write_config() {
	config "exec: {mode: observe, trust: [baselines, dpkg]$1}" 'limits: {settle: 5ms}'
}
# ready: programs are judged
ready() {
	gated() { hf status --json 2>/dev/null | grep -q '"file_systems":[1-9].*"trusted_digests":[1-9]'; }
	within 20 gated || die "no gate"
}
# kept WORD...: a start that history has; one that is allowed is not printed
kept() {
	all_in_history() {
		hf history --json --kind exec >"$tmp/history" 2>/dev/null
		cp "$tmp/history" "$tmp/left"
		for word; do
			grep -aF -- "$word" "$tmp/left" >"$tmp/left.2"
			mv "$tmp/left.2" "$tmp/left"
		done
		[ -s "$tmp/left" ]
	}
	within 10 all_in_history "$@" || fail "history has no start with: $*"
}
write_config
hf init >/dev/null 2>"$err" || die "init"
watch
ready
evil evil.so
preload "$g/evil.so" "$g/sleep" 60
kept '"kind":"exec"' "\"path\":\"$g/sleep\"" "\"environment\":\"LD_PRELOAD=$g/evil.so\"" '"verdict":"allowed"'
told '"type":"library"' "\"path\":\"$g/evil.so\"" '"verdict":"unexpected"' "\"exe\":\"$g/sleep\""
if dpkg -S "$library" >/dev/null 2>&1 || dpkg -S "${library#/usr}" >/dev/null 2>&1; then
	never '"type":"library"' "\"path\":\"$library\""
fi
# One that a baseline holds is none, from wherever it comes.
preload "$g/libc.so.6" "$g/other" 60
kept "\"path\":\"$g/other\"" "\"environment\":\"LD_PRELOAD=$g/libc.so.6\""
# What was asked for is told, there or not, and however short the program runs.
# (On a machine that is busy it may be gone before anybody could look.)
in_history() {
	hf history --json --kind exec >"$tmp/history" 2>/dev/null
	grep -F "\"path\":\"$1\"" "$tmp/history" | grep -qF "$2"
}
audited() {
	LD_AUDIT=/nowhere/audit.so "$g/sleep" 0.1 2>/dev/null
	in_history "$g/sleep" LD_AUDIT=/nowhere/audit.so
}
within 20 audited || fail "LD_AUDIT is not told"
"$g/sleep" 0.5
kept "\"path\":\"$g/sleep\"" '"cmdline":"'"$g"'/sleep 0.5"'
grep -q '"environment":"LD_' "$tmp/left" && fail "an environment without anything: $(cut -c1-300 "$tmp/left")"
# In secure mode the loader follows it only as far as it trusts it.
if command -v setpriv >/dev/null; then
	cp "$g/sleep" "$g/rights"
	chmod 4755 "$g/rights"
	secured() {
		setpriv --reuid 65534 --regid 65534 --clear-groups env LD_PRELOAD="$g/evil.so" "$g/rights" 0.2 2>/dev/null
		in_history "$g/rights" '(secure mode)'
	}
	within 20 secured || fail "secure mode is not told"
fi
# No variable, nobody looks.
evil quiet.so
"$g/loader" --preload "$g/quiet.so" "$g/sleep" 0.5
settled
never "$g/quiet.so" '"type":"library"'
if command -v sqlite3 >/dev/null; then
	rows() { sqlite3 "$tmp/state/holdfast.db" "$1"; }
	[ "$(rows "SELECT type || ' ' || exe FROM unexpected_binaries WHERE path = '$g/evil.so'")" = "library $g/sleep" ] ||
		fail "unexpected_binaries: $(rows "SELECT * FROM unexpected_binaries")"
	[ "$(rows "SELECT count(*) FROM execs WHERE path = '$g/evil.so'")" = 0 ] || fail "a library among the starts"
	[ "$(rows "SELECT count(*) > 0 FROM execs WHERE environment LIKE 'LD_AUDIT=%'")" = 1 ] || fail "no environment in execs"
fi
stop

write_config ', libraries: all'
watch
ready
"$g/loader" --preload "$g/quiet.so" "$g/sleep" 60 &
pids="$pids $!"
told '"type":"library"' "\"path\":\"$g/quiet.so\"" '"verdict":"unexpected"'
# Whenever it is mapped; by a process that never started a program itself nobody looks for it otherwise.
if hf history --kind gap --json | grep -q 'perf events'; then
	echo "not tried: the kernel does not tell of mappings"
else
	evil later.so
	evil turned.so
	mkfifo "$tmp/go"
	exec 7<>"$tmp/go"
	"$act" map "$g/later.so" "$g/turned.so" <&7 &
	pids="$pids $!"
	echo >&7
	for l in later turned; do
		told '"type":"library"' "\"path\":\"$g/$l.so\"" '"verdict":"unexpected"' "\"exe\":\"$act\""
	done
fi
stop

write_config ', libraries: off'
watch
ready
preload "$g/evil.so" "$g/sleep" 60
kept '"process":{"pid":'"${pids##* }," "\"path\":\"$g/sleep\""
grep -q '"environment"' "$tmp/left" && fail "looked at, though it is off"
settled
never '"type":"library"'
stop
end
