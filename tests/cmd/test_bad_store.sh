#!/bin/sh
# Stores that are missing, corrupt, truncated, of another program, newer, read-only, locked, of somebody else; keys and head
# files that are gone. None is silently made anew.
. "$(dirname "$0")/lib.sh"
make_tree
db=$tmp/state/holdfast.db

fresh() {
	rm -rf "$tmp/state"
	cp -a "$tmp/good" "$tmp/state"
}

# loud STATUS: every command that needs the store says so, and none makes a new one.
loud() {
	hf "$1" check
	[ -s "$err" ] || fail "check says nothing"
	hf "$1" history
	hf "$1" baseline list
	hf "$1" accept --all --reason x
}

hf 66 check
hf 66 history
hf 66 accept --all --reason x
hf 66 baseline verify
[ ! -e "$db" ] || fail "a store was made by looking"

hf 0 init
cp -a "$tmp/state" "$tmp/good"

for size in 0 1 100 4096 20000; do
	fresh
	truncate -s $size "$db"
	rm -f "$db-wal" "$db-shm"
	hf 74 check
	before=$(cksum <"$db")
	hf 74 init --replace
	is "$before" "$(cksum <"$db")" "a truncated store ($size) after init"
done
fresh
head -c 65536 /dev/urandom >"$db"
rm -f "$db-wal" "$db-shm"
loud 74
fresh
printf 'Wm9yZA' | dd of="$db" bs=1 seek=5000 conv=notrunc 2>/dev/null
dd if=/dev/urandom of="$db" bs=4096 seek=2 count=20 conv=notrunc 2>/dev/null
rm -f "$db-wal" "$db-shm"
hf 74 check
rm -f "$db"
mkdir "$db"
hf 74 check

fresh
rm "$tmp/state/holdfast.head"
hf 74 check
has_err "head"
fresh
rm "$tmp/state/signing.key" "$tmp/state/signing.key.pub"
"$holdfast" -c "$tmp/holdfast.yaml" --db "$db" check >"$out" 2>"$err"
status=$?
what="check without a key"
[ "$status" -ge 64 ] || fail "check without a key: $status"
fresh
chmod 644 "$tmp/state/signing.key"
hf 77 init --replace
has_err "signing.key"

if command -v sqlite3 >/dev/null; then
	fresh
	sqlite3 "$db" 'pragma user_version = 999'
	loud 74
	has_err "newer"
	fresh
	rm -f "$db"*
	sqlite3 "$db" 'create table mine (x); insert into mine values (1)'
	loud 74
	hf 74 init
	is 1 "$(sqlite3 "$db" 'select count(*) from mine')" "somebody else's database after init"

	# Locked by another writer: reading works, writing says so and changes nothing.
	fresh
	mkfifo "$tmp/hold"
	sqlite3 "$db" <"$tmp/hold" >"$tmp/held" 2>&1 &
	pid=$!
	pids=$pid
	exec 9>"$tmp/hold"
	echo 'begin immediate; select 42;' >&9
	until_true 10 grep -q 42 "$tmp/held" || fail "no lock to test with"
	echo x >>"$tmp/tree/etc/one"
	hf 4 check
	has "NOT recorded"
	hf 75 baseline delete host
	echo 'rollback;' >&9
	exec 9>&-
	wait $pid
	pids=
	hf 4 check
	has "1 recorded in history"
	hf 0 baseline delete host
else
	echo "sqlite3 is not installed: no locked, newer or foreign store"
fi

# A store on a read-only file system.
fresh
if [ "$(id -u)" = 0 ] && unshare -m true 2>/dev/null; then
	echo y >>"$tmp/tree/etc/two"
	unshare -m sh -c "mount --bind '$tmp/state' '$tmp/state' && mount -o remount,ro,bind '$tmp/state' &&
		exec '$holdfast' -c '$tmp/holdfast.yaml' --db '$db' check" >"$out" 2>"$err"
	status=$?
	what="check on a read-only file system"
	is 4 $status "$what"
	has "NOT recorded"
	unshare -m sh -c "mount --bind '$tmp/state' '$tmp/state' && mount -o remount,ro,bind '$tmp/state' &&
		exec '$holdfast' -c '$tmp/holdfast.yaml' --db '$db' init new --root '$tmp/tree'" >"$out" 2>"$err"
	status=$?
	[ "$status" -ge 64 ] || fail "init on a read-only file system: $status"
else
	echo "no private mounts here: a read-only file system was not tried"
fi

# Somebody else's store.
if [ "$(id -u)" = 0 ] && command -v setpriv >/dev/null; then
	chmod 755 "$tmp"
	setpriv --reuid 65534 --regid 65534 --clear-groups "$holdfast" -c "$tmp/holdfast.yaml" --db "$db" check >"$out" 2>"$err"
	status=$?
	if [ "$status" = 126 ] || [ "$status" = 127 ]; then
		echo "the program is out of reach of another user: not tried"
	else
		what="check as another user"
		is 77 $status "$what"
		has_err "root"
		setpriv --reuid 65534 --regid 65534 --clear-groups "$holdfast" history --db "$db" >"$out" 2>"$err"
		is 77 $? "history as another user"
	fi
else
	echo "not root, or no setpriv: another user's store was not tried"
fi
finished
