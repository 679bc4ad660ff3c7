#!/bin/sh
# accept: by path, folder, glob, number, all; until a time; what was seen and not what is there now.
. "$(dirname "$0")/lib.sh"
make_tree
etc=$tmp/tree/etc

hf 0 init
echo more >>"$etc/one"
echo new >"$etc/new"
rm "$etc/two"
echo deep >>"$etc/sub/three"
chmod 700 "$tmp/tree/bin/program"
hf 66 accept --all --reason 'history knows of nothing yet'
has_err "nothing to accept"
hf 7 check
hf 0 history --open
is 5 "$(wc -l <"$out")" "open deviations"
hf 66 accept "$tmp/tree/nosuch" --reason x

# One path.
hf 0 accept "$etc/one" --reason 'CHG-1'
has "1 deviation of baseline host accepted"
hf 7 check
lacks " one "
hf 0 history --open
is 4 "$(wc -l <"$out")" "open deviations after one was accepted"
hf 0 history --kind accept
has "CHG-1"
has "$etc/one"
# By number.
hf 0 history --open --path "$etc/new"
id=$(awk '{print $2}' "$out")
hf 64 accept --id x --reason y
hf 66 accept --id 999999 --reason y
hf 0 accept --id "$id" --reason 'CHG-2'
hf 6 check
# A removed file, by glob.
hf 0 accept "$tmp/tree/**/two" --reason 'CHG-3'
hf 4 check
# A folder.
hf 0 accept "$etc/sub" --reason 'CHG-4'
hf 4 check
lacks three
has program
# All.
hf 0 accept --all --reason 'CHG-5' --json
hf 0 check
hf 0 check --full
hf 0 baseline verify
hf 66 accept --all --reason 'nothing left'

# Changed since: what was recorded is accepted, and that is said.
echo a >>"$etc/one"
hf 4 check
echo b >>"$etc/one"
hf 0 accept "$etc/one" --reason 'CHG-6'
has_err "has changed since"
hf 4 check
hf 0 accept "$etc/one" --reason 'CHG-7'
lacks "since"
hf 0 check

# A change that is undone is closed by the next check.
cp -p "$etc/sub/three" "$tmp/three"
mv "$etc/sub/three" "$tmp/kept"
hf 2 check
hf 0 history --open
is 1 "$(wc -l <"$out")" "open before it came back"
mv "$tmp/kept" "$etc/sub/three"
hf 4 check --no-record
# mv changes ctime: accepted as attributes, or seen as such.
hf 4 check
hf 0 accept --all --reason 'moved back'
hf 0 check

# For a time only.
echo c >>"$etc/one"
hf 4 check
hf 64 accept "$etc/one" --reason x --until 2001-01-01
hf 64 accept "$etc/one" --reason x --until someday
hf 0 accept "$etc/one" --reason 'for now' --until 1h
has "until"
hf 0 history --open
[ ! -s "$out" ] || fail "accepted for an hour, and still open"
hf 4 check
hf 0 history --kind change --path "$etc/one" --limit 1
has "[accepted]"
echo d >>"$etc/one"
hf 4 check
hf 0 history --open
is 1 "$(wc -l <"$out")" "another change of a file that was accepted for an hour"
hf 0 accept "$etc/one" --reason 'briefly' --until 1s
until_true 10 sh -c "'$holdfast' -c '$tmp/holdfast.yaml' --db '$tmp/state/holdfast.db' history --open | grep -q ." ||
	fail "the time was up, and the deviation is not open again"
hf 0 baseline verify

# Another baseline.
hf 0 init tree --root "$tmp/tree"
echo e >>"$etc/two2"
hf 1 check tree
hf 66 accept /etc/two2 --reason x
hf 0 accept /etc/two2 --reason x --baseline tree
hf 0 check tree
if command -v sqlite3 >/dev/null; then
	user=$(sqlite3 "$tmp/state/holdfast.db" "select distinct by_user from history where kind = 'accept'")
	case $user in
	"$(id -un)"*) ;;
	*) fail "accepted by '$user'" ;;
	esac
else
	echo "sqlite3 is not installed: the account was not looked at"
fi
finished
