#!/bin/sh
# What intruders do, done one after the other by small programs in a root of their own, on the host and in cgroups named
# as container runtimes name theirs; for each: just the rules that should fire do, and nothing else of Warning or above.
# Then what happens on a quiet day, compressed: nothing of Warning or above at all.
# shellcheck source=/dev/null
if [ "${1:-}" != inside ]; then
	. "$(dirname "$0")/lib.sh"
	. "$(dirname "$0")/root.sh"
	act=${ACT:-$PWD/tests/system/act}
	[ -x "$act" ] || skip "no program at $act"
	command -v jq >/dev/null || skip "no jq"
	here=$(cd "$(dirname "$0")" && pwd)
	make_cgroup
	clean() {
		remove_cgroup
		finish
	}
	trap clean EXIT
	make_root "$tmp/root"
	cp "$act" "$tmp/root/usr/bin/act"
	cp "$here/actions.sh" "$here/actions.yaml" "$here/published.yaml" "$here/actions.table" "$tmp/root/etc/"
	mkdir "$tmp/root/etc/published"
	cp "${FALCO_RULES:-/none}"/*.yaml "$tmp/root/etc/published" 2>/dev/null ||
		echo "FALCO_RULES names no folder with the published rule files: only our own are looked at"
	cp "$here/../../conf/rules/holdfast.yaml" "$tmp/root/etc/shipped.yaml"
	cp "$here/../../conf/rules/network.yaml" "$tmp/root/etc/network.yaml"
	cp "$0" "$tmp/root/inside.sh"
	enter_root "$tmp/root" sh /inside.sh inside "$cgroup"
	exit $?
fi

cgroup=$2
container=$(printf 'c%.0s' $(seq 64))
failed=0
PATH=/usr/bin:/bin:/host
export PATH
. /etc/actions.sh
fail() {
	failed=$((failed + 1))
	printf 'FAIL: %s\n' "$*"
}
within() {
	end=$(($(date +%s) + $1))
	shift
	until "$@"; do
		[ "$(date +%s)" -lt $end ] || return 1
		busybox usleep 20000
	done
}

# --- the monitor

published=$(published /etc/published)
cat >/state/conf.yaml <<END
paths: [/etc, /bin, /usr/bin, /usr/local, /root, /home, /boot, /var/log, /var/spool/cron, /dev, /tmp, /var/lib/rpm]
sensitive: [/etc/shadow, /etc/sudoers, /root/.ssh, /root/.bashrc]
store: {path: /state/holdfast.db}
control: /state/control
exec: {mode: observe, trust: [baselines]}
rules: {files: [$published${published:+/etc/published.yaml, }/etc/shipped.yaml, /etc/network.yaml, /etc/actions.yaml], repeat: 0}
outputs: [{type: file, path: /state/alerts.json}]
END
hf() {
	/usr/local/bin/holdfast -c /state/conf.yaml "$@"
}
for name in $action_names; do
	rm -f /usr/bin/$name
	ln -s act /usr/bin/$name
done
cp /usr/bin/act /usr/bin/movable
echo key >/root/.ssh/id_rsa
echo old >/var/log/syslog
echo history >/root/.ash_history
echo ': profile' >/root/.bashrc
if [ -x /host/ssh-keygen ]; then
	ssh-keygen -q -t ed25519 -N '' -f /etc/ssh/ssh_host_ed25519_key
	ssh-keygen -q -t ed25519 -N '' -f /root/.ssh/id_test && cp /root/.ssh/id_test.pub /root/.ssh/authorized_keys
	chmod 700 /root /root/.ssh
	mkdir -p /run/sshd /var/empty
fi
hf init -q || { echo "init"; exit 1; }
/usr/local/bin/holdfast -c /state/conf.yaml watch --json >/state/out 2>/state/err &
monitor=$!
within 30 grep -q '"kind":"note"' /state/out || { cat /state/err; exit 1; }
hf status --json | grep -q '"name":"fanotify"' || { echo "SKIP: no fanotify here"; kill $monitor; exit 77; }

# --- what is done: see actions.table

no_calls=0
hf status --json | grep -qF '"calls":{"source":"BPF"' || {
	no_calls=1
	echo "no BPF program for system calls here: what only they tell is left out"
}
grep -v '^#' /etc/actions.table | while IFS= read -r row; do
	case $row in '?'*) [ $no_calls = 1 ] || printf '%s\n' "${row#?}" ;; *) printf '%s\n' "$row" ;; esac
done >/state/actions

do_action() { # NAME COMMAND
	where=$cgroup/$1
	case $1 in @*) where=$cgroup/$1/$container ;; esac
	mkdir -p "$where"
	# The second exec is what is looked at in its new cgroup; its children are born there.
	sh -c 'echo $$ >"$0/cgroup.procs"; exec sh -c "$1"' "$where" "busybox usleep 20000; $2"
}

settled() {
	hf status --json >/state/status 2>/dev/null
	jq -e '.live.pending == 0 and .live.merging == 0 and .alerts.queue == 0 and .store.queue == 0' /state/status >/dev/null
}

# alerts: "NAME<tab>PRIORITY<tab>RULE" of everything done here
alerts() {
	hf history --json --kind alert | jq -r --arg top "${cgroup##*/}" '
		select(.process.cgroup // "" | contains($top)) |
		[(.process.cgroup | split($top + "/")[1] | split("/")[0]), .priority, .rule] | @tsv' | sort -u
}

