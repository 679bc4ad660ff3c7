#!/bin/sh
# Actions on a real container of podman: a program that was dropped into it is frozen, kept as evidence, taken away and
# put back; released, it runs on; killed, it ends; and nothing stays frozen when the monitor is killed.
# usage: test_respond.sh [v1|v2]; without: v2
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/containers.sh"

mode=${1:-v2}
own_fs
cgroups "$mode"
podman_setup
run_container web -d -v "$fs/vol:/data" "$image" sh -c \
	'while :; do echo >>/data/beat; sleep 0.01; done' || {
	cat "$tmp/podman.err"
	skip "podman cannot start a container here"
}
cat >"$tmp/rules.yaml" <<'END'
- rule: Dropped program
  desc: frozen, kept, taken away
  condition: hf.kind = exec and container.id != host and hf.path endswith busybox-dropped
  output: "dropped %hf.path"
  priority: CRITICAL
- rule: Frozen only
  desc: frozen
  condition: hf.kind = exec and container.id != host and hf.path endswith busybox-frozen
  output: "frozen %hf.path"
  priority: CRITICAL
- rule: Denied
  desc: not started again
  condition: hf.kind = exec and container.id != host and hf.path endswith busybox-denied
  output: "denied %hf.path"
  priority: CRITICAL
- rule: Killed
  desc: the container ends
  condition: hf.kind = exec and container.id != host and hf.path endswith busybox-killed
  output: "killed %hf.path"
  priority: CRITICAL
END
echo x >"$g/file"
config 'exec: {mode: observe, trust: [baselines]}' "containers: {stores: [$fs/graph]}" 'limits: {settle: 5ms}' \
	"rules: {files: [$tmp/rules.yaml]}" 'respond:' '  mode: act' '  per_minute: 1000' '  ladders:' \
	'  - {name: contain, rules: Dropped program, where: container, containers: [web], steps: [freeze, evidence, quarantine, alert, kill-container after 60s]}' \
	'  - {name: hold, rules: Frozen only, steps: [freeze, kill-container after 60s]}' \
	'  - {name: never again, rules: Denied, steps: [deny, kill]}' \
	'  - {name: nobody, rules: Killed, where: host, steps: [kill]}' \
	'  - {name: end, rules: Killed, minimum: critical, steps: [kill-container]}'
hf init >/dev/null 2>"$err" || die "init"
watch

# How often it beat: a file that only grows, so that it says so also when its writer is frozen in the middle of it.
beat() {
	stat -c %s "$fs/vol/beat" 2>/dev/null
}
# It stands still: three looks say the same.
still() {
	b=$(beat)
	[ -n "$b" ] || return 1
	sleep 0.1
	[ "$(beat)" = "$b" ]
}
runs() {
	b=$(beat)
	within 30 sh -c "[ \"\$(stat -c %s '$fs/vol/beat')\" != '$b' ]"
}
drop() {
	podman exec -d web sh -c "cp /bin/busybox /tmp/busybox-$1; exec /tmp/busybox-$1 sleep 100" >/dev/null 2>&1 ||
		fail "podman exec"
}
# response: the number of the newest one at work
response() {
	hf release --json 2>/dev/null | sed -n 's/.*"id":\([0-9]*\).*/\1/p' | tail -1
}

runs || die "the container does not run"
drop dropped
told '"action":"alert"' '"result":"done"' '"ladder":"contain"'
within 30 still || fail "it is not frozen"
for a in freeze evidence quarantine; do
	line "\"action\":\"$a\"" '"result":"done"' '"rule":"Dropped program"' '"name":"web"' || fail "no $a: $(grep '"kind":"action"' "$out")"
done
id=$(response)
[ -n "$id" ] || die "nothing is at work"
hf release | grep -q "contain.*frozen.*kill-container" || fail "release does not list it: $(hf release)"
hf quarantine list | grep -q "$id.*file.*busybox-dropped" || fail "quarantine list: $(hf quarantine list)"
hf release "$id" >/dev/null || fail "release $id"
told '"action":"release"' '"result":"done"'
runs || fail "it is still frozen"
if podman exec web cat /tmp/busybox-dropped >/dev/null 2>&1; then fail "the file is still in the container"; fi
hf quarantine restore --to "$g/back" "$id" >/dev/null 2>"$err" || fail "restore"
cmp -s "$g/back" "$busybox" || fail "what was put back is not what was taken"
cmp -s "$tmp/state/quarantine/$id/exe" "$busybox" || fail "the program kept as evidence is another one"
hf quarantine delete "$id" >/dev/null || fail "delete"
[ ! -e "$tmp/state/quarantine/$id" ] || fail "the entry is still there"

