#!/bin/sh
# What intruders do (actions.table), done in a real container of podman, each in a cgroup of its own below the container's:
# just the rules that should fire do, and nothing else of Warning or above; all of it names the container.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/containers.sh"
. "$(dirname "$0")/actions.sh"
act=${ACT:-$PWD/tests/system/act}
[ -x "$act" ] || skip "no program at $act"
command -v jq >/dev/null || skip "no jq"
here=$(cd "$(dirname "$0")" && pwd)
shipped=$(cd "$here/../../conf/rules" && pwd)

own_fs
cgroups v2
podman_setup
# An image with everything that the actions want; its libraries are the host's.
make_image localhost/actions:1
r=$tmp/root
(cd "$r" && mkdir -p usr/bin usr/lib boot dev/shm etc/cron.d etc/ssh etc/pam.d etc/sudoers.d etc/systemd/system home/bob home/tmp/.ssh \
	proc root/.ssh run sys tmp usr/local var/lib/rpm var/log var/spool/cron)
for applet in $("$busybox" --list); do ln -s /bin/busybox "$r/usr/bin/$applet" 2>/dev/null; done
rm -rf "$r/bin/sh" "$r/usr/bin/sh" && cp "$(readlink -f /bin/sh)" "$r/usr/bin/sh" && ln -s ../usr/bin/sh "$r/bin/sh"
for d in lib lib64; do
	[ ! -L /$d ] || cp -P /$d "$r/"
done
cp "$act" "$r/usr/bin/act"
for name in $action_names; do
	ln -sf act "$r/usr/bin/$name"
done
cp "$act" "$r/usr/bin/movable"
echo key >"$r/root/.ssh/id_rsa"
echo old >"$r/var/log/syslog"
echo history >"$r/root/.ash_history"
echo ': profile' >"$r/root/.bashrc"
printf 'root:x:0:0::/root:/bin/sh\ndaemon:x:1:1::/:/bin/sh\nbob:x:1000:1000::/home/bob:/bin/sh\n' >"$r/etc/passwd"
printf 'root:*:19000::::::\n' >"$r/etc/shadow" && chmod 600 "$r/etc/shadow"
image=localhost/actions:2
tar -C "$r" -c . | podman import - "$image" >/dev/null 2>"$tmp/import.err" || die "podman import: $(cat "$tmp/import.err")"

mkdir "$tmp/run"
grep -v '^#' "$here/actions.table" >"$tmp/actions"
cat >"$tmp/run/all.sh" <<'END'
PATH=/usr/bin:/bin
export PATH HOME=/root
while IFS='|' read -r name rules here theirs command; do
	mkdir -p "/sys/fs/cgroup/act-$name" || exit 1
	# The second exec is what is looked at in its new cgroup; its children are born there.
	sh -c 'echo $$ >"/sys/fs/cgroup/act-$0/cgroup.procs"; exec sh -c "$1"' "$name" "busybox usleep 20000; $command" </dev/null
done </run/test/actions
echo done >/run/test/done
END

# All that is told of as calls. What overlayfs does to write to a file of the image, or to remove one, is none.
cat >"$tmp/last.yaml" <<'END'
- rule: every call
  desc: x
  condition: >
    container.id != host and evt.type in (open, openat, creat, mkdir, mkdirat, rename, renameat, renameat2, unlink, unlinkat,
      rmdir, chmod, fchmod, fchmodat, mknod, mknodat, link, linkat, symlink, symlinkat)
  output: "%evt.type %fd.name"
  priority: DEBUG
END
g=$tmp/g
published=$(published "${FALCO_RULES:-}")
[ "$published" ] || echo "FALCO_RULES names no folder with the published rule files: only our own are looked at"
config "containers:" "  stores: [$fs/graph]" '  policies: [{image: "localhost/*", exec: observe}]' 'limits: {settle: 20ms}' \
	'exec: {mode: observe, trust: [baselines]}' 'sensitive: [/etc/shadow, /etc/sudoers, /root/.ssh, /root/.bashrc]' \
	"rules: {files: [$published${published:+$here/published.yaml, }$shipped/holdfast.yaml, $shipped/network.yaml, $shipped/users.yaml, $here/actions.yaml, $tmp/last.yaml], repeat: 0}"
hf init -q 2>"$err" || die "init"
hf init --image "containers-storage:[$fs/graph]$image" actions >/dev/null 2>"$err" || die "init --image: $(cat "$err")"
watch
calls=1
hf status --json | grep -qF '"calls":{"source":"BPF"' || calls=0
while IFS='|' read -r name rules here theirs command; do
	case $name in '?'*) [ $calls = 1 ] || continue ;; esac
	name=${name#\?}
	name=${name#@}
	[ "$here" = - ] || printf '%s|%s|%s|%s|%s\n' "$name" "$rules" "$here" "$theirs" "$command"
done <"$tmp/actions" >"$tmp/run/actions"

set -- --privileged --tmpfs /dev/shm:rw,exec -v "$tmp/run:/run/test" -v /usr/lib:/usr/lib:ro
[ ! -d /usr/lib64 ] || set -- "$@" -v /usr/lib64:/usr/lib64:ro
run_container deed "$@" "$image" sh /run/test/all.sh || {
	cat "$tmp/podman.err"
	skip "podman cannot start a container here"
}
[ -e "$tmp/run/done" ] || die "not all was done: $(cat "$tmp/podman.out" "$tmp/podman.err")"
# Somebody types there, until it was seen.
containers="$containers typed"
podman run -d -t --name typed "$@" "$image" sh -c 'while [ ! -e /run/test/seen ]; do busybox usleep 20000; done' >/dev/null 2>"$tmp/podman.err" ||
	fail "podman run -t: $(cat "$tmp/podman.err")"
told '"rule":"Interactive shell in a container"' 'in container typed'
never '"rule":"Shell without a login"'
touch "$tmp/run/seen"
settled

# "NAME<tab>PRIORITY<tab>RULE<tab>CONTAINER" of everything done there
hf history --json --kind alert | jq -r '
	select(.process.cgroup // "" | contains("/act-")) |
	[(.process.cgroup | split("/act-")[1] | split("/")[0]), .priority, .rule, .container.name] | @tsv' | sort -u >"$tmp/seen"
while IFS='|' read -r name rules here theirs command; do
	[ "$here" = = ] || rules=$here
	{
		printf '%s\n' "$rules" | tr ';' '\n'
		[ ! "$published" ] || of_place podman "$name" "$theirs"
	} >"$tmp/want"
	wrong "$name" "$tmp/want" "$tmp/seen"
done <"$tmp/run/actions" >"$tmp/wrong"
n=$(wc -l <"$tmp/run/actions")
while read -r line; do fail "$line"; done <"$tmp/wrong"
calls() { # NAME: what was told of
	hf history --json --kind alert | jq -r --arg name "$1" '
		select(.rule == "every call" and (.process.cgroup // "" | endswith("/act-" + $name))) | .output' | sort -u
}
while read -r name call; do
	[ "$(calls "$name")" = "$call" ] || fail "$name: not just $call but $(calls "$name")"
done <<'END'
passwd openat /etc/passwd
history-rm unlinkat /root/.ash_history
log-emptied openat /var/log/syslog
rpm openat /var/lib/rpm/new
END
echo "$n actions"
[ "$n" -ge 40 ] || fail "just $n actions"
cut -f4 "$tmp/seen" | sort -u >"$tmp/names"
[ "$(cat "$tmp/names")" = deed ] || fail "containers: $(cat "$tmp/names")"
stop
end
