#!/bin/sh
# The command line itself: help of each command from the table, near words, wrong arguments, output that cannot be written.
. "$(dirname "$0")/lib.sh"
make_tree

commands='init check accept baseline watch status history explain doctor'
subs='list show diff export import verify delete'

hf 0 --help
for c in $commands; do
	has "$c"
done
hf 0 help
hf 0 --version
grep -Eq '^holdfast [0-9]+\.[0-9]+' "$out" || fail "--version"

for c in $commands; do
	hf 0 "$c" --help
	has "usage: holdfast $c"
	has "--config FILE"
	hf 0 help "$c"
	has "usage: holdfast $c"
done
for c in $subs; do
	hf 0 baseline "$c" --help
	has "usage: holdfast baseline $c"
done
[ ! -e "$tmp/state" ] || fail "help made a store"

hf 64
has_err "no command"
hf 64 chek
has_err "did you mean 'check'"
hf 64 zzzzzz
has_err "unknown command 'zzzzzz'"
hf 64 baseline lst
has_err "did you mean 'list'"
hf 64 baseline
hf 64 check --fulll
has_err "did you mean --full"
hf 64 check --full=yes
has_err "takes no argument"
hf 64 check -Z
has_err "unknown option '-Z'"
hf 64 accept --reason
has_err "wants TEXT"
hf 64 history --limit many
has_err "want a number"
hf 64 history --since yesterdayish
has_err "want a time"
hf 64 history --kind chnge
has_err "did you mean change"
hf 64 accept x
has_err "--reason"
hf 64 accept --reason why
hf 64 init /only/a/path
has_err "NAME"
hf 64 init 'bad name' /tmp
hf 64 init -- -x /tmp
hf 64 init x --digest md5 /tmp
has_err "sha256"
hf 64 status extra
hf 64 baseline diff one
hf 64 watch --sensor telepathy
hf 64 "$(printf 'evil\033[31m')"
[ ! -e "$tmp/state/holdfast.db" ] || fail "wrong use made a store"

# Options on both sides of the command's name.
"$holdfast" --json -c "$tmp/holdfast.yaml" baseline --db "$tmp/none.db" list >"$out" 2>"$err"
is 66 $? "a store that is not there"

# Configuration.
printf 'pathz: [/etc]\nexclude: 3\n' >"$tmp/bad.yaml"
"$holdfast" -c "$tmp/bad.yaml" check >"$out" 2>"$err"
is 78 $? "configuration with errors"
what="bad configuration"
has_err "bad.yaml:1:1:"
has_err "did you mean"
has_err "bad.yaml:2:"
"$holdfast" -c "$tmp/missing.yaml" check >"$out" 2>"$err"
is 78 $? "configuration that is not there"

# Output that goes nowhere.
"$holdfast" --help >/dev/full 2>"$err"
is 74 $? "a full disk under the output"
what="full disk"
has_err "output was lost"
{
	"$holdfast" --help 2>"$err"
	echo $? >"$tmp/status"
} | :
until_true 5 test -s "$tmp/status"
is 0 "$(cat "$tmp/status")" "a reader that went away"
"$holdfast" --help >"$out" 2>"$err" <&-
is 0 $? "closed standard input"
"$holdfast" baseline list --db "$tmp/none.db" >&- 2>&-
is 66 $? "closed standard output"

finished
