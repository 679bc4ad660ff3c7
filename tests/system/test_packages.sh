#!/bin/sh
# Package transactions: a real dpkg installs, upgrades, breaks and removes a package made here, whose files lie in the
# guarded folder. Its database is a private one, bound over /var/lib/dpkg in a mount namespace: the host's is never
# written.
. "${srcdir:-.}/tests/system/lib.sh"

for tool in dpkg dpkg-deb md5sum; do
	command -v "$tool" >/dev/null || skip "no $tool"
done
[ -f /var/lib/dpkg/info/dpkg.md5sums ] || skip "dpkg is not installed as a package"

# --- a database with dpkg alone in it

admin=$tmp/dpkg
database() {
	rm -rf "$admin"
	mkdir -p "$admin/info" "$admin/updates" "$admin/parts" "$admin/triggers"
	printf 'Package: dpkg\nStatus: install ok installed\nPriority: required\nSection: admin\nMaintainer: x\nArchitecture: %s\nVersion: 1\nDescription: x\n\n' \
		"$(dpkg --print-architecture)" >"$admin/status"
	cp /var/lib/dpkg/info/dpkg.md5sums /var/lib/dpkg/info/dpkg.list "$admin/info/"
	: >"$admin/available"
	: >"$admin/diversions"
}
database
mount --bind "$admin" /var/lib/dpkg || skip "no bind mount over /var/lib/dpkg"

# deb VERSION: builds $tmp/VERSION.deb of what lies below $tmp/deb (SCRIPT files in $tmp/deb/DEBIAN)
deb() {
	mkdir -p "$tmp/deb/DEBIAN"
	printf 'Package: tinypkg\nVersion: %s\nArchitecture: all\nMaintainer: x <x@example.org>\nDescription: x\n' "$1" \
		>"$tmp/deb/DEBIAN/control"
	(cd "$tmp/deb" && find . -path ./DEBIAN -prune -o -type f -print | sed 's,^\./,,' | sort | xargs md5sum >DEBIAN/md5sums)
	[ ! -f "$tmp/deb$g/etc/tiny.conf" ] || printf '%s\n' "$g/etc/tiny.conf" >"$tmp/deb/DEBIAN/conffiles"
	chmod 755 "$tmp"/deb/DEBIAN/p* 2>/dev/null
	dpkg-deb --root-owner-group -Zgzip --build "$tmp/deb" "$tmp/$1.deb" >/dev/null 2>"$tmp/deb.log" ||
		die "dpkg-deb: $(cat "$tmp/deb.log")"
}

# script KIND LINE...: a maintainer script
script() {
	mkdir -p "$tmp/deb/DEBIAN"
	printf '#!/bin/sh\n%s\n' "$2" >"$tmp/deb/DEBIAN/$1"
}

fresh_deb() {
	rm -rf "$tmp/deb"
	mkdir -p "$tmp/deb$g/bin" "$tmp/deb$g/etc"
	printf '#!/bin/sh\necho one\n' >"$tmp/deb$g/bin/tiny"
	chmod 755 "$tmp/deb$g/bin/tiny"
	printf 'setting = 1\n' >"$tmp/deb$g/etc/tiny.conf"
	ln -s tiny "$tmp/deb$g/bin/tiny-link"
}

run_dpkg() {
	DEBIAN_FRONTEND=noninteractive dpkg --log=/dev/null --force-not-root --force-unsafe-io "$@" </dev/null \
		>"$tmp/dpkg.log" 2>&1
}

# excused PATH CAUSE: told as excused, with this cause
excused() {
	told "\"path\":\"$g/$1\"" '"status":"excused"' "\"cause\":\"$2"
}

# raised PATH CAUSE
raised() {
	told "\"path\":\"$g/$1\"" '"status":"open"' "$2"
}

quiet() { # no change of PATH was raised
	never "\"path\":\"$g/$1\"" '"status":"open"'
}

config 'exec: {mode: "off"}'
mkdir -p "$g/etc"
hf init -q 2>"$err" || die "init"
watch
within 10 line guarding || die "not ready"

# --- install

