#!/bin/sh
# Who is who: program starts and changes in real containers of podman, under both versions of cgroups, carry the container's
# name, image and id, however short it lived.
# usage: test_containers.sh [v1|v2]; without: v2
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/containers.sh"

mode=${1:-v2}
own_fs
cgroups "$mode"
podman_setup
run_container probe --rm "$image" true || {
	cat "$tmp/podman.err"
	skip "podman cannot start a container here"
}
echo x >"$g/file"
config 'exec: {mode: observe, trust: [baselines]}' "containers: {stores: [$fs/graph]}" 'limits: {settle: 5ms}'
hf init >/dev/null 2>"$err" || die "init"
watch

history_of() {
	hf history --json --kind exec --container "$1" >"$tmp/history" 2>"$err"
}
seen_in() {
	history_of "$1" && grep -q "\"path\":\"$2\"" "$tmp/history"
}

# A container that lives.
run_container web -d --privileged -v "$fs/vol:/data" "$image" sh -c 'cat /etc/motd; exec sleep 100' || die "podman run"
id=$(podman inspect -f '{{.Id}}' web)
digest=$(podman inspect -f '{{.ImageDigest}}' web)
within 10 seen_in web /bin/busybox || fail "no start in web: $(cat "$tmp/history")"
for word in "\"id\":\"$id\"" '"name":"web"' "\"image\":\"$image\"" "\"image_digest\":\"$digest\"" '"runtime":"podman"' \
	'"privileged":true' "\"host_path\":\"$fs/graph/overlay/"; do
	grep -qF "$word" "$tmp/history" || fail "web: no $word in $(tail -1 "$tmp/history")"
done
if grep -q '"unknown":' "$tmp/history"; then fail "unknown: $(grep '"unknown":' "$tmp/history" | tail -1)"; fi

# exec into it
podman exec web /usr/bin/busybox-tool true || fail "podman exec"
within 10 seen_in web /usr/bin/busybox-tool || fail "no start of podman exec"
seen_in "$(printf %.12s "$id")" /usr/bin/busybox-tool || fail "not found by the id"

# One that is gone at once keeps its name.
for n in 1 2 3; do
	run_container "blink$n" --rm "$image" true || fail "podman run --rm"
done
for n in 1 2 3; do
	within 10 seen_in "blink$n" /bin/busybox || fail "no start in blink$n"
done

# The host's own are the host's.
cp /bin/true "$g/own"
"$g/own"
within 10 sh -c "'$holdfast' -c '$tmp/conf.yaml' history --json --kind exec --path '$g/own' >'$tmp/own' && [ -s '$tmp/own' ]" ||
	fail "no start of a program of the host"
if grep -q '"container"' "$tmp/own"; then fail "the host's program in a container: $(cat "$tmp/own")"; fi

if command -v sqlite3 >/dev/null; then
	rows=$(sqlite3 "$tmp/state/holdfast.db" "SELECT count(*) FROM execs WHERE container = 'web' AND image = '$image'")
	[ "$rows" -ge 2 ] || fail "view execs: $rows rows"
	rows=$(sqlite3 "$tmp/state/holdfast.db" "SELECT count(*) FROM containers WHERE name LIKE 'blink%'")
	[ "$rows" -ge 3 ] || fail "view containers: $rows rows"
fi
hf status --json >"$tmp/status" || true
grep -q '"containers":{"known":[1-9]' "$tmp/status" || fail "status: $(grep -o '"containers":{[^}]*}' "$tmp/status")"
stop
hf baseline verify >"$tmp/verify" 2>&1 || fail "verify: $(cat "$tmp/verify")"
end
