#!/bin/sh
# holdfast rules: check, list, test over events and over history.
. "$(dirname "$0")/lib.sh"
make_tree
shipped=$here/../../conf/rules/holdfast.yaml

# --- check
hf 0 rules check "$shipped"
has "rules, 0 errors, 0 warnings"
cat >"$tmp/bad.yaml" <<'END'
- rule: one
  desc: d
  output: o
  priority: HIGH
  condition: evt.type = open and fd.nmae = x
- macro: unused
  condition: evt.type = open
END
hf 65 rules check "$tmp/bad.yaml"
has_err "$tmp/bad.yaml:4:13: error: 'priority' wants"
has_err "$tmp/bad.yaml:6:10: warning: macro 'unused' is not used"
hf 65 rules check -q "$tmp/bad.yaml"
grep -q warning "$err" && fail "warnings in spite of -q"
hf 65 rules check "$tmp/missing.yaml"
has_err "No such file"
hf 65 rules check "$shipped" "$tmp/bad.yaml"

# --- list
hf 0 rules list --sensors changes,opens,exec,exec-bpf,proc,runtime,layers,baseline,trust "$shipped"
has "21 exact, 0 approximate, 0 blind"
hf 0 rules check "$here/../../conf/rules/users.yaml"
has "8 rules, 0 errors, 0 warnings"
hf 0 rules list --sensors exec,exec-bpf,proc,runtime,sessions "$here/../../conf/rules/users.yaml"
has "8 exact, 0 approximate, 0 blind"
hf 0 rules list --sensors exec,exec-bpf,proc,runtime "$here/../../conf/rules/users.yaml"
has "3 exact, 5 approximate, 0 blind"
hf 0 rules check "$here/../../conf/rules/network.yaml"
hf 0 rules list --sensors exec,exec-bpf,proc,runtime,syscall,network "$here/../../conf/rules/network.yaml"
has "8 exact, 0 approximate, 0 blind"
hf 0 rules list --sensors changes,exec,proc,runtime "$here/../../conf/rules/network.yaml"
has "0 exact, 0 approximate, 8 blind"
hf 0 rules list --sensors changes,baseline "$shipped"
has "no sensor for opens"
hf 0 rules list --json --sensors changes,baseline "$shipped"
has '"state":"exact"'
has '"state":"blind"'
hf 0 rules list "$shipped"
has "exact,"
hf 64 rules list --sensors chnages "$shipped"

# --- test over events
cat >"$tmp/events" <<'END'
{"time":"2026-01-02T03:04:05Z","kind":"change","change":"added","path":"/etc/cron.d/x","after":{"type":"file","mode":"0644"},"process":{"pid":7,"comm":"sh","exe":"/bin/dash","cmdline":"sh -c x","uid":0}}
{"kind":"change","change":"renamed","path":"/root/a","path2":"/etc/cron.d/y","process":{"pid":7,"comm":"mv"}}
{"kind":"change","change":"changed","path":"/etc/shadow","process":{"pid":7,"comm":"passwd"}}
{"kind":"change","change":"changed","path":"/etc/shadow","process":{"pid":7,"comm":"ed\u001b"}}
{"kind":"change","change":"attributes","attributes":["mode"],"path":"/opt/x","after":{"type":"file","mode":"4755"},"process":{"pid":7,"comm":"chmod"}}
{"kind":"change","change":"added","path":"/etc/cron.d/z","process":{"pid":7,"comm":"dpkg"}}
{"kind":"open","path":"/etc/shadow","process":{"pid":7,"comm":"cat"}}
{"kind":"open","path":"/etc/shadow","process":{"pid":7,"comm":"sshd"}}
{"kind":"exec","path":"/tmp/x","process":{"pid":7,"comm":"x","exe":"/tmp/x"}}
{"kind":"gap","reason":"queue-overflow","count":1}
{"kind":"gap","reason":"limit","count":1}
END
hf 0 rules test --events "$tmp/events" "$shipped"
has "2026-01-02T03:04:05.000Z Warning Cron job planted: Cron file /etc/cron.d/x added by sh"
has "Cron file /root/a,/etc/cron.d/y renamed by mv"
has "Critical Account file changed by an unusual program"
has "Error File became setuid: /opt/x has mode 4755 now"
has "Warning Credentials read by an unusual program: /etc/shadow opened by cat"
has "Error Program from a folder anyone may write to"
has "Notice Files were not watched: Not watched, queue-overflow"
has "11 events, 7 matches"
lacks "by dpkg"
hf 0 rules test --json --events "$tmp/events" "$shipped"
has '"rule":"Cron job planted","priority":"Warning","source":"syscall"'
has '"proc.cmdline":"sh -c x"'
echo '{"kind":"nothing"}' >"$tmp/events"
hf 65 rules test --events "$tmp/events" "$shipped"
has_err "$tmp/events:1: unknown kind 'nothing'"
hf 64 rules test "$shipped"
hf 64 rules test --events "$tmp/events"

# --- and over history
hf 0 init
echo more >>"$tmp/tree/etc/one"
hf 4 check
cat >"$tmp/mine.yaml" <<'END'
- rule: Mine
  desc: d
  output: "%hf.path %hf.change (%hf.attribute)"
  priority: NOTICE
  condition: hf.change = changed and basename(hf.path) = one
END
hf 0 rules test --since 1h "$tmp/mine.yaml"
has "Notice Mine: $tmp/tree/etc/one changed"
hf 0 rules test --since 2020-01-01 --json "$tmp/mine.yaml"
has '"rule":"Mine"'

finished
