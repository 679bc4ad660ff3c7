#!/bin/sh
# Drift: what is started in a container and is not in its image is told, or refused; per policy; under podman.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/containers.sh"

hf_help=$("$holdfast" init --help 2>/dev/null)
case $hf_help in
*--image*) ;;
*) skip "no init --image" ;;
esac
own_fs
cgroups v2
podman_setup
make_image localhost/free:1
run_container probe --rm "$image" true || {
	cat "$tmp/podman.err"
	skip "podman cannot start a container here"
}
podman save --format docker-archive -o "$tmp/tiny.tar" "$image" >/dev/null 2>"$tmp/podman.err" || die "podman save"
echo x >"$g/file"

# write_config MODE
write_config() {
	config "exec: {mode: $1, trust: [baselines]}" 'limits: {settle: 5ms}' 'containers:' "  stores: [$fs/graph]" \
		'  policies:' \
		'  - {label: "team=ops", exec: off}' \
		"  - {image: \"localhost/tiny*\", exec: $1, exceptions: [/tmp/busybox-ok*]}"
}
write_config observe
hf init >/dev/null 2>"$err" || die "init"
hf init --image "docker-archive:$tmp/tiny.tar" tiny >"$tmp/init" 2>&1 || die "init --image: $(cat "$tmp/init")"

of() {
	hf history --json --kind exec --container "$1" >"$tmp/history" 2>"$err"
}
# verdict CONTAINER PATH VERDICT: the newest start of the path there
verdict() {
	of "$1" && grep -F "\"path\":\"$2\"" "$tmp/history" | head -1 | grep -q "\"verdict\":\"$3\""
}
want() {
	within 10 verdict "$@" || fail "no $3 $2 in $1: $(grep -F "\"path\":\"$2\"" "$tmp/history" | cut -c1-300 | head -3)"
}

watch
run_container web -d --network none -v "$fs/vol:/data" "$image" sleep 100 || die "podman run"
want web /bin/busybox allowed
within 5 grep -q '"cause":"image tiny"' "$tmp/history" || fail "not by the image: $(head -1 "$tmp/history")"

# A dropped binary, though its content is that of a file of the image or of the host: the path does not matter, the digest does.
podman exec web cp /bin/busybox /tmp/busybox
podman exec web /tmp/busybox true || fail "a copy of the image's own program"
want web /tmp/busybox allowed
podman exec web sh -c 'cp /bin/busybox /tmp/busybox2; echo >>/tmp/busybox2; /tmp/busybox2 true' || fail "observe refuses"
want web /tmp/busybox2 unexpected
grep -F '"path":"/tmp/busybox2"' "$tmp/history" | grep -q '"reason":"not in the image of its container"' || fail "no reason"
grep -F '"path":"/tmp/busybox2"' "$tmp/history" | grep -q '"host_path":"'"$fs"'/graph/overlay/[0-9a-f]*/diff/tmp/busybox2"' ||
	fail "no host path"
# By a volume.
cp "$busybox" "$fs/vol/busybox3"
echo >>"$fs/vol/busybox3"
podman exec web /data/busybox3 true || fail "observe refuses a volume's"
want web /data/busybox3 unexpected
stop