fresh_deb
script postinst "echo made >$g/etc/made-by-postinst"
deb 1.0
run_dpkg -i "$tmp/1.0.deb" || die "dpkg -i: $(cat "$tmp/dpkg.log")"
excused bin/tiny 'package tinypkg 1.0'
excused bin/tiny-link 'package tinypkg 1.0'
excused etc/tiny.conf 'package tinypkg 1.0'
raised etc/made-by-postinst 'postinst of tinypkg'
settled
quiet bin
quiet bin/tiny
quiet bin/tiny-link
quiet etc/tiny.conf

# --- what is edited afterwards is not excused, whoever's file it is

echo evil >>"$g/bin/tiny"
told "\"path\":\"$g/bin/tiny\"" '"status":"open"' '"change":"changed"'
echo 'setting = 2' >"$g/etc/tiny.conf"
told "\"path\":\"$g/etc/tiny.conf\"" '"status":"open"'

# --- upgrade: the program is replaced by the package's new bytes, the edited configuration file is kept

fresh_deb
printf '#!/bin/sh\necho two\n' >"$tmp/deb$g/bin/tiny"
chmod 755 "$tmp/deb$g/bin/tiny"
printf 'setting = 3\n' >"$tmp/deb$g/etc/tiny.conf"
deb 2.0
run_dpkg --force-confold -i "$tmp/2.0.deb" || die "dpkg -i: $(cat "$tmp/dpkg.log")"
excused bin/tiny 'package tinypkg 2.0'
excused etc/tiny.conf.dpkg-dist 'package tinypkg 2.0'
settled
[ "$(cat "$g/etc/tiny.conf")" = 'setting = 2' ] || fail "the configuration file was not kept"
[ "$(lines "\"path\":\"$g/etc/tiny.conf\"" '"status":"excused"')" = 1 ] || fail "the edited configuration file was excused"

# --- history says the same, and it is signed

in_history() {
	hf history --json --path "$g/bin/tiny" | grep '"status":"excused"' | grep -q '"cause":"package tinypkg 2.0"'
}
within 10 in_history || fail "not in history as excused"
hf history --open --json >"$tmp/history"
grep -q 'tiny-link' "$tmp/history" && fail "an excused change counts as open"
grep -q 'made-by-postinst' "$tmp/history" || fail "what a script made does not count as open"

# --- what was excused goes into the baseline on demand, and nothing else does

echo later >"$g/etc/tiny.conf.dpkg-dist"
told "\"path\":\"$g/etc/tiny.conf.dpkg-dist\"" '"status":"open"'
hf check --no-record --json >"$tmp/check"
grep "\"path\":\"$g/bin/tiny\"" "$tmp/check" | grep '"status":"excused"' | grep -q '"cause":"package tinypkg 2.0"' ||
	fail "check does not say who explains it: $(grep bin/tiny "$tmp/check")"
grep made-by-postinst "$tmp/check" | grep -q '"status":"open"' || fail "check excuses what nothing explains"
hf check --no-record --open >"$tmp/check"
grep -q 'made-by-postinst' "$tmp/check" && grep -q 'excused and left out: [1-9]' "$tmp/check" || fail "check --open: $(cat "$tmp/check")"
grep -q 'bin.*tiny-link' "$tmp/check" && fail "check --open tells what is excused"
hf check --no-record | grep -q 'excused *package tinypkg 2.0' || fail "check: no cause in words"
hf accept --excused --reason upgrade --json >"$tmp/accepted" || fail "accept --excused"
grep -q "\"path\":\"$g/bin/tiny\"" "$tmp/accepted" && grep -q "\"path\":\"$g/bin/tiny-link\"" "$tmp/accepted" ||
	fail "not accepted: $(cut -c1-200 "$tmp/accepted")"
grep -q 'made-by-postinst\|etc/tiny.conf\|zz-fence' "$tmp/accepted" && fail "accepted too much"
hf check --no-record --json >"$tmp/check"
grep -q "\"path\":\"$g/bin/tiny" "$tmp/check" && fail "the baseline did not follow"
grep -q made-by-postinst "$tmp/check" || fail "the baseline followed too far"
hf accept --excused --reason again 2>/dev/null && fail "accepted twice"

# --- tampering during the transaction: by a script of the package, and by somebody beside it

