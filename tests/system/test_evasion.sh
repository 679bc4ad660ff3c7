#!/bin/sh
# The evasion matrix: each way to change a file, to open a secret or to start a program unseen, done for real on ext4, xfs,
# btrfs, tmpfs and overlay under one monitor that enforces, and what came of it as a table. tests/system/evasion has the cases.
# usage: test_evasion.sh [peers]: with the other tools that are installed on the same cases (make evasion)
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/inside.sh"

evasion=$PWD/tests/system/evasion/evasion
[ -x "$evasion" ] || skip "no $evasion"
peers=${1:-} result_of=${2:-}
# One that gates starts itself cannot be there beside ours: a run of its own, with the starts alone.
if [ "$peers" = peers ] && command -v fapolicyd >/dev/null; then
	HOLDFAST_TEST_NS= "$0" fapolicyd "$tmp/fapolicyd" >"$tmp/fapolicyd.log" 2>&1 || {
		echo "fapolicyd: not tried:"
		tail -5 "$tmp/fapolicyd.log"
	}
fi

inside_make
put "$evasion" evasion
# A shell that does not look like one.
put "$busybox" tool
mkdir -p "$root/fs" "$root/layers" "$root/tmp" "$root/dev/shm"
mount -t tmpfs none "$root/result" || skip "no tmpfs"
mount -t tmpfs none "$root/dev/shm"
out=$root/result/out

# file_system TYPE SIZE MKFS...: at /fs/TYPE, its device also there
file_system() {
	mkdir "$root/fs/$1"
	truncate -s "$2" "$tmp/disk.$1"
	type=$1
	shift 2
	if "$@" "$tmp/disk.$type" >/dev/null 2>&1 && mount -o loop "$tmp/disk.$type" "$root/fs/$type" 2>"$tmp/mount.err"; then
		device=$(awk -v m="$root/fs/$type" '$2 == m {print $1}' /proc/mounts)
		mknod -m 600 "$root$device" b $(printf '%d %d' "0x$(stat -c %t "$device")" "0x$(stat -c %T "$device")")
	else
		echo "skipped: $type: $(cat "$tmp/mount.err" 2>/dev/null || echo "cannot be made here")"
		rmdir "$root/fs/$type"
	fi
}
file_system ext4 64M mkfs.ext4 -q -F
file_system xfs 320M mkfs.xfs -q -f
file_system btrfs 160M mkfs.btrfs -q -f
mkdir "$root/fs/tmpfs" && mount -t tmpfs none "$root/fs/tmpfs"
# Its layers lie on an ext4 as those of containers do, and are not guarded themselves.
mkdir "$root/layers/lower" "$root/layers/upper" "$root/layers/work" "$root/fs/overlay"
mount -t overlay -o "lowerdir=$root/layers/lower,upperdir=$root/layers/upper,workdir=$root/layers/work" none "$root/fs/overlay" || {
	echo "skipped: overlay: cannot be mounted here"
	rmdir "$root/fs/overlay"
}
"$evasion" payload </dev/null >/dev/null
[ $? = 42 ] || die "the payload does not run"

# What an attack mounts by a loop device, with the payload in it.
mkdir "$tmp/inner"
cp "$evasion" "$tmp/inner/x"
echo evil >>"$tmp/inner/x"
truncate -s 16M "$root/image"
mkfs.ext4 -q -F -d "$tmp/inner" "$root/image" >/dev/null 2>&1
mknod -m 600 "$root/dev/loop-control" c 10 237

inside_enter
inside 'evasion prepare'
[ "$result" = 0 ] || die "prepare: $(cat "$root/result/$n.out")"
guarded='/usr, /lib, /lib64, /fs'

