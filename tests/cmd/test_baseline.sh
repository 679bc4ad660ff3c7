#!/bin/sh
# baseline list, show, diff, export, import, verify, delete.
. "$(dirname "$0")/lib.sh"
make_tree
db=$tmp/state/holdfast.db

hf 66 baseline list
hf 0 init
hf 0 init tree --root "$tmp/tree"
hf 0 baseline list
has host
has tree
is 3 "$(wc -l <"$out")" "rows of the list"
hf 0 baseline show host
has "$tmp/tree"
has "ed25519:"
has "sha256"
hf 66 baseline show nosuch
hf 0 baseline list --json
hf 0 baseline show tree --json
if command -v jq >/dev/null; then
	is tree "$(jq -r .baseline <"$out")" "baseline show --json"
	is / "$(jq -r '.scope.paths[0].path' <"$out")" "its scope"
fi

# diff
cp -a "$tmp/tree" "$tmp/copy"
echo more >>"$tmp/copy/etc/one"
rm "$tmp/copy/etc/two"
echo new >"$tmp/copy/etc/new"
hf 0 init copy --root "$tmp/copy"
hf 7 baseline diff tree copy
has "Added (1)"
has "Removed (1)"
has "1 added, 1 removed"
hf 0 baseline diff tree tree
has "No differences"
hf 66 baseline diff tree nosuch

# export and import
hf 0 baseline export tree -o "$tmp/tree.hfb"
is 600 "$(stat -c %a "$tmp/tree.hfb")" "mode of the exported file"
"$holdfast" -c "$tmp/holdfast.yaml" --db "$db" baseline export tree >"$out" 2>"$err"
is 0 $? "export to standard output"
cmp -s "$out" "$tmp/tree.hfb" || fail "export to standard output is another file"
: >"$out"
hf 73 baseline export tree -o "$tmp/nosuch/tree.hfb"
hf 73 baseline import "$tmp/tree.hfb"
hf 0 baseline import "$tmp/tree.hfb" --name again
hf 0 baseline import "$tmp/tree.hfb" --name keyed --key "$tmp/state/signing.key.pub"
hf 0 baseline diff tree again
hf 0 check again
# Another store, another key.
mkdir "$tmp/other"
"$holdfast" --db "$tmp/other/o.db" -c "$tmp/holdfast.yaml" baseline import "$tmp/tree.hfb" --key "$tmp/state/signing.key.pub" >"$out" 2>"$err"
is 0 $? "import into a new store"
"$holdfast" --db "$tmp/other/o.db" -c "$tmp/holdfast.yaml" check tree >"$out" 2>"$err"
is 0 $? "check with the imported one"
hf 65 baseline import "$tmp/tree.hfb" --name wrongkey --key "$tmp/other/signing.key.pub"
hf 66 baseline show wrongkey
# Truncated, edited, something else.
size=$(stat -c %s "$tmp/tree.hfb")
head -c $((size / 2)) "$tmp/tree.hfb" >"$tmp/half.hfb"
hf 65 baseline import "$tmp/half.hfb" --name half
cp "$tmp/tree.hfb" "$tmp/edited.hfb"
printf 'X' | dd of="$tmp/edited.hfb" bs=1 seek=$((size * 2 / 3)) conv=notrunc 2>/dev/null
hf 65 baseline import "$tmp/edited.hfb" --name edited
head -c 4096 /dev/urandom >"$tmp/noise"
hf 65 baseline import "$tmp/noise"
: >"$tmp/empty"
hf 65 baseline import "$tmp/empty"
hf 66 baseline import "$tmp/nosuch"
hf 0 baseline list
lacks half
lacks edited

# delete
hf 0 baseline delete again
hf 66 baseline show again
hf 66 baseline delete again
hf 0 history
has "deleted"
hf 0 baseline verify
has good
lacks BAD
hf 0 baseline verify tree
hf 66 baseline verify nosuch

# What verify is for.
if command -v sqlite3 >/dev/null; then
	cp -a "$tmp/state" "$tmp/saved"
	sqlite3 "$db" "update file set size = size + 1 where id = (select id from file where name = cast('one' as blob) limit 1)"
	hf 74 baseline verify
	has BAD
	rm -rf "$tmp/state"
	cp -a "$tmp/saved" "$tmp/state"
	sqlite3 "$db" "delete from event where id = (select max(id) from event)"
	hf 74 baseline verify
	rm -rf "$tmp/state"
	cp -a "$tmp/saved" "$tmp/state"
	hf 0 baseline verify
	# An older copy of the database, all its signatures good.
	echo x >>"$tmp/tree/etc/one"
	hf 4 check
	cp "$tmp/saved/holdfast.db" "$db"
	rm -f "$db-wal" "$db-shm"
	hf 74 check
	has_err "NOT TO BE TRUSTED"
	hf 74 baseline verify
	hf 74 init --replace
	hf 74 init another --root "$tmp/tree"
else
	echo "sqlite3 is not installed: nothing was edited"
fi
finished
