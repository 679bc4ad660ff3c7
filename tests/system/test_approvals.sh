#!/bin/sh
# Approvals: inside their pattern, digest and time changes are excused and recorded; before, after and outside everything
# is a deviation.
. "${srcdir:-.}/tests/system/lib.sh"

excused() {
	told "\"path\":\"$g/$1\"" '"status":"excused"' "\"cause\":\"approval $2 by "
}
raised() {
	told "\"path\":\"$g/$1\"" '"status":"open"'
}
approve() { # ARGUMENT...: its number in $id
	hf accept --json --reason TICKET-1 "$@" >"$tmp/approved" 2>"$tmp/approve.err" || {
		fail "accept $*: $(cat "$tmp/approve.err")"
		return
	}
	id=$(sed 's/.*"id":\([0-9]*\).*/\1/' "$tmp/approved")
}

config 'exec: {mode: "off"}'
mkdir -p "$g/app/lib" "$g/etc"
for f in app/one app/lib/two etc/three etc/late; do echo old >"$g/$f"; done
hf init -q 2>"$err" || die "init"
watch

# --- not before

echo early >"$g/app/one"
raised app/one

# --- a window for a pattern

approve --path "$g/app/**" --until 1h --by alice
echo new >"$g/app/one"
echo new >"$g/app/lib/two"
echo new >"$g/app/lib/added"
rm "$g/app/one"
echo new >"$g/etc/three"
excused app/lib/two "$id"
excused app/lib/added "$id"
told "\"path\":\"$g/app/one\"" '"change":"removed"' '"status":"excused"' 'by alice until' 'TICKET-1'
raised etc/three
settled
never '"path":"'"$g"'/app/lib/two"' '"status":"open"'

# Out of the pattern by rename is no change inside it.
mv "$g/app/lib/added" "$g/etc/moved"
told "\"path2\":\"$g/etc/moved\"" '"status":"open"'

# --- shown, and revoked

hf accept --list >"$tmp/list"
grep -q "^ *$id .*in force.*$g/app/\*\*.*alice" "$tmp/list" || fail "list: $(cat "$tmp/list")"
hf accept --revoke "$id" --reason done || fail "revoke"
echo after >"$g/app/lib/two"
told "\"path\":\"$g/app/lib/two\"" '"status":"open"'
hf accept --list | grep -q 'nothing is approved' || fail "still in the list"
hf accept --list --all | grep -q "^ *$id .*revoked" || fail "not in the whole list"
hf accept --revoke "$id" 2>/dev/null && fail "revoked twice"

# --- one digest: that content and no other

digest=$(printf 'release 2\n' | sha256sum | cut -d' ' -f1)
approve --path "$g/etc/three" --digest "$digest" --until 1h
echo 'release evil' >"$g/etc/three"
told "\"path\":\"$g/etc/three\"" '"status":"open"' '"digest":"'"$(echo 'release evil' | sha256sum | cut -d' ' -f1)"
echo 'release 2' >"$g/etc/three"
told "\"path\":\"$g/etc/three\"" '"status":"excused"' "$digest"

# --- it ends by itself, and holds across a restart

approve --path "$g/etc/late" --until 3s
stop
watch
echo in-time >"$g/etc/late"
excused etc/late "$id"
within 10 sh -c "! '$holdfast' -c '$tmp/conf.yaml' accept --list | grep -q '$g/etc/late'" || fail "it does not end"
echo too-late >"$g/etc/late"
told "\"path\":\"$g/etc/late\"" '"change":"changed"' '"status":"open"'
hf accept --list --all | grep -q "expired.*$g/etc/late" || fail "expiry is not shown"

# --- while no monitor runs check does it

stop
approve --path "$g/app/lib" --until 1h
echo unwatched >"$g/app/lib/two"
hf check --json "$g/app/lib" >"$tmp/check"
grep "\"path\":\"$g/app/lib/two\"" "$tmp/check" | grep '"status":"excused"' | grep -q "approval $id by" ||
	fail "check: $(cat "$tmp/check")"
hf check --open "$g/app/lib/two" >"$tmp/check" || fail "check --open: $(cat "$tmp/check")"
watch

# --- wrong use

for wrong in "--path $g/x" "--path $g/x --until 1h" "--path $g/x --until 2001-01-01 --reason x" \
	"--path $g/x --until 1h --reason x --digest zz" "--list $g" "--revoke x" "--revoke 999999 --reason x"; do
	hf accept $wrong >/dev/null 2>&1 && fail "accept $wrong succeeded"
done

# --- all of it is in the signed history

stop
command -v sqlite3 >/dev/null && {
	sqlite3 "$tmp/state/holdfast.db" "select state, count(*) from approvals group by 1" >"$tmp/view"
	grep -q 'revoked|1' "$tmp/view" && grep -q 'expired|1' "$tmp/view" || fail "view: $(cat "$tmp/view")"
}
hf baseline verify >"$tmp/verify" 2>&1 || fail "verify: $(cat "$tmp/verify")"
end