# fapolicyd under the same conditions: it trusts what lies in /usr and /lib, and refuses every other start.
run_fapolicyd() {
	put "$(command -v fapolicyd)" fapolicyd
	mkdir -p "$root/etc/fapolicyd/rules.d" "$root/etc/fapolicyd/trust.d" "$root/var/lib/fapolicyd" "$root/run/fapolicyd" "$root/usr/share"
	[ ! -d /usr/share/fapolicyd ] || cp -r /usr/share/fapolicyd "$root/usr/share/"
	grep -E '^(root|fapolicyd):' /etc/passwd >"$root/etc/passwd"
	grep -E '^(root|fapolicyd):' /etc/group >"$root/etc/group"
	printf '%s\n' 'permissive = 0' 'nice_val = 14' 'q_size = 2048' 'uid = root' 'gid = root' 'do_stat_report = 0' 'detailed_report = 0' \
		'db_max_size = 50' 'subj_cache_size = 1549' 'obj_cache_size = 8191' 'watch_fs = ext4,xfs,btrfs,tmpfs,overlay' 'trust = file' \
		'integrity = sha256' 'syslog_format = rule,dec,perm,auid,pid,exe,:,path,ftype,trust' 'rpm_sha256_only = 0' \
		'allow_filesystem_mark = 0' >"$root/etc/fapolicyd/fapolicyd.conf"
	printf '%s\n' 'allow perm=any all : trust=1' 'deny perm=execute all : all' 'allow perm=open all : all' >"$root/etc/fapolicyd/compiled.rules"
	(cd "$root" && find usr/bin lib lib64 usr/lib fs -type f 2>/dev/null | while read -r f; do
		[ "$(head -c4 "$f" | od -An -tx1 | tr -d ' \n')" = 7f454c46 ] || continue
		# Where a start finds it, too: /bin is a link to it.
		printf '/%s %s %s\n' "$f" "$(stat -c %s "$f")" "$(sha256sum <"$f" | cut -d' ' -f1)"
	done) >"$root/etc/fapolicyd/fapolicyd.trust"
	inside 'fapolicyd; busybox sleep 1'
	pids="$pids $(cat "$root/run/fapolicyd.pid" 2>/dev/null)"
	refuses() { inside 'cp /usr/bin/act /fs/ext4/unknown; echo >>/fs/ext4/unknown; /fs/ext4/unknown linger 1' && [ "$result" = 126 ]; }
	within 20 refuses || die "fapolicyd does not refuse: $(cat "$root/result/$n.out")"
	inside_begin 'evasion starts -o /result/table'
	inside_end 120
	cat "$root/result/$n.out"
	kill "$(cat "$root/run/fapolicyd.pid")"
	cp "$root/result/table" "$result_of" || exit 1
	exit 0
}
[ "$peers" != fapolicyd ] || run_fapolicyd

# auditd with the rules that people write: what changes below a folder, who opens a secret, every start. Its rules and its socket
# are the whole machine's: only where nobody else has them, and put back.
audited=
audit_was() { awk -v k="$1" '$1 == k {print $2}' "$tmp/audit.was"; }
audit_may() {
	command -v auditd >/dev/null && command -v auditctl >/dev/null || return 1
	auditctl -s >"$tmp/audit.was" 2>&1 || { echo "not tried: auditd: $(cat "$tmp/audit.was")"; return 1; }
	# One that was killed is named until the next takes its place.
	if { [ "$(audit_was pid)" != 0 ] && [ -e "/proc/$(audit_was pid)" ]; } || [ "$(auditctl -l)" != "No rules" ] || ! grep -q '^enabled [01]$' "$tmp/audit.was"; then
		echo "not tried: auditd: somebody else's audit daemon or rules are here"
		return 1
	fi
	put "$(command -v auditctl)" auditctl
	cp "$(dirname "$0")/evasion/audit.awk" "$root/audit.awk"
	audited=yes
}
audit_end() {
	kill "$audit" 2>/dev/null
	wait "$audit"
	auditctl -D >/dev/null 2>&1
	auditctl -e "$(audit_was enabled)" -b "$(audit_was backlog_limit)" >/dev/null 2>&1
	finish
}
audit_rules() {
	(
		cd "$root" || exit
		for at in fs/*/*/w; do printf '%s\n' "-w /$at -p wa -k change"; done
		for key in fs/*/secret-*/w/key; do printf '%s\n' "-w /$key -p r -k secret"; done
	)
	printf '%s\n' '-a always,exit -F arch=b64 -S execve,execveat -k start' '-a always,exit -F arch=b32 -S execve,execveat -k start'
}
audit_begin() {
	mkdir "$tmp/audit" "$tmp/audit/plugins"
	printf '%s\n' 'local_events = yes' 'write_logs = yes' "log_file = $root/result/audit.log" 'log_group = root' \
		'log_format = RAW' 'flush = SYNC' 'num_logs = 0' 'max_log_file = 200' 'max_log_file_action = IGNORE' 'space_left = 2' \
		'space_left_action = IGNORE' 'admin_space_left = 1' 'admin_space_left_action = IGNORE' 'disk_full_action = IGNORE' \
		'disk_error_action = IGNORE' 'name_format = NONE' "plugin_dir = $tmp/audit/plugins" 'q_depth = 4000' 'priority_boost = 0' >"$tmp/audit/auditd.conf"
	auditctl -b 65536 >/dev/null
	auditd -n -c "$tmp/audit" >"$tmp/audit.err" 2>&1 &
	audit=$!
	trap audit_end EXIT
	within 20 test -s "$root/result/audit.log" || { fail "auditd: $(cat "$tmp/audit.err")"; return; }
	audit_rules >"$root/audit.rules"
	nsenter --mount="/proc/$inner/ns/mnt" /usr/bin/auditctl -R /audit.rules >"$tmp/audit.err" 2>&1 || fail "auditctl: $(cat "$tmp/audit.err")"
}

