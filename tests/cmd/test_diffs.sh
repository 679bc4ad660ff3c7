#!/bin/sh
# Differences of configuration files as text: shown with secrets hidden; what is closed or sensitive is kept nowhere.
. "$(dirname "$0")/lib.sh"
mkdir -p "$tmp/tree/etc/keys" "$tmp/tree/var"
etc=$tmp/tree/etc
config() { # DIFFS
	printf 'paths: [%s/tree]\nsensitive: [%s/keys]\ncontrol: %s/control.sock\ndiffs: [%s]\n' "$tmp" "$etc" "$tmp" "$1" \
		>"$tmp/holdfast.yaml"
}
config "$etc"
printf 'Port 22\nPermitRootLogin no\npassword = MARK-open\n# end\n' >"$etc/sshd"
printf 'MARK-closed\n' >"$etc/closed"
printf 'MARK-sensitive\n' >"$etc/keys/key"
printf 'MARK-elsewhere\n' >"$tmp/tree/var/file"
printf 'MARK-binary\0\n' >"$etc/binary"
head -c 70000 /dev/zero | tr '\0' x >"$etc/large"
umask 022
chmod 644 "$etc"/sshd "$etc/keys/key" "$tmp/tree/var/file" "$etc/binary" "$etc/large"
chmod 600 "$etc/closed"

hf 0 init
kept() { # WORD: it stands in the database
	cat "$tmp"/state/holdfast.db* | grep -qaF "$1"
}
kept PermitRootLogin || fail "what anybody may read is not kept"
for word in MARK-closed MARK-sensitive MARK-elsewhere MARK-binary xxxxxxxxxxxxxxxx; do
	if kept "$word"; then fail "$word is in the database"; fi
done

sed -i 's/PermitRootLogin no/PermitRootLogin yes/; s/MARK-open/MARK-new/' "$etc/sshd"
printf 'new: \033[31m\377\n' >>"$etc/sshd"
for f in closed keys/key binary large; do echo more >>"$etc/$f"; done
echo more >>"$tmp/tree/var/file"
hf 4 check --no-record
has '-PermitRootLogin no'
has '+PermitRootLogin yes'
has '+new: \x1b[31m\xff'
has '[redacted]'
lacks 'MARK-'
is 1 "$(grep -c '^ *@@ ' "$out")" "differences shown"
hf 4 check --json
has '"diff":"@@ -1,4 +1,5 @@\n Port 22\n-PermitRootLogin no\n'
lacks 'MARK-'
is 1 "$(grep -c '"diff"' "$out")" "differences in JSON"
hf 0 history -v --kind change
has '-PermitRootLogin no'
lacks 'MARK-'
hf 0 history --json --kind change
has '"diff":"@@ -1,4 +1,5 @@'
hf 0 baseline verify

# The next one builds on what was seen last, once that is accepted.
hf 0 accept --all --reason test
sed -i 's/Port 22/Port 2222/' "$etc/sshd"
hf 4 check
has '-Port 22'
has '+Port 2222'

# Content that was swapped in the database is no content of that digest.
if command -v sqlite3 >/dev/null; then
	sqlite3 "$tmp/state/holdfast.db" "UPDATE text SET data = 'Port 1'" || fail "sqlite3"
	hf 4 check --no-record
	lacks '@@'
	is 2 "$(sqlite3 "$tmp/state/holdfast.db" "SELECT count(*) FROM deviations WHERE diff LIKE '%Port%'")" "column diff"
fi

# Nothing is kept when that is not wanted.
rm -rf "$tmp/state"
config ""
hf 0 init
if kept PermitRootLogin; then fail "it is kept though diffs is empty"; fi
echo more >>"$etc/sshd"
hf 4 check
lacks '@@'
finished