# Enforced: refused, in this image alone, and not what is excepted.
write_config enforce
watch
podman exec web /bin/true || fail "the image's own is refused: $(podman exec web /bin/true 2>&1)"
if podman exec web /tmp/busybox2 true 2>/dev/null; then fail "not refused"; fi
want web /tmp/busybox2 denied
if podman exec web /tmp/busybox2 true 2>/dev/null; then fail "let through when tried again"; fi
# The image says nothing of the host, though the very file may have been judged in a container just now.
layer=$(ls -d "$fs"/graph/overlay/*/diff/bin/busybox | head -1)
cp "$busybox" "$g/busybox"
for program in "$g/busybox" "$layer"; do
	if "$program" true 2>/dev/null; then fail "on the host the image vouches for $program"; fi
done
podman exec web /bin/true || fail "the image's own is refused after a start on the host"
run_container ops --rm --annotation team=ops "$image" true || fail "without a policy the image does not vouch for its own"
podman exec web cp /tmp/busybox2 /tmp/busybox-ok 2>/dev/null
run_container second --rm "$image" sh -c 'cp /bin/busybox /x; echo >>/x; /x true' && fail "the second container's is not refused"
want second /x denied
stop
podman rm -f -t 0 second >/dev/null 2>&1

# Layers on a file system that nobody guards: containers are judged by their policies alone, and the host is left alone.
g=$tmp/guarded
mkdir "$g"
mount -t tmpfs none "$g" || skip "no tmpfs"
echo x >"$g/file"
rm -rf "$tmp/state" && mkdir "$tmp/state"
# write_config [POLICY]...
write_config() {
	config 'exec: {mode: enforce, trust: [explicit], fail: closed}' 'limits: {settle: 5ms}' 'containers:' "  stores: [$fs/graph]" "$@"
}
enforced='  - {image: "localhost/tiny*", exec: enforce, exceptions: [/tmp/busybox-ok*]}'
reread() {
	: >"$err"
	kill -HUP "$pid"
	within 10 grep -q 'configuration read again' "$err" || fail "no reload"
}
runs() {
	podman exec web "$@" true 2>/dev/null
}
refused() {
	! runs "$@"
}
write_config
hf init >/dev/null 2>"$err" || die "init"
watch
gated() {
	hf status --json 2>/dev/null | grep -o '"file_systems":[0-9]*'
}
only=$(gated)
runs /tmp/busybox2 || fail "refused without a policy"
write_config '  policies:' '  - {label: "team=ops", exec: off}' "$enforced"
reread
# Nobody knows the image yet: nothing vouches for what its containers start. The same files on the host, in another container?
within 10 refused /bin/busybox || fail "policies that came later refuse nothing"
"$layer" true || fail "the host's start of a file of a layer is refused"
run_container ops2 --rm --annotation team=ops "$image" true || fail "refused though its policy says off"
refused /bin/busybox || fail "not refused after a start elsewhere"
hf init --image "docker-archive:$tmp/tiny.tar" tiny >"$tmp/init" 2>&1 || die "init --image: $(cat "$tmp/init")"
reread
within 10 runs /bin/busybox || fail "the image's own is refused: $(podman exec web /bin/true 2>&1)"
want web /bin/busybox allowed
[ "$(gated)" != "$only" ] || fail "not gated: $only"
refused /tmp/busybox2 || fail "not refused"
want web /tmp/busybox2 denied
refused /data/busybox3 || fail "a volume's is not refused"
runs /tmp/busybox-ok || fail "an exception is refused"
want web /tmp/busybox-ok unexpected
"$layer" true || fail "the host's start is refused"
cp "$fs/vol/busybox3" "$fs/busybox-own" && "$fs/busybox-own" true || fail "the host's own is refused"
hf history --json --kind exec --path "$fs/busybox-own" >"$tmp/history" 2>"$err"
[ ! -s "$tmp/history" ] || fail "what concerns nobody is told: $(cat "$tmp/history")"
write_config '  policies:' "$(echo "$enforced" | sed 's/enforce/observe/')"
reread
within 10 runs /tmp/busybox2 || fail "an observing policy refuses"
want web /tmp/busybox2 unexpected
write_config
reread
before=$(hf history --json --kind exec 2>"$err" | wc -l)
[ "$(gated)" = "$only" ] || fail "still gated"
runs /tmp/busybox2 || fail "refused without a policy"
[ "$(hf history --json --kind exec 2>"$err" | wc -l)" = "$before" ] || fail "told without a policy"
stop

# As on a kernel that does not tell of what goes through an overlay: each has a mark of its own, from its mount on.
write_config '  policies:' "$enforced"
echo 'sensors: {overlays: mark}' >>"$tmp/conf.yaml"
watch
told '"kind":"gap"' weak-sensor 'each overlay is gated'
refused /tmp/busybox2 || fail "overlays: not refused"
before=$(gated)
run_container third -d "$image" sleep 100 || die "podman run third: $(cat "$tmp/podman.err")"
more() {
	[ "$(gated)" != "$before" ]
}
within 10 more || fail "no mark for the new overlay: $before"
podman exec third sh -c 'cp /bin/busybox /busybox-x; /busybox-x true' || fail "overlays: the image's own is refused"
podman exec third sh -c 'echo >>/busybox-x; /busybox-x true' && fail "overlays: the new container's is not refused"
want third /busybox-x denied
podman rm -f -t 0 third >/dev/null 2>&1
same() {
	[ "$(gated)" = "$before" ]
}
within 10 same || fail "the mark stays: $before, $(gated)"
stop
hf baseline verify >"$tmp/verify" 2>&1 || fail "verify: $(cat "$tmp/verify")"
end
