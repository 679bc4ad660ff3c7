#!/bin/sh
# The whole story with podman, under each version of cgroups that the machine has: an image is imported and its baseline taken, a
# container runs, who it is, what is changed in it, a dropped program that is refused, history by the container's name; and
# containers that live no longer than a blink keep theirs.
# usage: test_containers.sh [v1|v2]; without: v1 and v2
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/containers.sh"

own_fs
podman_setup
echo x >"$g/file"
config 'exec: {mode: enforce, trust: [baselines]}' "containers:" "  stores: [$fs/graph]" '  policies: [{image: "localhost/*", exec: enforce}]' \
	'limits: {settle: 5ms}'
hf init >/dev/null 2>"$err" || die "init"
hf init --image "containers-storage:[$fs/graph]$image" tiny >"$tmp/init" 2>&1 || die "init --image: $(cat "$tmp/init")"

want() {
	within 20 seen "$@" || fail "$mode: no $1 of $3 in $2 ${4:-}: $(hf history --json --kind "$1" --container "$2" 2>&1 | grep -F "\"path\":\"$3\"" | tail -2)"
}

story() {
	web=web-$mode
	watch
	run_container "$web" -d --privileged -v "$fs/vol:/data" "$image" sh -c 'cat /etc/motd; exec sleep 100' ||
		die "$mode: podman run: $(cat "$tmp/podman.err")"
	id=$(podman inspect -f '{{.Id}}' "$web")
	want exec "$web" /bin/busybox '"verdict":"allowed"'
	for word in "\"id\":\"$id\"" "\"name\":\"$web\"" "\"image\":\"$image\"" "\"image_digest\":\"$(podman inspect -f '{{.ImageDigest}}' "$web")\"" \
		'"runtime":"podman"' '"privileged":true' "\"host_path\":\"$fs/graph/overlay/" '"cause":"image tiny"'; do
		grep -qF "$word" "$tmp/history" || fail "$mode: no $word in $(tail -1 "$tmp/history")"
	done
	hf history --json --kind exec --container "$web" >"$tmp/history" 2>"$err"
	if grep -q '"unknown":' "$tmp/history"; then fail "$mode: unknown: $(grep '"unknown":' "$tmp/history" | tail -1)"; fi
	podman exec "$web" /usr/bin/busybox-tool true || fail "$mode: podman exec"
	want exec "$(printf %.12s "$id")" /usr/bin/busybox-tool '"container_exec":true'
	if seen exec "$web" /bin/busybox '"container_exec"'; then fail "$mode: its own program came from outside"; fi

	podman exec "$web" sh -c 'echo more >>/etc/motd; rm /etc/passwd; cp /bin/busybox /dropped; echo >>/dropped' || fail "$mode: podman exec"
	want change "$web" /etc/motd '"change":"changed"'
	grep -F '"path":"/etc/motd"' "$tmp/history" | grep -qF '"process":{' || fail "$mode: nobody changed it: $(cat "$tmp/history")"
	want change "$web" /etc/passwd '"change":"removed"'
	want change "$web" /dropped '"change":"added"'
	if podman exec "$web" /dropped true 2>/dev/null; then fail "$mode: the dropped program ran"; fi
	want exec "$web" /dropped '"verdict":"denied"'
	for word in '"reason":"not in the image of its container"' "\"name\":\"$web\"" "\"host_path\":\"$fs/graph/"; do
		grep -F '"path":"/dropped"' "$tmp/history" | grep -qF "$word" || fail "$mode: denied: no $word: $(grep dropped "$tmp/history")"
	done
	hf check --container "$web" >"$tmp/report" 2>"$err"
	[ $? = 7 ] || fail "$mode: check: $(cat "$tmp/report")"

	# One that is gone at once keeps its name.
	for n in 1 2 3; do
		run_container "blink$n-$mode" --rm "$image" true || fail "$mode: podman run --rm"
	done
	for n in 1 2 3; do
		want exec "blink$n-$mode" /bin/busybox
	done
	hf status --json >"$tmp/status" || true
	grep -q '"containers":{"known":[1-9]' "$tmp/status" || fail "$mode: status: $(grep -o '"containers":{[^}]*}' "$tmp/status")"
	stop
	podman rm -f -t 0 "$web" >/dev/null 2>&1
	stories=$((stories + 1))
}

# Of the two views the one that takes less away comes first.
stories=0
for mode in ${1:-v1 v2}; do
	(cgroups "$mode" && run_container "probe-$mode" --rm "$image" true) >"$tmp/probe" || {
		printf '%s is left out: %s\n' "$mode" "$(cat "$tmp/probe" "$tmp/podman.err" 2>/dev/null | tail -1)"
		continue
	}
	story
done
[ $stories -gt 0 ] || skip "podman cannot start a container here"

# The host's own are the host's.
watch
cp /bin/true "$g/own"
if "$g/own" 2>/dev/null; then fail "the host's program that nobody vouches for ran"; fi
own() {
	hf history --json --kind exec --path "$g/own" >"$tmp/own" 2>"$err" && [ -s "$tmp/own" ]
}
within 10 own || fail "no start of a program of the host"
if grep -q '"container"' "$tmp/own"; then fail "the host's program in a container: $(cat "$tmp/own")"; fi

if command -v sqlite3 >/dev/null; then
	rows=$(sqlite3 "$tmp/state/holdfast.db" "SELECT count(*) FROM execs WHERE container LIKE 'web-v_' AND image = '$image'")
	[ "$rows" -ge $((2 * stories)) ] || fail "view execs: $rows rows"
	rows=$(sqlite3 "$tmp/state/holdfast.db" "SELECT count(*) FROM containers WHERE name LIKE 'blink%'")
	[ "$rows" -ge $((3 * stories)) ] || fail "view containers: $rows rows"
fi
stop
hf baseline verify >"$tmp/verify" 2>&1 || fail "verify: $(cat "$tmp/verify")"
end
