#!/bin/sh
# The manual says what --help says: every command and option is in it, and it is clean.
. "$(dirname "$0")/lib.sh"
make_tree
man=$here/../../man/holdfast.8

[ -e "$man" ] || skip "no manual at $man"
plain=$tmp/plain
sed 's/\\-/-/g; s/ Ns / /g' "$man" >"$plain"
for c in init check accept baseline watch status history explain doctor rules trust quarantine release; do
	hf 0 "$c" --help
	grep -Eq "(Cm|Ss) $c( |\$)" "$plain" || fail "the manual does not name $c"
	for o in $(sed -n 's/^  *\(-[a-z], \)\{0,1\}--\([a-z-]*\).*/\2/p' "$out"); do
		grep -q -e "Fl -$o" "$plain" || fail "the manual does not name --$o of $c"
	done
done
for c in list show diff export import verify delete; do
	hf 0 baseline "$c" --help
	grep -q "Cm $c" "$plain" || fail "the manual does not name baseline $c"
done
for c in list restore delete; do
	hf 0 quarantine "$c" --help
	grep -q "Cm $c" "$plain" || fail "the manual does not name quarantine $c"
done
for c in list add remove learn; do
	hf 0 trust "$c" --help
	grep -q "Cm $c" "$plain" || fail "the manual does not name trust $c"
	for o in $(sed -n 's/^  *\(-[a-z], \)\{0,1\}--\([a-z-]*\).*/\2/p' "$out"); do
		grep -q -e "Fl -$o" "$plain" || fail "the manual does not name --$o of trust $c"
	done
done
if command -v mandoc >/dev/null; then
	for page in "$here"/../../man/*.[1-8]; do
		mandoc -T lint -W warning "$page" >"$out" 2>"$err" || fail "mandoc: $page"
	done
else
	echo "mandoc is not installed: the pages were not linted"
fi
finished