keys='ungated: kill, scripts: enforce, libraries: all'
left_out='exclude: ["/fs/*/*/out"]'
secrets='sensitive: ["/fs/*/secret-*/w/key"]'
inside_init "$keys" "$left_out" "$secrets"
with=
if [ "$peers" = peers ]; then
	[ ! -s "$tmp/fapolicyd" ] || { cp "$tmp/fapolicyd" "$root/result/fapolicyd" && with="fapolicyd@/result/fapolicyd"; }
	if command -v inotifywait >/dev/null; then
		put "$(command -v inotifywait)" inotifywait
		with="$with inotifywait=/result/inotifywait"
	fi
	if command -v aide >/dev/null; then
		put "$(command -v aide)" aide
		printf '%s\n' database_in=file:/state/aide.db database_out=file:/state/aide.db gzip_dbout=no report_url=stdout \
			'/fs p+u+g+s+m+c+i+n+sha256+xattrs+acl' '!/fs/[^/]+/[^/]+/out' >"$root/etc/aide.conf"
		inside 'aide --config=/etc/aide.conf --init'
		[ "$result" = 0 ] && with="$with AIDE!'aide --config=/etc/aide.conf --check'" || cat "$root/result/$n.out"
	fi
	for peer in fapolicyd inotifywait aide auditd; do command -v $peer >/dev/null || echo "not installed: $peer"; done
	audit_may && with="$with auditd%'busybox awk -f /audit.awk /result/audit.log'"
	# They are vouched for as well.
	rm -f "$root/state"/holdfast* "$root/state"/signing*
	inside_init "$keys" "$left_out" "$secrets"
	[ -z "$audited" ] || audit_begin
	if command -v inotifywait >/dev/null; then
		inside 'inotifywait -m -r -e open,modify,attrib,close_write,create,delete,move --exclude /out --format %e:%w%f /fs >/result/inotifywait 2>/result/inotifywait.err & echo $! >/result/inotifywait.pid'
		pids="$pids $(cat "$root/result/inotifywait.pid")"
		within 60 grep -q established "$root/result/inotifywait.err" || fail "inotifywait"
	fi
fi
# Not in the baseline, and opened by the driver before there is a monitor.
if [ -d "$root/fs/ext4" ]; then mkdir "$root/fs/ext4/early" && cp "$tmp/inner/x" "$root/fs/ext4/early/x"; fi
: >"$out"
inside_begin "evasion run /result/out -o /result/table $with"
within 20 test -e "$root/result/ready" || die "no driver: $(cat "$root/result/$n.out")"
judge "$keys" "$left_out" "$secrets"
: >"$root/result/go"
inside_end 120
cat "$root/result/$n.out"
[ "$result" = 0 ] || fail "the matrix is worse than promised"
stop
end
