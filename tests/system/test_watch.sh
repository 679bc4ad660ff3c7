#!/bin/sh
# The monitor from the outside: what it tells, its start and end, reload, time when it was down, what it refuses.
# shellcheck source=/dev/null
. "$(dirname "$0")/lib.sh"

mkdir -p "$g/sub" "$g/secret"
echo one >"$g/one"
echo two >"$g/two"
echo key >"$g/secret/key"
echo three >"$g/sub/three"
config 'exclude: ["*.skip"]' "diffs: [$g/two]" "sensitive: [$g/secret]" 'limits: {canary: 2s}'
hf init -q || die "init"

# A first start tells one summary and nothing else.
watch
[ "$(wc -l <"$out")" = 1 ] || fail "first start told more than a summary"

# One edit: before, after, author.
echo more >>"$g/one"
told '"change":"changed"' "$g/one" '"before"' '"after"' '"exe"' '"ppid"'
never '"loginuid":4294967295'
sed -i s/two/TWO/ "$g/two"
told '"change":"replaced"' "$g/two" '/sed"' '"diff":"@@ -1,1 +1,1 @@\n-two\n+TWO\n"'
mkdir -p "$g/a/b/c" && echo x >"$g/a/b/c/f"
told '"change":"added"' "$g/a/b/c/f"
echo x >"$g/left.skip"
cat "$g/secret/key" >/dev/null
told '"kind":"open"' "$g/secret/key" '/cat"'
# A sensitive file that was replaced is still watched.
cp "$g/secret/key" "$g/secret/new" && mv "$g/secret/new" "$g/secret/key"
told '"change":"replaced"' "$g/secret/key"
settled
head -c1 "$g/secret/key" >/dev/null
told '"kind":"open"' "$g/secret/key" '/head"'
settled
never 'left.skip'
[ "$(lines '"kind":"change"' "\"path\":\"$g/two\"")" = 1 ] || fail "sed -i is more than one change"

# Health, canary, one monitor at a time.
hf status --json >"$tmp/status"
# Containers of somebody else on this machine may be anybody's: that is all that may be missing.
grep -q -e '"health":"green"' -e '"reasons":\["some containers have no name (containers.why)"\]' "$tmp/status" ||
	fail "not green: $(cat "$tmp/status")"
canary_good() { hf status --json | grep -q '"tested":true,"ok":true'; }
within 10 canary_good || fail "no canary came back"
timeout 10 "$holdfast" -c "$tmp/conf.yaml" watch --for 1 >"$tmp/second" 2>&1
[ $? = 75 ] || fail "a second monitor was not refused"
grep -q "another monitor is running" "$tmp/second" || fail "the second does not say why"

# The process that judges content: stopped, it is not waited for; it comes back. That is a gap.
inspect_pid() { hf status --json | sed -n 's/.*"inspect":{[^}]*"pid":\([0-9]*\).*/\1/p'; }
asked=0
program() {
	asked=$((asked + 1))
	printf '#!/bin/sh -%s\n' $asked >"$tmp/program"
	chmod 755 "$tmp/program"
	mv "$tmp/program" "$g/program-$asked"
}
judged() {
	program
	told '"change":"added"' "$g/program-$asked"
	line '"mime":"text/x-shellscript"' "$g/program-$asked"
}
program
told '"change":"added"' "$g/program-1"
if line '"mime"' "$g/program-1"; then
	kill -STOP "$(inspect_pid)"
	program
	told '"change":"added"' "$g/program-2"
	never '"mime"' "$g/program-2"
	told '"kind":"gap"' '"reason":"weak-sensor"' 'process inspect' 'it does not answer'
	within 30 judged || fail "types of content stay unknown"
	told '"kind":"gap"' 'process inspect' 'it is asked again'
else
	echo "no magic database: the process that judges content was not tried"
fi

# SIGHUP: a bad file keeps the old configuration; a good one is put in force.
cp "$tmp/conf.yaml" "$tmp/good.yaml"
echo 'nonsense: [' >>"$tmp/conf.yaml"
kill -HUP "$pid"
within 10 grep -q 'conf.yaml:' "$err" || fail "the bad configuration was not named"
told '"kind":"note"' 'SIGHUP: the configuration is read again' "sent by process $$ of user 0" "\"pid\":$$,"
echo a >"$g/after-bad"
told "$g/after-bad"
cp "$tmp/good.yaml" "$tmp/conf.yaml"
config 'exclude: ["*.skip", "*.omit"]' "sensitive: [$g/secret]" 'limits: {canary: 2s, hash_threads: 7, settle: 30ms}'
kill -HUP "$pid"
within 10 grep -q 'configuration read again' "$err" || fail "the good configuration was not read"
within 10 grep -q 'started again: limits.hash_threads$' "$err" || fail "the key that was not put in force was not named"
# A path that no baseline holds is a gap for as long as it is configured.
mkdir "$tmp/later"
sed -i "s|^paths: .*|paths: [$g, $tmp/later]|" "$tmp/conf.yaml"
kill -HUP "$pid"
told '"kind":"gap"' '"reason":"no-path"' "$tmp/later"
# The canary ends and begins again with the configuration.
no_canary() { hf status --json | grep -q '"canary":\[\]'; }
config 'exclude: ["*.skip", "*.omit"]' "sensitive: [$g/secret]" 'limits: {canary: 0}'
kill -HUP "$pid"
within 10 no_canary || fail "the canary goes on though it is off"
told '"kind":"gap"' "$tmp/later" 'no longer so'
config 'exclude: ["*.skip", "*.omit"]' "sensitive: [$g/secret]" 'limits: {canary: 2s}'
kill -HUP "$pid"
within 10 canary_good || fail "the canary that was switched on does not come back"
echo a >"$g/x.omit"
settled
never 'x.omit'

