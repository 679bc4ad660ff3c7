#!/bin/sh
# Real programs while the monitor enforces on a root file system of the test's own, made of this host's packages: apt and
# dpkg install and remove, cron, ssh, a build. Nothing that is trusted is refused, and what is not is refused each time.
# The marks are on that file system alone; there is no process connector (its network namespace has none).
. "$(dirname "$0")/lib.sh"

for c in mkfs.ext4 dpkg-deb apt-get apt-cache pivot_root tar; do
	command -v $c >/dev/null || skip "no $c"
done
command -v sshd >/dev/null || [ -x /usr/sbin/sshd ] || echo "no sshd here: the login is left out"
if [ "${HOLDFAST_TEST_NET:-}" != 1 ]; then
	HOLDFAST_TEST_NET=1 exec unshare -n "$0" "$@"
fi
ip link set lo up 2>/dev/null || ifconfig lo up 2>/dev/null

root=$tmp/root
mkdir "$root"
truncate -s 3G "$tmp/image"
mkfs.ext4 -q -F -O ^has_journal "$tmp/image" >/dev/null 2>&1 && mount -o loop "$tmp/image" "$root" 2>/dev/null || skip "no loop image"

# --- the root: whole packages of this host, with their entries in dpkg's database
wanted=$(dpkg-query -Wf '${Package} ${Priority} ${Essential}\n' | awk '$2 == "required" || $3 == "yes" {print $1}')
libraries=$(ldd "$holdfast" | awk '$3 ~ /^\// {print $3}' | xargs -n1 realpath | xargs dpkg -S 2>/dev/null | cut -d: -f1 | sort -u)
wanted="$wanted $(dpkg-query -Wf '${Package} ${db:Status-Status}\n' apt cron openssh-server openssh-client make gcc libc6-dev $libraries 2>/dev/null | awk '$2 == "installed" {print $1}')"
apt-cache depends --recurse --installed --no-recommends --no-suggests --no-conflicts --no-breaks --no-replaces --no-enhances \
	$wanted 2>/dev/null | grep '^[a-z0-9]' | cut -d: -f1 | sort -u >"$tmp/names"
dpkg-query -Wf '${Package} ${db:Status-Status}\n' $(cat "$tmp/names") 2>/dev/null | awk '$2 == "installed" {print $1}' | sort -u >"$tmp/closure"
for l in bin sbin lib lib32 lib64 libx32; do
	[ -L "/$l" ] && cp -a "/$l" "$root/$l" && mkdir -p "$root/usr/$l"
done
dpkg-query -L $(cat "$tmp/closure") 2>/dev/null | grep '^/' |
	grep -v -e '^/usr/share/doc/' -e '^/usr/share/locale/' -e '^/usr/share/man/' -e '^/boot' -e '^/usr/share/i18n' |
	sed -e 's,^/\(bin\|sbin\|lib\|lib32\|lib64\|libx32\)\(/\|$\),/usr/\1\2,' -e 's,^/,,' | grep . | sort -u |
	(cd / && tar -c --no-recursion --ignore-failed-read -f - -T - 2>/dev/null) | tar -x -f - -C "$root" 2>/dev/null
mkdir -p "$root/var/lib/dpkg/info" "$root/var/lib/dpkg/updates" "$root/var/lib/apt/lists/partial" "$root/var/cache/apt/archives/partial" \
	"$root/proc" "$root/dev" "$root/tmp" "$root/run" "$root/root" "$root/old" "$root/var/log/apt" "$root/etc" "$root/usr/local/sbin" \
	"$root/var/lib/holdfast" "$root/var/spool/cron/crontabs"
[ -e "$root/var/run" ] || ln -s /run "$root/var/run"
chmod 1777 "$root/tmp"
chmod 700 "$root/var/lib/holdfast" "$root/root"
dpkg-query -s $(cat "$tmp/closure") >"$root/var/lib/dpkg/status" 2>/dev/null
(cd /var/lib/dpkg/info && for p in $(cat "$tmp/closure"); do
	for f in "$p".* "$p:"*; do
		[ ! -e "$f" ] || echo "$f"
	done
done) | (cd /var/lib/dpkg/info && tar -c -f - -T -) | tar -x -f - -C "$root/var/lib/dpkg/info"
cp /var/lib/dpkg/info/format "$root/var/lib/dpkg/info/" 2>/dev/null
for f in passwd group shadow nsswitch.conf ld.so.cache ld.so.conf ld.so.conf.d alternatives pam.d pam.conf security login.defs environment; do
	[ -e "/etc/$f" ] && cp -a "/etc/$f" "$root/etc/" 2>/dev/null
