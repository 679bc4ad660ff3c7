#!/bin/sh
# Programs for which the kernel asks nobody, under a monitor that enforces for a whole host, which is one of the test's own.
. "$(dirname "$0")/lib.sh"

. "$(dirname "$0")/inside.sh"

inside_make
put "$act" runc
inside_enter

judge 'ungated: late' 'limits: {settle: 5ms}'
# Not the host's file systems: the test would refuse programs of others.
[ "$(hf status --json | sed 's/.*"file_systems":\([0-9]*\).*/\1/')" -le 2 ] || die "more than the test's file systems are gated"
cp "$act" "$root/usr/bin/bad"
echo >>"$root/usr/bin/bad"
becomes 0 '/usr/bin/act linger 1'
becomes 126 '/usr/bin/bad linger 1'
# Denied by hand is denied whoever vouches for it, at once and until that is taken back.
hf trust deny /usr/bin/act --reason 'one of ours, found elsewhere' >/dev/null 2>"$err.deny" || fail "trust deny: $(cat "$err.deny")"
becomes 126 '/usr/bin/act linger 1'
hf trust remove --digest "$(sha256sum <"$root/usr/bin/act" | cut -d' ' -f1)" --reason 'it is fine' >/dev/null 2>"$err.deny" ||
	fail "trust remove: $(cat "$err.deny")"
becomes 0 '/usr/bin/act linger 1'
becomes 0 '/usr/bin/act memory /usr/bin/act'
becomes 137 '/usr/bin/act memory /usr/bin/bad'
told '"kind":"exec"' '"verdict":"killed"' 'memfd'
stop

judge 'ungated: kill' 'limits: {settle: 5ms}'
if hf status --json | grep -q '"source":"BPF"' && ! hf history --kind gap --json | grep -q 'exec.ungated: kill needs BPF'; then
	# Whatever its digest.
	becomes 137 '/usr/bin/act memory /usr/bin/act'
	told '"kind":"exec"' '"verdict":"killed"' 'a memory file; killed before its first instruction'
	becomes 137 'unshare -m sh -c "mount -t tmpfs none /mnt && cp /usr/bin/act /mnt/x && exec /mnt/x linger 1"'
	told '"kind":"exec"' '"verdict":"killed"' 'its file system is not gated; killed before its first instruction'
	# What is mounted where another was, often under its device number, is not taken for it, however soon its programs run.
	inside 'mount -t tmpfs none /mnt; cp /usr/bin/bad /mnt/bad'
	denied() {
		inside '/mnt/bad linger 1'
		[ "$result" = 126 ]
	}
	within 20 denied || die "a tmpfs is not gated"
	cat >"$root/result/others" <<-'END'
		for i in 1 2 3 4 5 6 7 8 9 10; do
			until umount /mnt 2>/dev/null; do :; done
			mount -t tmpfs none /mnt && cp /bin/busybox /mnt/echo && echo >>/mnt/echo && /mnt/echo it ran
		done
	END
	inside '. /result/others'
	if grep 'it ran' "$root/result/$n.out"; then fail "programs ran from file systems that were not gated yet"; fi
	[ "$(grep -c -e Killed -e "not permitted" "$root/result/$n.out")" = 10 ] || fail "$(cat "$root/result/$n.out")"
	inside 'until umount /mnt 2>/dev/null; do :; done'
	# A runtime that a source vouches for runs a copy of itself from memory; under another name it may not.
	becomes 0 '/usr/bin/runc memory /usr/bin/runc'
	becomes 126 '/usr/bin/bad linger 1'
	becomes 0 '/usr/bin/act linger 1'
	# Other sessions are none of its business.
	"$act" memory "$act" || fail "a memory file of another session was ended"
	stop
	becomes 0 '/usr/bin/act memory /usr/bin/act'
	# One that nobody vouches for is no runtime.
	cp "$root/usr/bin/bad" "$root/usr/bin/crun"
	judge 'ungated: kill' 'limits: {settle: 5ms}'
	becomes 0 '/usr/bin/runc memory /usr/bin/runc'
	becomes 126 '/usr/bin/crun memory /usr/bin/crun'
	stop
else
	echo "not tried: exec.ungated: kill needs BPF on Linux 6.10"
	stop
fi
end
