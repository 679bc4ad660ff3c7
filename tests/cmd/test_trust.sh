#!/bin/sh
# trust: add by file, digest, path and list; remove; history of both; errors; nothing that was edited is used.
. "$(dirname "$0")/lib.sh"
make_tree
bin=$tmp/tree/bin
sum=$(sha256sum <"$bin/program" | cut -d' ' -f1)
other=$(printf other | sha256sum | cut -d' ' -f1)

hf 66 trust list
hf 0 init
hf 0 trust list
has "nothing is trusted or denied by hand"

# Each way of adding.
hf 64 trust add "$bin/program"
has_err "--reason"
hf 64 trust add --reason x
hf 0 trust add "$bin/program" --reason 'CHG-1'
has "1 entry added"
hf 0 trust add "$bin/program" --reason 'again'
has "0 entries added, the others were there already"
hf 0 trust add --digest "$other" --path '/opt/app/**' --reason 'CHG-2' --until 1h
hf 0 trust list --json
is 3 "$(wc -l <"$out")" "entries"
has "\"digest\":\"$sum\""
has "\"path\":\"$bin/program\""
has '"path":"/opt/app/**"'
has '"reason":"CHG-2"'
has '"until":"'
hf 0 trust list
has "CHG-1"
hf 0 trust list -v
has "$sum"

# What is no digest, path or file.
hf 64 trust add --digest abc --reason x
has_err "too short for a SHA-256 digest"
hf 64 trust add --digest "${sum}00" --reason x
has_err "too long for a SHA-256 digest"
hf 64 trust add --digest "$(echo "$sum" | sed 's/./g/9')" --reason x
has_err "only hex digits"
hf 64 trust add --path relative --reason x
has_err "absolute path"
hf 66 trust add "$tmp/absent" --reason x
hf 0 trust add --digest "sha256:$(echo "$sum" | tr a-f A-F)" --reason x
has "0 entries added"
mkfifo "$tmp/fifo"
[ "$(timeout 10 "$holdfast" -c "$tmp/holdfast.yaml" --db "$tmp/state/holdfast.db" trust add "$tmp/fifo" --reason x 2>&1 | grep -c 'no regular file')" = 1 ] ||
	fail "a pipe was read"

# A list, as sha256sum writes it; one with errors changes nothing.
odd=$(printf 'new\nline')
echo odd >"$bin/$odd"
{
	echo "# a list"
	echo
	(cd "$bin" && sha256sum "$odd" | sed "s,  ,  $bin/,")
	echo /opt/other
	printf '%s\r\n' "$(printf third | sha256sum | cut -d' ' -f1)"
} >"$tmp/list"
hf 0 trust add --from "$tmp/list" --reason 'list'
has "3 entries added"
hf 0 trust list --json
has "$bin/new\\nline"
{
	echo "$other  fine"
	echo "${other%?}  short"
	echo "${other}0  long"
	echo "${other%?}z  bad"
	echo "$other name"
	printf '%s\0\n' "$other"
	echo relative/path
	printf '\\%s  bad\\escape\n' "$other"
} >"$tmp/bad list"
hf 65 trust add --from "$tmp/bad list" --reason x
for at in 2:1 3:1 4:64 5:65 6:65 7:1 8:68; do
	has_err "$tmp/bad list:$at: "
done
is 7 "$(wc -l <"$err")" "errors of the list"
hf 0 trust list --json
is 6 "$(wc -l <"$out")" "entries after a list with errors"
hf 66 trust add --from "$tmp/absent" --reason x
head -c 20000000 /dev/zero >"$tmp/huge"
hf 74 trust add --from "$tmp/huge" --reason x

# Removal is kept.
hf 64 trust remove 1
hf 64 trust remove --reason x
hf 64 trust remove x --reason x
hf 66 trust remove 77 --reason x
hf 0 trust remove 1 --reason 'CHG-9'
has "1 entry removed"
hf 66 trust remove 1 --reason 'CHG-9'
hf 0 trust remove --digest "$other" --path '/opt/app/**' --reason 'CHG-10'
hf 0 trust list --json
is 3 "$(wc -l <"$out")" "entries after removal"
hf 0 trust list --all
has "CHG-9"
has "removed"
hf 0 history --kind note
has "trust: 1 entry removed: CHG-9"
hf 0 baseline verify

# Runs out.
hf 0 trust add --digest "$other" --reason soon --until 1s
gone() {
	"$holdfast" -c "$tmp/holdfast.yaml" --db "$tmp/state/holdfast.db" trust list --all --json | grep -q '"state":"expired"'
}
until_true 10 gone || fail "an entry did not run out"

# Denied, beside what is trusted.
hf 64 trust deny --reason x
has_err "Give FILEs or --digest"
hf 64 trust deny "$bin/program"
has_err "--reason"
hf 64 trust deny --path /opt/app --reason x
hf 66 trust deny "$tmp/absent" --reason x
denied=$(printf denied | sha256sum | cut -d' ' -f1)
printf denied >"$bin/denied"
hf 0 trust deny "$bin/denied" --digest "$other" --reason 'CHG-3' --until 1h
hf 0 trust list --json
is 2 "$(grep -c '"state":"denied"' "$out")" "entries that deny"
grep '"state":"denied"' "$out" | grep -q "$denied" || fail "the file's digest is not denied"
hf 0 trust remove --digest "$denied" --reason x
hf 0 trust remove --digest "$other" --reason x
hf 0 trust list --json
is 0 "$(grep -c '"state":"denied"' "$out")" "entries that deny"

# Learning: nothing was seen yet.
hf 64 trust learn --yes
hf 0 trust learn
has "nothing new"

# Not in force where nobody asks.
echo 'exec: {trust: [baselines]}' >>"$tmp/holdfast.yaml"
hf 0 trust add --digest "$(printf fourth | sha256sum | cut -d' ' -f1)" --reason x
has_err 'does not name "explicit"'

# Somebody else's row.
if command -v sqlite3 >/dev/null; then
	got=$(sqlite3 "$tmp/state/holdfast.db" "SELECT count(*) FROM trusted WHERE state = 'trusted' AND reason = 'list'")
	is 3 "$got" "rows of the view"
	sqlite3 "$tmp/state/holdfast.db" "INSERT INTO trust_entry (kind, digest, added) VALUES (0, zeroblob(32), 1)"
	hf 74 trust add --digest "$(printf fifth | sha256sum | cut -d' ' -f1)" --reason x
	hf 74 baseline verify
fi
finished
