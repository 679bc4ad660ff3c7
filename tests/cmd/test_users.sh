#!/bin/sh
# People: files of utmp(5) that grow, su and a program with the set-uid bit; each deed is told once, each rule about
# people fires for its own and for nothing else, and history knows what one person did.
. "$(dirname "$0")/lib.sh"
make_tree
command -v utmpdump >/dev/null || skip "no utmpdump"
what="the test"
chmod 711 "$tmp"
# All hours are unusual: the clock must not decide.
printf -- '- macro: users_hours\n  condition: (evt.num = 0)\n' >"$tmp/hours.yaml"
printf 'users: {files: [%s/utmp, %s/wtmp, %s/btmp]}\nrules: {files: [%s, %s/hours.yaml], repeat: 0}\n' "$tmp" "$tmp" "$tmp" \
	"$(cd "$here/../.." && pwd)/conf/rules/users.yaml" "$tmp" >>"$tmp/holdfast.yaml"

# record FILE TYPE PID LINE USER HOST: of now, and of so many seconds ahead
ahead=0
record() {
	printf '[%s] [%05d] [ts/x] [%-8s] [%-12s] [%-20s] [0.0.0.0        ] [%s]\n' "$2" "$3" "$5" "$4" "$6" \
		"$(date -u -d "@$(($(date +%s) + ahead))" +%Y-%m-%dT%H:%M:%S,000000+00:00)" | utmpdump -r 2>/dev/null >>"$tmp/$1"
}
start() { # SENSOR [OPTION...]
	: >"$tmp/watch"
	"$holdfast" -c "$tmp/holdfast.yaml" --db "$tmp/state/holdfast.db" watch --json --sensor "$@" --for 5m >"$tmp/watch" \
		2>"$tmp/watch.err" &
	pids=$!
	until_true 20 grep -q '"kind":"note"' "$tmp/watch"
}
stop() {
	kill $pids
	wait $pids
	is 0 $? "exit status of watch"
	pids=
}
lines() { # WORD...: how many lines hold all of them
	cp "$tmp/watch" "$tmp/lines"
	for word; do
		grep -F -e "$word" "$tmp/lines" >"$tmp/lines.2"
		mv "$tmp/lines.2" "$tmp/lines"
	done
	wc -l <"$tmp/lines"
}
are() { # NUMBER WORD...
	n=$1
	shift
	[ "$(lines "$@")" -eq "$n" ]
}
told() { # NUMBER WORD...
	until_true 20 are "$@" || fail "not $*, but $(n=$1; shift; lines "$@")"
}

# --- files
hf 0 init
record wtmp 7 4194001 pts/1 early 192.0.2.9
record btmp 6 4194001 ssh:notty early 192.0.2.9
start inotify || {
	cat "$tmp/watch.err"
	fail "watch does not begin"
	finished
}
record wtmp 7 4194002 pts/7 alice 192.0.2.1
for n in 1 2 3 4 5; do record btmp 6 419410$n ssh:notty bob 192.0.2.2; done
record wtmp 8 4194002 pts/7 "" ""
told 1 '"kind":"session"' '"operation":"login"' '"account":"alice"' '"remote":"192.0.2.1"' '"tty":"pts/7"' '"sources":["utmp"]'
told 1 '"operation":"logout"' '"account":"alice"'
told 5 '"operation":"login"' '"result":"failed"' '"account":"bob"'
told 1 '"failures":5' '"account":"bob"'
told 1 '"rule":"Login at an unusual hour"' alice
told 1 '"rule":"Many failed logins"' 192.0.2.2
record wtmp 7 4194003 pts/8 root 192.0.2.3
told 1 '"rule":"Root logged in from elsewhere"' 192.0.2.3
# In order: what came before is told.
told 2 '"rule":"Login at an unusual hour"'
told 1 '"rule":"Many failed logins"'
told 0 early
told 0 '"rule":"Refused to become another"'
stop
hf 0 history --user alice --kind session
has alice
lacks bob
hf 0 history --user alice --json --kind session -n 1
has '"operation":"logout"'

# --- while it was down
ahead=5 # in whole seconds: not before the monitor's end
record wtmp 7 4194004 pts/9 carol 192.0.2.4
start inotify || fail "watch does not begin again"
told 1 '"operation":"login"' '"account":"carol"' '"text":"carol  pts/9  from 192.0.2.4"'
told 0 '"operation":"login"' '"account":"alice"'
stop
hf 0 history --user carol --kind session
has "while the monitor was not running"

