#!/bin/sh
# A machine of systemd-nspawn under each version of cgroups: what ran in it has its name. Where systemd is not the first process
# nobody makes machine-NAME.scope, so the test does, as systemd lays it out: with cgroup v1 in its own hierarchy alone, or in
# those of controllers too, whatever its place in others; with both versions in both; with cgroup v2 in the one there is.
. "$(dirname "$0")/lib.sh"

command -v systemd-nspawn >/dev/null || skip "no systemd-nspawn"
busybox=$(command -v busybox) || skip "no busybox"
if ldd "$busybox" >/dev/null 2>&1; then skip "busybox is not static"; fi
in_chroot && skip "in a chroot systemd-nspawn cannot enter what it made"

scopes=
remove_scopes() {
	for scope in $scopes; do
		find "$scope" -depth -type d -exec rmdir {} \; 2>/dev/null
		rmdir "${scope%/*}" 2>/dev/null
	done
}
machine_finish() {
	remove_scopes
	finish
}
trap machine_finish EXIT

# On the file system that is guarded.
root=$tmp/root
mkdir "$root" "$root/bin" "$root/etc" "$root/usr"
cp "$busybox" "$root/bin/busybox"
for applet in sh true cp; do ln -s busybox "$root/bin/$applet"; done
: >"$root/etc/os-release"

# machine NAME CGROUP... -- PROGRAM ARGUMENT...: runs it to its end in these cgroups
machine() {
	name=$1
	here=
	shift
	while [ "$1" != -- ]; do
		mkdir -p "$1" || return
		here="$here $1/cgroup.procs"
		scopes="$scopes $1"
		shift
	done
	shift
	root=$root name=$name here=$here sh -c 'for procs in $here; do echo $$ >"$procs" || exit 99; done
		exec systemd-nspawn --register=no --keep-unit --quiet --machine="$name" --directory="$root" "$@"' sh "$@" \
		>"$tmp/nspawn" 2>&1 </dev/null
}

# started MACHINE PATH WORD...
started() {
	hf history --json --kind exec --container "$1" 2>"$err" | grep -F "\"path\":\"$2\"" >"$tmp/history"
	shift 2
	for word; do
		grep -qF -- "$word" "$tmp/history" || return 1
	done
	[ -s "$tmp/history" ]
}

# story NAME CGROUP...
story() {
	name=$1
	machine "$@" -- /bin/sh -c 'cp /bin/busybox /dropped; for i in 1 2 3; do /dropped true; done; exit 7'
	status=$?
	[ $status = 7 ] || fail "$name: exit status $status: $(cat "$tmp/nspawn")"
	for path in /bin/busybox /dropped; do
		within 20 started "$name" "$path" '"runtime":"nspawn"' "\"id\":\"$name\"" ||
			fail "$name: no $path: $(hf history --json --kind exec | grep -F "\"path\":\"$path\"" | tail -2)"
	done
	remove_scopes
}

config 'exec: {mode: observe, trust: [explicit]}' "$@"
hf init >/dev/null 2>"$err" || die "init"

v1=/sys/fs/cgroup
machine=machine.slice/machine
stories=0
watch
if grep -q -e "- cgroup .*name=systemd" /proc/self/mountinfo && [ -w $v1/systemd/cgroup.procs ]; then
	if [ -w $v1/unified/cgroup.procs ]; then
		story hybrid $v1/systemd/$machine-hybrid.scope $v1/unified/$machine-hybrid.scope
		# Where it does not see the other version it stays wherever it was in it.
		mkdir "$tmp/unified" && mount --move $v1/unified "$tmp/unified" 2>/dev/null ||
			{ mount --bind $v1/unified "$tmp/unified" && umount $v1/unified; } || die "umount"
		story elsewhere $v1/systemd/$machine-elsewhere.scope "$tmp/unified/elsewhere.slice/elsewhere.service"
	fi
	story own $v1/systemd/$machine-own.scope
	story controllers $v1/systemd/$machine-controllers.scope $v1/pids/$machine-controllers.scope $v1/memory/$machine-controllers.scope
	stories=1
	# systemd-nspawn keeps its hierarchy in step with the other version where it can.
	mkdir "$tmp/systemd" && mount --bind $v1/systemd "$tmp/systemd" && scopes="$scopes $tmp/systemd/$machine-unified.scope"
fi
umount -R $v1 2>/dev/null || umount -l $v1 2>/dev/null
if mount -t cgroup2 none $v1 2>/dev/null; then
	story unified $v1/$machine-unified.scope
	stories=1
fi
stop
[ $stories -gt 0 ] || skip "no cgroups to put a machine in"
end