while IFS='|' read -r name rules _ _ command; do
	do_action "$name" "$command" </dev/null >>/state/log 2>&1
done </state/actions
busybox usleep 1500000
within 20 settled || fail "not settled"
alerts >/state/seen
while IFS='|' read -r name rules _ theirs command; do
	{
		printf '%s\n' "$rules" | tr ';' '\n'
		[ ! "$published" ] || of_place host "$name" "$theirs"
	} >/state/want
	wrong "$name" /state/want /state/seen
done </state/actions >/state/wrong
done_n=$(wc -l </state/actions)
while read -r line; do fail "$line"; done </state/wrong
echo "$done_n actions"
[ "$done_n" -ge 40 ] || fail "just $done_n actions"

# Outputs got what history has (others on this machine are at work too).
mine() {
	jq -r --arg top "${cgroup##*/}" 'select(.process.cgroup // "" | contains($top)) | .uuid' | sort
}
hf history --json --kind alert | mine >/state/stored
jq -r .uuid /state/alerts.json | sort >/state/sent
[ -s /state/stored ] || fail "nothing is stored"
[ "$(comm -23 /state/stored /state/sent | wc -l)" = 0 ] || fail "in history, and not sent: $(comm -23 /state/stored /state/sent | wc -l)"

# One alert explained: its rule, who did it, and an exception that rules take and that silences it.
id=$(hf history --json --kind alert | jq -r 'select(.rule == "Cron job planted") | .id' | head -1)
hf explain "$id" >/state/explained 2>&1 || fail "explain: $(cat /state/explained)"
for word in 'Cron job planted' /etc/shipped.yaml: 'lineage' '/etc/cron.d/x' 'exceptions:' 'other alerts of this rule'; do
	grep -qF -- "$word" /state/explained || fail "explain: no $word in $(cat /state/explained)"
done
hf explain --json "$id" | jq -r .exception >/state/exception.yaml
hf rules check /etc/shipped.yaml /etc/actions.yaml /state/exception.yaml || fail "the exception is no rule file"
row=$(hf history --json --kind alert | jq -r "select(.id == $id) | .event")
raised() { # FILE...: of the rule about that very row
	hf rules test --since 1h --json "$@" | jq -r "select(.id == $row and .rule == \"Cron job planted\") | .id" | wc -l
}
if [ "$row" != null ]; then
	[ "$(raised /etc/shipped.yaml)" -ge 1 ] || fail "rules test: it is not raised"
	[ "$(raised /etc/shipped.yaml /state/exception.yaml)" = 0 ] || fail "the exception does not silence it"