fresh_deb
script postinst "echo tampered >>$g/bin/tiny; chmod 4755 $g/bin/other"
printf 'other\n' >"$tmp/deb$g/bin/other"
printf 'third\n' >"$tmp/deb$g/bin/third"
deb 3.0
run_dpkg --force-confold -i "$tmp/3.0.deb" || die "dpkg -i: $(cat "$tmp/dpkg.log")"
raised bin/tiny "the bytes are not the package's"
raised bin/other setuid
excused bin/third 'package tinypkg 3.0'

# A fifo keeps the postinst waiting, so that another program writes while the transaction runs.
fresh_deb
mkfifo "$tmp/go"
script postinst "read x <$tmp/go"
printf 'fourth\n' >"$tmp/deb$g/bin/fourth"
deb 4.0
run_dpkg --force-confold -i "$tmp/4.0.deb" &
pids=$!
held() { # a change waits to be verified; it is known that FILE is new
	hf status --json | grep -q '"held":[1-9]' || line "\"path\":\"$g/$1\""
}
within 10 test -f "$g/bin/fourth" || die "not unpacked"
within 10 held bin/fourth || fail "nothing is held"
echo beside >"$g/bin/fourth"
# One change, where dpkg's own was not looked at yet; else the second.
told "\"path\":\"$g/bin/fourth\"" '"status":"open"'
echo go >"$tmp/go"
wait "$pids"
pids=

# --- killed half way: nothing is lost

fresh_deb
script preinst "read x <$tmp/go"
printf 'fifth\n' >"$tmp/deb$g/bin/fifth"
deb 5.0
dpkg --log=/dev/null --force-unsafe-io --force-confold -i "$tmp/5.0.deb" </dev/null >"$tmp/dpkg.log" 2>&1 &
pids=$!
# In the middle of unpacking: it was let go on, and is killed as soon as its first file is there.
(echo go >"$tmp/go")
within 10 test -e "$g/bin/fifth" -o -e "$g/bin/fifth.dpkg-new"
kill -9 "$pids" 2>/dev/null
wait "$pids" 2>/dev/null
pids=
if [ -e "$g/bin/fifth" ]; then told "\"path\":\"$g/bin/fifth\""; fi
rm -f "$admin/lock" "$admin/lock-frontend"
rm -f "$tmp/deb/DEBIAN/preinst"
deb 5.1
run_dpkg --force-confold -i "$tmp/5.1.deb" || die "dpkg -i after the kill: $(cat "$tmp/dpkg.log")"
told "\"path\":\"$g/bin/fifth\""

# --- remove, purge: of what the baseline has

stop
hf init -q --replace 2>"$err" || die "init"
watch
run_dpkg -r tinypkg || die "dpkg -r: $(cat "$tmp/dpkg.log")"
excused bin/tiny-link 'package tinypkg 5.1 removed'
excused bin/fifth 'package tinypkg 5.1 removed'
quiet bin
run_dpkg -P tinypkg || die "dpkg -P: $(cat "$tmp/dpkg.log")"
excused etc/tiny.conf 'package tinypkg 5.1 removed'
rm "$g/etc/made-by-postinst"
raised etc/made-by-postinst '"change":"removed"'

# --- a program that only bears the name

cp /bin/cp "$tmp/fake"
mount --bind "$tmp/fake" /usr/bin/dpkg || die "bind"
printf 'evil\n' >"$tmp/evil"
/usr/bin/dpkg "$tmp/evil" "$g/bin-by-fake" || fail "the fake did not run"
raised bin-by-fake bin-by-fake
never bin-by-fake excused
within 10 umount /usr/bin/dpkg 2>/dev/null || fail "the fake is kept open"

# --- the monitor ends in the middle: told, by it or by the next one

fresh_deb
script postinst "read x <$tmp/go"
printf 'sixth\n' >"$tmp/deb$g/sixth"
deb 6.0
run_dpkg --force-confold -i "$tmp/6.0.deb" &
pids=$!
within 10 test -f "$g/sixth" || die "not unpacked"
stop KILL
watch
told "\"path\":\"$g/sixth\""
echo go >"$tmp/go"
wait "$pids"
pids=
settled
stop
hf baseline verify >"$tmp/verify" 2>&1 || fail "verify: $(cat "$tmp/verify")"
end