# It never names itself as the author.
never '"kind":"change"' "\"pid\":$pid,"

# SIGTERM: at once, and everything is stored.
echo last >>"$g/sub/three"
told "$g/sub/three"
stop
[ "$status" = 0 ] || fail "ended with $status"
in_time "$took" || fail "took $took ms to end"
hf history --json >"$tmp/history"
grep -q '"kind":"note".*SIGTERM: the monitor ends, sent by process' "$tmp/history" || fail "who ended it is not in history"
for path in one two a/b/c/f sub/three; do
	grep -q "$g/$path\"" "$tmp/history" || fail "$path is not in history"
done

# Down: edits are found, the gap says so, and what was known is not told again.
echo down >>"$g/one"
rm "$g/two"
watch
told '"change":"changed"' "$g/one" 'while the monitor was down'
told '"change":"removed"' "$g/two"
told '"reason":"down"' 'check at start: 2 changes found'
never "$g/sub/three"
never "$g/a/b/c/f"

# Undone is reverted, also over a restart: no news then.
printf 'three\n' >"$g/sub/three"
told '"change":"reverted"' "$g/sub/three"
stop
watch
settled
never "$g/sub/three"
told 'check at start: 0 changes found'

# kill -9: the next start names the gap and finds what came after.
echo killed >>"$g/one"
told "$g/one" '"change":"changed"'
within 5 sh -c "'$holdfast' -c '$tmp/conf.yaml' history --json | tail -3 | grep -q '$g/one'"
# Stopped, and ended: with BPF it is known by whom.
hf status --json | grep -q '"source":"BPF"' && [ -d /sys/fs/bpf ] && grep -q ' /sys/fs/bpf .* - bpf ' /proc/self/mountinfo && whom=1 || whom=
stopped() { grep -q '^State:.T' "/proc/$pid/status"; }
if [ -n "$whom" ]; then
	kill -STOP "$pid"
	within 10 stopped || fail "it does not stop"
	kill -CONT "$pid"
	told '"kind":"note"' 'SIGSTOP: the monitor was stopped' "sent by process $$ of user 0"
else
	echo "not tried: who sent SIGSTOP and SIGKILL: no BPF"
fi
stop KILL
[ -z "$whom" ] || [ -e "$pin" ] || fail "nothing keeps who killed it"
echo after >>"$g/one"
[ -S "$tmp/control" ] || fail "the socket should still lie there"
watch
told '"reason":"down"' 'ended without notice'
[ -z "$whom" ] || told '"reason":"down"' "SIGKILL, sent by process $$ ("
told '"change":"changed"' "$g/one"
stop
[ ! -e "$pin" ] || fail "a pinned map is left"

# It ends within a second while it reads something huge, too.
truncate -s 30G "$g/huge"
: >"$out"
"$holdfast" -c "$tmp/conf.yaml" watch --json >"$out" 2>"$err" &
pid=$!
within 10 test -S "$tmp/control" || fail "no control socket"
stop
in_time "$took" 500 || fail "took $took ms to end while reading"
rm "$g/huge"

# What it refuses.
refused() { # STATUS WORD
	timeout 20 "$holdfast" -c "$tmp/conf.yaml" watch --for 1 >"$tmp/refused" 2>&1
	s=$?
	[ $s = "$1" ] || fail "status $s, not $1: $(cat "$tmp/refused")"
	grep -q "$2" "$tmp/refused" || fail "does not say \"$2\": $(cat "$tmp/refused")"
}
mv "$tmp/state/holdfast.head" "$tmp/head"
refused 74 'head'
mv "$tmp/head" "$tmp/state/holdfast.head"
cp "$tmp/state/holdfast.db" "$tmp/copy.db"
if command -v sqlite3 >/dev/null; then
	sqlite3 "$tmp/state/holdfast.db" "UPDATE file SET size = size + 1 WHERE CAST(name AS TEXT) = 'three'"
	refused 74 ''
	cp "$tmp/copy.db" "$tmp/state/holdfast.db"
fi
mv "$tmp/state/holdfast.db" "$tmp/away.db"
refused 66 'init'
mv "$tmp/away.db" "$tmp/state/holdfast.db"
timeout 20 "$holdfast" -c "$tmp/conf.yaml" watch nosuch --for 1 >"$tmp/refused" 2>&1
[ $? = 66 ] || fail "a baseline that is not there"
end