fi
# Of what is in no row of its own, and not in the output, the values that decided it.
while IFS='|' read -r about rule words; do
	id=$(hf history --json --kind alert | jq -r --arg rule "$rule" --arg in "/$about" '
		select(.rule == $rule and (.process.cgroup // "" | contains($in))) | .id' | head -1)
	[ "$id" ] || [ $no_calls = 1 ] || fail "no alert of $rule in $about"
	[ "$id" ] || continue
	hf explain "$id" >/state/explained 2>&1 || fail "explain $rule: $(cat /state/explained)"
	printf '%s\n' "$words" | tr ';' '\n' | while read -r field value; do
		grep -E "^$field +.*$value" /state/explained >/dev/null || echo "explain $rule: no $field $value in $(cat /state/explained)"
	done
done >/state/wrong <<'END'
log-emptied|act log emptied|evt.type open;evt.arg.flags O_TRUNC;fd.directory /var/log
symlink|act symlink to secret|evt.type symlink;evt.arg.target /etc
@module|Kernel module loaded from a container|evt.type init_module
become|act setuid|evt.type setuid;evt.arg.uid
@dup|act stream onto a socket|evt.type dup2;fd.type ipv4
END
while read -r line; do fail "$line"; done </state/wrong
hf explain 999999999 2>/dev/null && fail "explain: there is no such alert"

# --- a quiet day

quiet() { # NAME COMMAND
	do_action "quiet-$1" "$2" </dev/null >>/state/quiet.log 2>&1 || fail "quiet $1: $(tail -3 /state/quiet.log)"
}
tool() {
	[ -x "/host/$1" ] || [ -x "/hostsbin/$1" ]
}
PATH=/host:/hostsbin:/usr/bin:/bin
export HOME=/root

# A package with configuration, a program, a cron job and maintainer scripts.
if tool dpkg && tool dpkg-deb; then
	mkdir -p /state/pkg/DEBIAN /state/pkg/etc/cron.daily /state/pkg/opt/bin /state/pkg/etc/pam.d /var/lib/dpkg/info /var/lib/dpkg/updates
	: >/var/lib/dpkg/status
	printf 'Package: quiet\nVersion: 1\nArchitecture: all\nMaintainer: t <t@t>\nDescription: t\n' >/state/pkg/DEBIAN/control
	printf '#!/bin/sh\necho configured >/etc/quiet.conf\nchmod u+s /opt/bin/tool\n' >/state/pkg/DEBIAN/postinst
	chmod 755 /state/pkg/DEBIAN/postinst
	echo a >/state/pkg/etc/quiet.default
	printf '#!/bin/sh\n' >/state/pkg/etc/cron.daily/quiet
	echo 'auth required x.so' >/state/pkg/etc/pam.d/quiet
	cp /usr/bin/act /state/pkg/opt/bin/tool
	quiet package 'dpkg-deb -b /state/pkg /state/quiet.deb && dpkg --force-script-chrootless --force-depends -i /state/quiet.deb'
	[ -e /etc/quiet.conf ] || fail "the package was not installed: $(tail -5 /state/quiet.log)"
else
	echo "no dpkg: no package is installed"
fi
# Logs are rotated.
if tool logrotate; then
	printf '/var/log/day {\nrotate 2\ncreate\nsize 1\n}\n' >/state/rotate.conf
	echo "a line" >/var/log/day
	quiet logrotate 'logrotate -f -s /state/rotate.state /state/rotate.conf'
	[ -e /var/log/day.1 ] || fail "the log was not rotated"
else
	echo "no logrotate: no log is rotated"
fi
# Cron runs a job that writes its log.
quiet cron '/usr/bin/run-parts /etc/cron.daily; sh -c "echo run >>/var/log/cron.log"'
# Work: a clone, and a small build that runs what it built.
if tool git; then
	quiet git 'mkdir -p /home/bob/src && cd /home/bob/src && git init -q one && cd one && git config user.email t@t && git config user.name t &&
		echo "int main(void) { return 0; }" >main.c && git add main.c && git commit -qm one && cd .. && git clone -q one two'
	[ -e /home/bob/src/two/main.c ] || fail "nothing was cloned"
else
	echo "no git: nothing is cloned"
fi
if tool gcc; then
	mkdir -p /home/bob/src/build
	quiet build 'cd /home/bob/src/build && echo "int main(void) { return 0; }" >main.c && gcc -c main.c && gcc -o program main.o && ./program && cp program /home/bob/'
	[ -x /home/bob/program ] || fail "nothing was built: $(tail -3 /state/quiet.log)"
else
	echo "no gcc: nothing is built"
fi
# Somebody logs in over ssh, looks around and leaves.
if tool sshd && tool ssh && tool ssh-keygen; then
	cat >/state/login.sh <<-'END'
		$(command -v sshd) -D -e -f /state/sshd.conf &
		server=$!
		n=0
		until ssh -T -F none -p "$1" -i /root/.ssh/id_test -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null \
			-o ConnectTimeout=5 root@127.0.0.1 'id >/home/bob/logged-in; ls /etc >/dev/null; cat /etc/passwd >/dev/null'; do
			n=$((n + 1))
			[ $n -lt 100 ] || break
			busybox usleep 100000
		done
		kill $server
		wait $server
		[ $n -lt 100 ]
	END
	port=$((20000 + $$ % 20000))
	printf 'Port %s\nListenAddress 127.0.0.1\nHostKey /etc/ssh/ssh_host_ed25519_key\nUsePAM no\nStrictModes no\nPidFile none\n' \
		$port >/state/sshd.conf
	quiet ssh "sh /state/login.sh $port"
	[ -e /home/bob/logged-in ] || fail "nobody logged in: $(tail -5 /state/quiet.log)"
else
	echo "no sshd: nobody logs in"
fi
# An editor that saves as editors do, and somebody who looks around.
quiet work 'mkdir -p /home/bob/docs; echo a >/home/bob/docs/a.new; mv /home/bob/docs/a.new /home/bob/docs/a; ls -R /etc /home >/dev/null; cat /etc/passwd >/dev/null; rm -r /home/bob/docs'
busybox usleep 1500000
within 20 settled || fail "not settled"
alerts | grep '^quiet-' | grep -E '	(Emergency|Alert|Critical|Error|Warning)	' >/state/noise
while read -r line; do fail "a quiet day: $line"; done </state/noise
alerts | grep -c '^quiet-' | sed 's/$/ alerts below Warning on a quiet day/'

kill $monitor
wait $monitor || fail "the monitor ended with $?"
[ $failed = 0 ] || { tail -20 /state/err; echo "$failed checks failed"; exit 1; }
echo "all checks passed"