# From the event to the action.
for n in 1 2 3 4 5; do
	drop frozen
	within 30 sh -c "[ \"\$(grep -c '\"action\":\"freeze\",\"result\":\"done\".*\"ladder\":\"hold\"' '$out')\" -ge $n ]" ||
		fail "not frozen for the ${n}th time"
	hf release "$(response)" >/dev/null || fail "release"
	within 30 sh -c "[ \"\$(grep -c '\"action\":\"release\"' '$out')\" -ge $((n + 1)) ]" || fail "not released"
done
# rows WANT SQL: history is written a moment later
rows() {
	within 30 sh -c "[ \"\$(sqlite3 '$tmp/state/holdfast.db' \"\$2\")\" = \"\$1\" ]" sh "$1" "$2" ||
		fail "$2: $(sqlite3 "$tmp/state/holdfast.db" "$2"), not $1"
}
if command -v sqlite3 >/dev/null; then
	rows 5 "SELECT count(*) FROM actions WHERE action = 'freeze' AND result = 'done' AND container = 'web' AND rule = 'Frozen only'"
	rows 5 "SELECT count(*) FROM actions a JOIN alerts l ON l.id = a.alert WHERE a.action = 'freeze' AND \
		a.rule = 'Frozen only' AND l.rule = a.rule AND l.actions LIKE '%freeze done%' AND l.event = a.event"
	action=$(sqlite3 "$tmp/state/holdfast.db" "SELECT max(id) FROM actions WHERE action = 'freeze'")
	alert=$(sqlite3 "$tmp/state/holdfast.db" "SELECT alert FROM actions WHERE id = $action")
	hf explain "$action" >"$tmp/explain" 2>&1
	grep -q "answers alert *$alert" "$tmp/explain" && grep -q 'rule *Frozen only' "$tmp/explain" &&
		grep -q "$action freeze *done" "$tmp/explain" || fail "explain of an action: $(cat "$tmp/explain")"
	rows restore,delete "SELECT group_concat(action) FROM actions WHERE action IN ('restore', 'delete')"
	us=$(sqlite3 "$tmp/state/holdfast.db" "SELECT (a.time - e.time)/1000 FROM event a JOIN event e ON e.id = a.ref WHERE \
		a.kind = 4 AND a.change = 2 AND a.cause = 'hold' ORDER BY 1" | sed -n 3p)
	printf 'from the event to the action: %s us (median of 5)\n' "$us"
	# Loosely, for machines at work; without load it is below 20 ms.
	[ -n "$us" ] && [ "$us" -lt 1000000 ] || fail "frozen after $us us"
fi

# The monitor is killed: what it froze runs on. What waited goes on when it is started again.
drop frozen
within 30 sh -c "[ \"\$(grep -c '\"action\":\"freeze\",\"result\":\"done\".*\"ladder\":\"hold\"' '$out')\" -ge 6 ]" || fail "not frozen"
within 30 still || fail "it is not frozen"
stop KILL
runs || fail "it stays frozen when the monitor is killed"
watch
within 30 still || fail "it is not frozen again"
hf release "$(response)" >/dev/null || fail "release after the restart"
runs || fail "it is still frozen"

# What was denied does not run again, by whatever name; not either after a restart, until the entry is removed.
drop_other() { # NAME: busybox with another digest
	podman exec web sh -c "cp /bin/busybox /tmp/busybox-$1; echo other >>/tmp/busybox-$1; exec /tmp/busybox-$1 sleep 20" >/dev/null 2>&1
}
drop_other denied
told '"action":"deny"' '"result":"done"' '"ladder":"never again"'
told '"action":"kill"' '"result":"done"' '"ladder":"never again"'
entry() {
	hf trust list | sed -n 's/^ *\([0-9]*\) *denied .*busybox-denied.*/\1/p'
}
entry=$(entry)
[ -n "$entry" ] || fail "trust list: $(hf trust list)"
is_ended() { # NAME: a start of it is killed
	drop_other "$1"
	[ $? = 137 ]
}
within 20 is_ended again || fail "a denied program runs"
told '"kind":"exec"' '"verdict":"killed"' 'busybox-again' 'on the list of denied programs'
stop
watch
within 20 is_ended later || fail "a denied program runs after a restart"
hf trust remove "$entry" --reason 'a mistake' >/dev/null || fail "trust remove"
podman exec web /tmp/busybox-later true >/dev/null 2>&1 || fail "what is no longer denied does not run"

drop killed
told '"action":"kill-container"' '"result":"done"' '"ladder":"end"'
within 30 sh -c "podman ps --format '{{.Names}}' | grep -qx web && exit 1; exit 0" || fail "the container still runs"
never '"ladder":"nobody"'
stop
hf baseline verify >"$tmp/verify" 2>&1 || fail "verify: $(cat "$tmp/verify")"
end