done
[ -e "$root/usr/bin/gcc" ] || [ -L "$root/usr/bin/gcc" ] || cp -a /usr/bin/gcc "$root/usr/bin/" 2>/dev/null
cp "$holdfast" "$root/usr/local/sbin/holdfast"
printf 'paths: [/usr/local]\nopens: off\nstore: {path: /var/lib/holdfast/holdfast.db}\ncontrol: /run/control\nsensors: {bpf: off}\nexec: {mode: enforce, trust: [baselines, dpkg, explicit], deadline: 20s, stall: 30s, ungated: late}\n' \
	>"$root/etc/holdfast.yaml"

# --- a package whose script runs the program that it has just brought
pkg=$tmp/pkg
mkdir -p "$pkg/DEBIAN" "$pkg/usr/bin"
cp /bin/true "$pkg/usr/bin/hf-probe"
echo "$(date +%N)" >>"$pkg/usr/bin/hf-probe"
printf 'Package: hf-probe\nVersion: 1\nArchitecture: all\nMaintainer: none <none@localhost>\nDescription: a probe\n' >"$pkg/DEBIAN/control"
printf '#!/bin/sh\nset -e\n/usr/bin/hf-probe\necho ran >>/tmp/postinst\n' >"$pkg/DEBIAN/postinst"
printf '#!/bin/sh\nset -e\n/usr/bin/hf-probe\n' >"$pkg/DEBIAN/prerm"
printf '#!/bin/sh\n:\n' >"$pkg/DEBIAN/preinst"
printf '#!/bin/sh\n:\n' >"$pkg/DEBIAN/postrm"
chmod 755 "$pkg/DEBIAN/"p*
(cd "$pkg" && md5sum usr/bin/hf-probe >DEBIAN/md5sums)
dpkg-deb -b "$pkg" "$root/tmp/hf-probe_1_all.deb" >/dev/null 2>&1 || skip "dpkg-deb"
# The next version, to be upgraded to.
date +%N >>"$pkg/usr/bin/hf-probe"
sed -i 's/^Version: 1/Version: 2/' "$pkg/DEBIAN/control"
(cd "$pkg" && md5sum usr/bin/hf-probe >DEBIAN/md5sums)
dpkg-deb -b "$pkg" "$root/tmp/hf-probe_2_all.deb" >/dev/null 2>&1

cat >"$root/tmp/inside.sh" <<'END'
#!/bin/sh
# In the new root.
failed=0
fail() {
	failed=$((failed + 1))
	echo "FAIL: $*"
	tail -5 /tmp/monitor.err
}
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root DEBIAN_FRONTEND=noninteractive LC_ALL=C
hf() {
	/usr/local/sbin/holdfast -c /etc/holdfast.yaml "$@"
}
hf -q init || exit 1
/usr/local/sbin/holdfast -c /etc/holdfast.yaml watch >/tmp/monitor 2>/tmp/monitor.err &
pid=$!
trap 'kill -9 $pid 2>/dev/null' EXIT
i=0
until hf status --json 2>/dev/null | grep -q '"file_systems":[1-9].*"packages":[1-9]'; do
	i=$((i + 1))
	[ $i -lt 300 ] || { cat /tmp/monitor.err; exit 77; }
	sleep 0.1
done
hf status --json | sed 's/.*"exec":/exec: /; s/"output".*//'
# What nobody vouches for: at the first try, and at the 1000th.
cp /bin/true /usr/bin/strange
echo salt >>/usr/bin/strange
i=0
while [ $i -lt 1000 ]; do
	/usr/bin/strange 2>/dev/null
	[ $? = 126 ] || { fail "strange ran at try $i"; break; }
	i=$((i + 1))
done

dpkg -i /tmp/hf-probe_1_all.deb >/tmp/log 2>&1 || { fail "dpkg -i"; cat /tmp/log; }
/usr/bin/hf-probe || fail "a program that was just installed"
apt-get install -y --allow-downgrades -o APT::Sandbox::User=root /tmp/hf-probe_2_all.deb >/tmp/log 2>&1 || { fail "apt-get install"; tail -20 /tmp/log; }
/usr/bin/hf-probe || fail "a program that was just upgraded"
[ "$(wc -l </tmp/postinst)" = 2 ] || fail "the packages' scripts"
apt-get remove -y -o APT::Sandbox::User=root hf-probe >/tmp/log 2>&1 || { fail "apt-get remove"; tail -20 /tmp/log; }
[ ! -e /usr/bin/hf-probe ] || fail "removed, and still there"
dpkg --audit >/tmp/log 2>&1 || fail "dpkg --audit"

