#!/bin/sh
# history: filters, JSON, following; status without a monitor; explain.
. "$(dirname "$0")/lib.sh"
make_tree
etc=$tmp/tree/etc

hf 66 history
hf 0 init
echo more >>"$etc/one"
hf 4 check
echo new >"$etc/new"
hf 5 check
hf 0 history
has "$etc/one"
is "$etc/new" "$(awk '$0 ~ /tree/ {for (i = 1; i <= NF; i++) if ($i ~ /tree/) {print $i; exit}}' "$out")" "newest first"
hf 0 history --limit 1
is 1 "$(wc -l <"$out")" "--limit 1"
hf 0 history --kind change,note
hf 0 history --kind open
[ ! -s "$out" ] || fail "there were no opens"
hf 0 history --since 1h --kind change
is 2 "$(wc -l <"$out")" "changes of the last hour"
hf 0 history --until 1h
[ ! -s "$out" ] || fail "nothing is older than an hour"
hf 0 history --path "$etc/one" --kind change
is 1 "$(wc -l <"$out")" "one path"
hf 0 history --path "$etc" --kind change
is 2 "$(wc -l <"$out")" "a folder"
hf 0 history --path "$etc/n*" --kind change
is 1 "$(wc -l <"$out")" "a glob"
hf 0 history --pid 1
[ ! -s "$out" ] || fail "init has done nothing"
hf 0 history --baseline host --open
is 2 "$(wc -l <"$out")" "open ones"
hf 0 history --baseline nosuch
[ ! -s "$out" ] || fail "history of a baseline that is not there"

if command -v jq >/dev/null; then
	hf 0 history --json --kind change --path "$etc/one"
	is change "$(jq -r .kind <"$out")" "kind"
	is "$etc/one" "$(jq -r .path <"$out")" "path"
	is changed "$(jq -r .change <"$out")" "change"
	is 4 "$(jq -r .before.size <"$out")" "before"
	is 9 "$(jq -r .after.size <"$out")" "after"
	is true "$(jq -r '.attributes | contains(["size", "digest"])' <"$out")" "attributes"
	is false "$(jq -r 'has("process")' <"$out")" "a process that nobody knows"
	hf 5 check --json
	is 2 "$(jq -r 'select(.kind == "change") | .change' <"$out" | grep -c .)" "changes in check --json"
	is 1 "$(jq -r 'select(.kind == "summary") | .changes.added' <"$out")" "summary of check --json"
else
	echo "jq is not installed: JSON was not parsed"
fi

# Following.
"$holdfast" -c "$tmp/holdfast.yaml" --db "$tmp/state/holdfast.db" history --follow >"$tmp/follow" 2>&1 &
pid=$!
pids=$pid
until_true 10 grep -q "$etc/new" "$tmp/follow" || fail "--follow does not begin with the last rows"
echo later >"$etc/later"
hf 5 check
until_true 10 grep -q "$etc/later" "$tmp/follow" || fail "--follow does not tell of a new row"
is 1 "$(grep -c "$etc/later" "$tmp/follow")" "new rows told"
kill -INT $pid
wait $pid
status=$?
pids=
is 0 $status "exit status of --follow after SIGINT"
# A reader that goes away ends it too.
mkfifo "$tmp/fifo"
"$holdfast" -c "$tmp/holdfast.yaml" --db "$tmp/state/holdfast.db" history --follow >"$tmp/fifo" 2>"$err" &
pid=$!
pids=$pid
head -n 1 <"$tmp/fifo" >/dev/null
until_true 10 sh -c "! kill -0 $pid 2>/dev/null || grep -q 'State:.Z' /proc/$pid/status" || fail "--follow goes on without a reader"
wait $pid
status=$?
pids=
is 0 $status "exit status of --follow without a reader"

hf 1 status
has "not running"
hf 1 status --json
hf 0 explain "$etc/one"
has "guarded"
has "size"
has "changed"
hf 0 explain /nowhere
has "not guarded"
hf 0 explain "$tmp"
has "on the way"
printf 'paths: [%s/tree]\nexclude: ["*.swp"]\ncontrol: %s/control.sock\n' "$tmp" "$tmp" >"$tmp/holdfast.yaml"
hf 0 explain "$etc/x.swp"
has "left out"
has "*.swp"
finished
