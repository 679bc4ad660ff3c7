#!/bin/sh
# init and check: exit status, what is said, what is recorded.
. "$(dirname "$0")/lib.sh"
make_tree

hf 66 check
hf 66 baseline show host
hf 0 init
has "Baseline host taken"
grep -Eq '^ *entries +9$' "$out" || fail "init: not 9 entries"
grep -Eq '^ *folders +' "$out" || fail "init: folders"
has "ed25519:"
is 600 "$(stat -c %a "$tmp/state/signing.key")" "mode of the key"
is 600 "$(stat -c %a "$tmp/state/holdfast.db")" "mode of the store"
is 700 "$(stat -c %a "$tmp/state")" "mode of the folder"
hf 73 init
has_err "--replace"

hf 0 check
has "No differences"
hf 0 check --full
hf 0 check -q
[ ! -s "$out" ] || fail "check -q says something"

# Each bit of the exit status.
echo new >"$tmp/tree/etc/new"
hf 1 check
has "Added (1)"
has "new"
ln "$tmp/tree/etc/two" "$tmp/two" # its number stays taken
rm "$tmp/tree/etc/two"
hf 3 check
has "Removed (1)"
echo changed >>"$tmp/tree/etc/one"
hf 7 check
has "Changed (1)"
grep -Eq '^ +one +size +4 +-> +12$' "$out" || fail "before and after of the size"
grep -Eq ' digest +[0-9a-f]{16}\.\.\. +-> +[0-9a-f]{16}\.\.\.$' "$out" || fail "before and after of the digest"
hf 7 check -v
grep -Eq ' digest +[0-9a-f]{64} +-> +[0-9a-f]{64}$' "$out" || fail "-v: whole digests"
rm "$tmp/tree/etc/new"
hf 6 check
echo twofold >"$tmp/tree/etc/tmp"
mv "$tmp/tree/etc/tmp" "$tmp/tree/etc/two"
hf 4 check
has "Replaced (1)"
hf 4 check "$tmp/tree/etc/one"
lacks "Replaced"
hf 0 check "$tmp/tree/bin"
hf 4 check host "$tmp/tree/etc"
hf 4 check -q
(cd "$tmp/tree/etc" && "$holdfast" -c "$tmp/holdfast.yaml" --db "$tmp/state/holdfast.db" check ./one >"$out" 2>"$err")
is 4 $? "check of a relative path"

hf 73 init
hf 0 init --replace
hf 0 check
chmod 700 "$tmp/tree/bin/program"
hf 4 check
has "Attributes (1)"
grep -Eq ' mode +0755 +-> +0700$' "$out" || fail "before and after of the mode"
# Same size, same times: only --full reads it again (ctime says it anyhow).
hf 0 init --replace

# History knows what was found, once.
echo x >>"$tmp/tree/etc/one"
hf 4 check --no-record
hf 0 history --kind change --path "$tmp/tree/etc/one" --open
[ ! -s "$out" ] || fail "--no-record recorded"
hf 4 check
has "1 recorded in history"
hf 4 check
has "0 recorded in history, 1 were open there already"
hf 0 history --kind change --path "$tmp/tree/etc/one" --open
is 1 "$(wc -l <"$out")" "rows in history"

# Another algorithm, other roots.
hf 0 init tree --digest blake2b512 --root "$tmp/tree"
hf 0 check tree
cp -a "$tmp/tree" "$tmp/copy"
echo y >>"$tmp/copy/etc/sub/three"
hf 4 check tree --root "$tmp/copy"
has "three"
hf 0 history --baseline tree --kind change
[ ! -s "$out" ] || fail "a check of another root was recorded"
hf 0 init part --root "$tmp/tree" /etc
hf 0 check part
rm "$tmp/tree/bin/program"
hf 0 check part
hf 2 check tree
hf 0 init own "$tmp/tree/etc"
hf 0 check own
hf 66 check nosuch
hf 66 check tree --root "$tmp/nosuch"

# A configured path that is not there is a gap, and said.
printf 'paths: [%s/tree, %s/nothere]\n' "$tmp" "$tmp" >"$tmp/holdfast.yaml"
hf 0 init --replace
has "Not covered (1)"
has "nothere"
hf 0 history --kind gap
has "nothere"
printf 'paths: []\n' >"$tmp/holdfast.yaml"
hf 78 init --replace
has_err "no paths"

# An interrupted init leaves nothing behind. (A shell without job control lets its children ignore SIGINT.)
truncate -s 8G "$tmp/tree/large"
"$holdfast" -c "$tmp/holdfast.yaml" --db "$tmp/state/holdfast.db" init stopped "$tmp/tree" >"$out" 2>"$err" &
pid=$!
pids=$pid
until_true 10 grep -Eq 'SigBlk:.*4.03$' /proc/$pid/status
kill -TERM $pid
wait $pid
status=$?
pids=
what="interrupted init"
is 130 $status "exit status of an interrupted init"
hf 66 baseline show stopped
hf 0 baseline verify

# The summary, for people and as JSON: what has no digest (tree/large is of before) is counted, and named.
printf 'paths: [%s]\nlimits: {hash_size: 1K}\n' "$tmp/tree" >"$tmp/holdfast.yaml"
head -c 5000 /dev/zero >"$tmp/tree/etc/big"
hf 0 init --replace
has "Without a digest"
grep -Eq "etc/big +larger than limits.hash_size$" "$out" || fail "the file without a digest is not named"
grep -Eq '^ *unread +2: 2 larger than limits.hash_size$' "$out" || fail "the reason is not counted"
hf 0 init --replace --json
has '"kind":"baseline"'
has '"unread":2,"unread_reasons":{"larger than limits.hash_size":2}'
has '"signed_by":"ed25519:'
finished
