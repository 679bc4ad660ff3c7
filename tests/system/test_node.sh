#!/bin/sh
# As a DaemonSet runs it: a privileged container of podman that shares the node's process IDs puts the program on the node and
# runs it in the node's namespaces. The node is this test's own mount namespace.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/containers.sh"

for program in nsenter patchelf; do command -v $program >/dev/null || skip "no $program"; done
if sanitized; then skip "a program with sanitizers does not run beside other libraries"; fi
init=$(cd "$(dirname "$0")/../../init" && pwd)

# What the shipped DaemonSet configures can be loaded.
sed -n '/^  holdfast.yaml: |/,/^---/{/holdfast.yaml: |/d;/^---/d;s/^    //;p}' "$init/daemonset.yaml" >"$tmp/shipped.yaml"
[ -s "$tmp/shipped.yaml" ] || fail "no configuration in daemonset.yaml"
"$holdfast" -c "$tmp/shipped.yaml" baseline list --db "$tmp/nothing" >/dev/null 2>"$err"
[ $? = 66 ] || fail "the DaemonSet's configuration: $(cat "$err")"

own_fs 512M
cgroups v2
podman_setup
config "containers:" "  stores: [$fs/graph]" '  baseline_on_start: no' 'exec: {mode: observe, trust: [baselines, explicit]}' 'limits: {settle: 5ms}'
mv "$tmp/conf.yaml" "$tmp/holdfast.yaml"
conf=$fs/etc/holdfast.yaml

# The image: the program and all that it needs, nsenter and a shell with their libraries.
prefix=$fs/opt/holdfast
mkdir -p "$tmp/dest$prefix/sbin"
cp "$holdfast" "$tmp/dest$prefix/sbin/"
"$init/bundle" "$tmp/dest" "$prefix" 2>"$err" || die "bundle: $(cat "$err")"
if patchelf --print-needed "$tmp/dest$prefix/sbin/holdfast" | while read -r l; do [ -e "$tmp/dest$prefix/lib/$l" ] || echo "$l"; done | grep .; then
	fail "the bundle lacks libraries"
fi
make_root
cp -a "$tmp/dest/." "$tmp/root/"
for applet in cmp cut dirname grep sha256sum; do ln -s busybox "$tmp/root/bin/$applet"; done
# busybox has both, and its nsenter knows no cgroup namespaces.
for program in nsenter sh; do
	rm -f "$tmp/root/bin/$program"
	cp -L "$(command -v $program)" "$tmp/root/bin/$program"
	ldd "$tmp/root/bin/$program" | grep -o '/[^ ]*' | while read -r l; do
		mkdir -p "$tmp/root${l%/*}"
		cp -L "$l" "$tmp/root$l"
	done
done
mkdir "$tmp/root/etc/holdfast"
cp "$tmp/holdfast.yaml" "$tmp/root/etc/holdfast/"
tar -C "$tmp/root" -c . | podman import - localhost/node:1 >/dev/null 2>"$tmp/import.err" || die "import: $(cat "$tmp/import.err")"

node() { # NAME ARGUMENT...: the pod
	podman_name=$1
	shift
	run_container "$podman_name" -d --privileged --pid=host -e HOLDFAST_NODE_PID=$$ -e HOLDFAST_CONFIG="$conf" "$@" localhost/node:1 \
		"$prefix/libexec/node"
}
said() { podman logs "$1" 2>&1; }
says() { said "$1" | grep -q "$2"; }
hf() { "$holdfast" -c "$conf" "$@"; }
green() { hf status --json 2>/dev/null | grep -q '"reconciled":true'; }
ended() { [ "$(podman inspect -f '{{.State.Running}}' "$1")" = false ]; }

# Without a baseline and without leave to take one it ends and says so.
echo one >"$g/file"
node none || {
	cat "$tmp/podman.err"
	skip "podman cannot start a container here"
}
within 30 ended none || fail "no baseline, and it runs: $(said none)"
says none "take a baseline" || fail "it does not say that there is no baseline: $(said none)"
cmp -s "$conf" "$tmp/holdfast.yaml" || fail "the configuration was not installed"