if [ -x /usr/sbin/cron ]; then
	printf 'PATH=/usr/bin:/bin\n@reboot root /usr/bin/touch /tmp/cron-ran\n' >/etc/cron.d/probe
	rm -f /run/crond.reboot
	/usr/sbin/cron -f >/tmp/cron.log 2>&1 &
	cron=$!
	i=0
	until [ -e /tmp/cron-ran ]; do
		i=$((i + 1))
		[ $i -lt 100 ] || { fail "the cron job did not run"; cat /tmp/cron.log; break; }
		sleep 0.1
	done
	kill $cron
fi

if [ -x /usr/sbin/sshd ]; then
	mkdir -p /run/sshd /root/.ssh
	chmod 700 /root/.ssh
	ssh-keygen -q -t ed25519 -N '' -f /root/.ssh/id_ed25519 && ssh-keygen -q -t ed25519 -N '' -f /etc/ssh/probe_key || fail "ssh-keygen"
	cp /root/.ssh/id_ed25519.pub /root/.ssh/authorized_keys
	printf 'Port 2222\nListenAddress 127.0.0.1\nHostKey /etc/ssh/probe_key\nUsePAM no\nPermitRootLogin yes\nStrictModes no\n' >/etc/ssh/probe.conf
	/usr/sbin/sshd -D -e -f /etc/ssh/probe.conf >/tmp/sshd.log 2>&1 &
	sshd=$!
	login() {
		ssh -p 2222 -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o BatchMode=yes -o ConnectTimeout=5 root@127.0.0.1 "$@" 2>/tmp/ssh.log
	}
	i=0
	until [ "$(login 'id -u; /bin/true')" = 0 ]; do
		i=$((i + 1))
		[ $i -lt 20 ] || { fail "login"; cat /tmp/ssh.log /tmp/sshd.log; break; }
		sleep 0.2
	done
	login /usr/bin/strange && fail "strange ran in a login"
	kill $sshd
fi

if [ -x /usr/bin/make ] && [ -e /usr/bin/gcc ]; then
	mkdir /tmp/build
	printf 'int answer(void);\nint main(void) { return answer() - 42; }\n' >/tmp/build/main.c
	printf 'int answer(void);\nint answer(void) { return 42; }\n' >/tmp/build/answer.c
	printf 'prog: main.o answer.o\n\tgcc -o $@ main.o answer.o\n%%.o: %%.c\n\tgcc -c -o $@ $<\nclean:\n\trm -f *.o prog\n' >/tmp/build/Makefile
	make -C /tmp/build >/tmp/log 2>&1 || { fail "make"; cat /tmp/log; }
	/tmp/build/prog 2>/dev/null
	[ $? = 126 ] || fail "what was just built is trusted by nobody, and ran"
	hf trust add /tmp/build/prog --reason 'built here' >/dev/null || fail "trust add"
	/tmp/build/prog || fail "what was built, trusted by hand"
fi

kill -TERM $pid
wait $pid || fail "the monitor's end"
trap - EXIT
# Nothing was refused but what was meant to be.
hf history --kind exec --json >/tmp/execs
grep -v -e '"verdict":"allowed"' /tmp/execs | grep -v -e '/usr/bin/strange' -e '/tmp/build/prog' | cut -c1-300 >/tmp/wrong
[ ! -s /tmp/wrong ] || { fail "refused or unjudged:"; head -5 /tmp/wrong; }
n=$(grep -c '"verdict":"denied".*/usr/bin/strange\|/usr/bin/strange.*"verdict":"denied"' /tmp/execs)
[ "$n" -ge 1000 ] || fail "$n rows of what was refused"
echo "$(wc -l </tmp/execs) starts, $n of them refused"
exit $failed
END
cat >"$tmp/enter.sh" <<'END'
#!/bin/sh
cd "$1" || exit 99
mount --make-rprivate /
mount -t proc proc proc && mount -t tmpfs -o mode=755 tmpfs dev && mount -t tmpfs tmpfs run || exit 77
mknod -m 666 dev/null c 1 3 && mknod -m 666 dev/zero c 1 5 && mknod -m 666 dev/urandom c 1 9 && mknod -m 666 dev/random c 1 8 && mknod -m 666 dev/tty c 5 0 || exit 77
ln -s /proc/self/fd dev/fd
pivot_root . old || exit 77
umount -l /old
exec /bin/sh /tmp/inside.sh
END
timeout 150 unshare -m -p -f --propagation private sh "$tmp/enter.sh" "$root" >"$out" 2>"$err" </dev/null
status=$?
cat "$out"
[ $status != 77 ] || skip "the monitor does not gate there"
[ $status = 0 ] || fail "inside: $status"
end