# --- processes: by root, with the sensor of program starts
processes() {
	"$holdfast" -c "$tmp/holdfast.yaml" --db "$tmp/state/holdfast.db" status --json 2>/dev/null |
		grep -q '"file_systems":[1-9].*"trusted_digests":[1-9]'
}
# A terminal that is given to nobody, who does not know the password of root; su tells btmp, which is ours there.
ended() {
	! kill -0 $su 2>/dev/null
}
prompted() {
	grep -q assword "$tmp/typed" || ended
}
told_at_once() {
	[ "$(lines '"rule":"Shell without a login"' "$tmp/at-once")" -gt 0 ]
}
at_nobodys_terminal() {
	for tool in script su unshare mkfifo; do
		command -v $tool >/dev/null || { echo "no $tool: no terminal was tried"; return 1; }
	done
	grep -q '^NoNewPrivs:.0' /proc/self/status || { echo "no program changes its user here: no terminal was tried"; return 1; }
	p=$$
	while [ "$p" -gt 0 ]; do
		case $(cat /proc/"$p"/loginuid):$(cat /proc/"$p"/comm) in
		4294967295:sshd* | 4294967295:*getty | 4294967295:tmux* | 4294967295:screen | 4294967295:SCREEN | 4294967295:podman | \
			4294967295:conmon | 4294967295:docker* | 4294967295:containerd* | 4294967295:systemd-run) ;;
		4294967295:*)
			p=$(sed -n 's/^PPid:[^0-9]*//p' /proc/"$p"/status)
			continue
			;;
		esac
		echo "there is a login here: no terminal was tried"
		return 1
	done
	mkfifo "$tmp/keys"
	exec 7<>"$tmp/keys"
	: >"$tmp/btmp"
	: >"$tmp/typed"
	# A shell that is another program at once. On a machine that is busy beyond measure it may be told as that.
	for try in 1 2 3; do
		SHELL=/bin/sh timeout 60 script -qec "exec true $tmp/at-once-$try" /dev/null </dev/null >/dev/null 2>&1
		until_true 5 told_at_once && break
	done
	unshare -m sh -c 'mount --make-rprivate / && mount --bind "$0" /var/log && SHELL=/bin/sh exec setpriv --reuid nobody --clear-groups \
		timeout 60 script -qec ": $0/btmp; su -c true root; :" /dev/null' "$tmp" <"$tmp/keys" 7>&- >"$tmp/typed" 2>&1 &
	su=$!
	pids="$pids $su"
	until_true 30 prompted && echo wrong >&7
	until_true 60 ended
	pids=${pids% "$su"}
	exec 7>&-
	[ -s "$tmp/btmp" ] || { echo "su refuses without telling btmp:"; cat "$tmp/typed"; return 1; }
}
if [ "$(id -u)" = 0 ] && command -v setpriv >/dev/null && id nobody >/dev/null 2>&1 && start fanotify && until_true 20 processes; then
	mkdir -m 755 "$tmp/bin"
	cp /bin/true "$tmp/bin/mine"
	cp "$(command -v setpriv)" "$tmp/bin/become"
	chmod 4755 "$tmp/bin/become"
	# Ordinary: root may start what it likes as whom it likes.
	setpriv --reuid nobody --clear-groups "$tmp/bin/mine"
	if setpriv --reuid nobody --clear-groups sh -c "'$tmp/bin/become' --reuid 0 '$tmp/bin/mine'; :"; then
		told 1 '"operation":"become"' '"by":"nobody"' '"account":"root"' "$tmp/bin/mine"
		told 1 '"rule":"Unexpected user became root"' "$tmp/bin/mine"
		told 0 '"operation":"su"' "$tmp/bin/mine"
	fi
	if at_nobodys_terminal; then
		told 1 '"rule":"Shell without a login"' "$tmp/btmp"
		told_at_once || fail "a shell that is another program at once is not told: $(grep -F "$tmp/at-once" "$tmp/watch" | tail -5)"
		told 1 '"rule":"Refused to become another"' 'nobody was refused to become root'
		told 1 '"operation":"su"' '"result":"failed"' '"by":"nobody"' '"account":"root"' '/su"'
		told 0 '"operation":"login"' '"result":"failed"' '"account":"root"'
	fi
	stop
	hf 0 history --user nobody --json
	has '"operation":"become"'
	has "$tmp/bin/mine"
else
	echo "no program starts here: who becomes whom was not looked at"
fi
finished
