#!/bin/sh
# doctor: every probe answers, nothing is left behind, and it works for anybody.
. "$(dirname "$0")/lib.sh"
make_tree

before=$(ls -d /tmp/holdfast-doctor.* 2>/dev/null | wc -l)
hf 0 doctor
for p in fanotify 'file system marks' pidfd 'mount events' 'permission events' 'overlay events' BPF 'exec refusals' 'system calls' 'proc connector' capabilities inotify sha256 'process inspect' 'process sink' 'process unpack'; do
	grep -Eq "^  $p  +(ok|missing|unknown)" "$out" || fail "doctor: no answer for $p"
done
has "MiB/s"
if [ "$(id -u)" = 0 ]; then
	for p in inspect unpack; do
		grep -Eq "^  process $p +[a-z]+ +.*no_capabilities nobody no_files" "$out" || fail "doctor: rights of $p"
	done
fi
has "the first init makes it"
is "$before" "$(ls -d /tmp/holdfast-doctor.* 2>/dev/null | wc -l)" "folders of doctor left behind"
[ ! -e "$tmp/state" ] || fail "doctor made a store"
hf 0 init
hf 0 doctor
grep -Eq "^  baseline host +ok" "$out" || fail "doctor: the baseline"
hf 0 doctor --json
if command -v jq >/dev/null; then
	is 1 "$(jq -r 'select(.name == "pidfd") | .answer' <"$out" | grep -Ec 'ok|missing|unknown')" "doctor --json"
fi
if [ "$(id -u)" = 0 ] && command -v setpriv >/dev/null; then
	chmod 755 "$tmp"
	setpriv --reuid 65534 --regid 65534 --clear-groups --bounding-set -all "$holdfast" -c "$tmp/holdfast.yaml" doctor >"$out" 2>"$err"
	status=$?
	if [ "$status" = 126 ] || [ "$status" = 127 ]; then
		echo "the program is out of reach of another user: not tried"
	else
		what="doctor without privilege"
		is 0 $status "$what"
		grep -Eq "^  capabilities +missing" "$out" || fail "doctor without privilege: capabilities"
	fi
fi
finished