node pod -e HOLDFAST_INIT=yes
within 60 green || die "no monitor on the node: $(said pod)"
monitor=$(podman inspect -f '{{.State.Pid}}' pod)
for ns in mnt net uts ipc cgroup pid; do
	[ "$(readlink "/proc/$monitor/ns/$ns")" = "$(readlink "/proc/$$/ns/$ns")" ] || fail "not in the node's namespace $ns"
done
[ "$(readlink "/proc/$monitor/exe")" = "$prefix/sbin/holdfast" ] || fail "it runs $(readlink "/proc/$monitor/exe")"
grep -qF "$prefix/lib/libc.so.6" "/proc/$monitor/maps" || fail "it runs by the node's libraries"
grep -q " /.* /usr/lib.*libc\.so\|[^o]/usr/lib/.*libc\.so" "/proc/$monitor/maps" && fail "it uses the node's libc"

# The node's files, by the node's people and by a container.
echo two >"$g/file"
within 30 committed "$g/file" || fail "a change on the node is not told"
run_container other --rm -v "$g:/data" "$image" sh -c 'echo three >/data/made' || fail "$(cat "$tmp/podman.err")"
within 30 seen change other "$g/made" '"added"' || within 5 seen change other "$g/made" || fail "a container's change: $(hf history --json --path "$g/made")"
podman exec pod "$prefix/libexec/node" status >"$tmp/status.pod" 2>&1 || [ $? = 2 ] || fail "node status: $(cat "$tmp/status.pod")"
# libmagic's data came along: the type of an unexpected program.
cp "$busybox" "$fs/busybox-tool"
"$fs/busybox-tool" true
typed() { sqlite3 "$tmp/state/holdfast.db" "SELECT type FROM unexpected_binaries WHERE path = '$fs/busybox-tool'" 2>/dev/null | grep -q '/'; }
if command -v sqlite3 >/dev/null; then
	within 30 typed || fail "no type: $(sqlite3 "$tmp/state/holdfast.db" 'SELECT path, type FROM unexpected_binaries')"
	ours=$(sqlite3 "$tmp/state/holdfast.db" "SELECT path FROM unexpected_binaries WHERE path LIKE '$prefix/%'")
	[ -z "$ours" ] || fail "it does not trust itself: $ours"
fi

hf trust list --json | grep -F "$prefix/sbin/holdfast" | grep -q 'DaemonSet' || fail "what the image brought is not trusted: $(hf trust list --json)"

# Its end is an end: told, clean, nothing left behind; the next finds what it needs and installs nothing.
podman stop -t 20 pod >/dev/null
within 20 ended pod || fail "it does not end"
hf status >/dev/null 2>&1
[ $? = 1 ] || fail "there is a monitor after its pod has ended"
was=$(stat -c %i "$prefix/sbin/holdfast")
podman start pod >/dev/null
within 60 green || die "no second start: $(said pod)"
[ "$(stat -c %i "$prefix/sbin/holdfast")" = "$was" ] || fail "it was installed again"
hf history --json --kind gap >"$tmp/gaps"
line_of "$tmp/gaps" '"monitor"' '"stopped' || fail "the time between is no gap, or no clean end: $(cat "$tmp/gaps")"

# What somebody changed in it is put right at the next start, beside the one that runs.
podman stop -t 20 pod >/dev/null
printf x >>"$prefix/libexec/node"
podman start pod >/dev/null
within 60 green || die "no third start: $(said pod)"
cmp -s "$prefix/libexec/node" "$init/node" || fail "what was changed was not put right"

# A pod that is killed takes all its processes along.
podman kill -s KILL pod >/dev/null
within 20 ended pod
gone() { ! pgrep -f "^holdfast: |$prefix/sbin/holdfast" >/dev/null; }
within 20 gone || fail "processes are left: $(pgrep -af "$prefix")"
end
