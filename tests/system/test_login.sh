#!/bin/sh
# A real login: sshd on a port of its own on loopback, by key; su and sudo inside of it, and a login that fails. History tells
# one person's doings across both, by the login user where the kernel keeps one.
. "$(dirname "$0")/lib.sh"
for c in ssh ssh-keygen sudo su useradd sqlite3; do command -v $c >/dev/null || skip "no $c"; done
sshd=$(PATH=$PATH:/usr/sbin command -v sshd) || skip "no sshd"

# The account, its rights and what sshd wants are those of our mount namespace alone.
mkdir "$tmp/up" && mount -t tmpfs none "$tmp/up" && mkdir "$tmp/up/etc" "$tmp/up/work" || skip "no tmpfs"
mount -t overlay -o "lowerdir=/etc,upperdir=$tmp/up/etc,workdir=$tmp/up/work" none /etc 2>/dev/null || skip "no overlay over /etc"
mount -t tmpfs none /home && mount -t tmpfs none /run && mount -t tmpfs none /var/log || skip "no tmpfs"
touch /run/utmp /var/log/wtmp && (umask 77 && : >/var/log/btmp)
mkdir -p /run/sshd /home/hfmary
useradd -M -d /home/hfmary -s /bin/sh hfmary 2>"$err" || skip "no account can be made: $(cat "$err")"
useradd -M -d / -s /bin/sh hfjoe
usermod -p '*' hfmary
echo 'hfmary ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/hfmary
ssh-keygen -q -t ed25519 -N '' -f "$tmp/key" && ssh-keygen -q -t ed25519 -N '' -f "$tmp/host" || skip "no key"
mkdir /home/hfmary/.ssh && cp "$tmp/key.pub" /home/hfmary/.ssh/authorized_keys && chown -R hfmary /home/hfmary && chmod -R go= /home/hfmary
port=$((20000 + $$ % 20000))
cat >"$tmp/sshd_config" <<END
Port $port
ListenAddress 127.0.0.1
HostKey $tmp/host
PidFile $tmp/sshd.pid
UsePAM yes
PasswordAuthentication yes
KbdInteractiveAuthentication no
PrintMotd no
END
"$sshd" -t -f "$tmp/sshd_config" 2>"$err" || skip "sshd does not take its configuration: $(cat "$err")"
"$sshd" -D -e -f "$tmp/sshd_config" 2>"$tmp/sshd.log" &
pids="$pids $!"
login() { # KEY COMMAND
	timeout 30 ssh -F none -p "$port" -i "$1" -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR \
		hfmary@127.0.0.1 "$2" </dev/null >"$tmp/ssh.out" 2>&1
}
listens() { grep -q 'listening on' "$tmp/sshd.log"; }
within 20 listens || skip "sshd does not listen: $(cat "$tmp/sshd.log")"
login "$tmp/key" true || skip "nobody can log in here: $(cat "$tmp/ssh.out"; tail -3 "$tmp/sshd.log")"

# Programs that nobody has judged before: each has a row.
mount -t tmpfs none "$g" || skip "no tmpfs"
chmod 755 "$tmp" "$g"
for name in by-login by-sudo; do cp "$(command -v sleep)" "$g/$name"; done
cp "$(readlink -f /bin/sh)" "$g/by-su"
config 'exec: {mode: observe, trust: [explicit]}' 'users: {record: yes}'
hf init -q || die "no baseline"
watch
login "$tmp/key" "$g/by-login 0.5; sudo -n $g/by-sudo 0.5; sudo -n su -s $g/by-su hfjoe -c 'sleep 0.5; true'; cat /proc/self/loginuid" ||
	fail "the login failed: $(cat "$tmp/ssh.out")"
loginuid=$(tail -1 "$tmp/ssh.out")
# A password that is none, typed by a program.
printf '#!/bin/sh\necho wrong\n' >"$tmp/type" && chmod 700 "$tmp/type"
if SSH_ASKPASS=$tmp/type SSH_ASKPASS_REQUIRE=force timeout 60 ssh -F none -p "$port" -o PubkeyAuthentication=no -o NumberOfPasswordPrompts=1 \
	-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null hfmary@127.0.0.1 true </dev/null >"$tmp/ssh.out" 2>&1; then
	fail "a wrong password logs in"
fi
settled

user_did() { hf history --json --user hfmary 2>/dev/null | grep '"kind":"exec"' | grep -qF "\"path\":\"$g/$1\""; }
by() { hf history --json --kind exec 2>/dev/null | grep -F "\"path\":\"$g/$1\""; }
within 20 user_did by-login || fail "by-login is not hfmary's: $(by by-login)"
by='"by":'
case $loginuid in
4294967295 | '') echo "this kernel keeps no login user here: su and sudo are told by who called them" ;;
*)
	by='"by":"hfmary"'
	[ "$loginuid" = "$(id -u hfmary)" ] || fail "login user $loginuid"
	for name in by-sudo:root by-su:hfjoe; do
		user=${name#*:} name=${name%:*}
		within 20 user_did "$name" || fail "$name is not hfmary's: $(by "$name")"
		by "$name" | grep -F '"login_user":"hfmary"' | grep -qF "\"user\":\"$user\"" ||
			fail "$name is not $user's for hfmary: $(by "$name")"
	done
	;;
esac
session() { # WORD...: a row holds all of them
	hf history --json --kind session 2>/dev/null >"$tmp/sessions"
	line_of "$tmp/sessions" "$@"
}
want() {
	within 20 session "$@" || fail "no session with $*: $(cut -c1-300 "$tmp/sessions")"
}
want '"operation":"login"' '"result":"success"' '"account":"hfmary"'
want '"operation":"login"' '"result":"failed"' '"account":"hfmary"'
want '"operation":"sudo"' '"account":"root"' '"by":"hfmary"'
want '"operation":"su"' '"account":"hfjoe"' "$by"
stop
end
