#!/bin/sh
# Names that are meant to hurt: controls, invalid UTF-8, 255 bytes, paths longer than PATH_MAX, loops of links.
. "$(dirname "$0")/lib.sh"
make_tree

hostile() {
	newline=$(printf 'a\nb')
	escape=$(printf '\033[31mred\033[0m')
	bell=$(printf 'x\007\010\177')
	invalid=$(printf 'bad\377\376\300')
	c1=$(printf 'c1\302\233m')
	bidi=$(printf 'gpj.\342\200\256exe')
	long=$(printf 'n%0254d' 0)
}
hostile
cd "$tmp/tree/etc" || exit 99
for n in "$newline" "$escape" "$bell" "$invalid" "$c1" "$bidi" "$long" '-rf' ' ' '\n' '*' 'quo"te' "it's"; do
	echo before >"./$n"
	mkdir "$tmp/tree/bin/$n"
	ln -s "$n" "$tmp/tree/bin/$n/link"
done
ln -s loop "$tmp/tree/loop"
ln -s .. "$tmp/tree/bin/up"
mkfifo "$tmp/tree/fifo"
# Deeper than PATH_MAX (4096): no name that is used here is, but two halves together are.
d=$(printf 'd%0199d' 0)
half=$d/$d/$d/$d/$d/$d/$d/$d/$d/$d/$d/$d/$d
mkdir -p "$tmp/$half" "$tmp/tree/$half"
echo deep >"$tmp/$half/bottom"
mv "$tmp/$d" "$tmp/tree/$half/"

hf 0 init
hf 0 check
hf 0 check --full
for n in "$newline" "$escape" "$bell" "$invalid" "$c1" "$bidi" "$long" '-rf' ' ' '\n' '*' 'quo"te' "it's"; do
	echo after >>"./$n"
done
mv "$tmp/tree/$half/$d" "$tmp/"
echo deeper >>"$tmp/$half/bottom"
mv "$tmp/$d" "$tmp/tree/$half/"
hf 4 check
has 'a\nb'
has '\x1b[31mred\x1b[0m'
has 'bad\xff\xfe\xc0'
has '\u{9b}'
has '\u{202e}'
has '\\n'
has bottom
hf 0 history
has 'a\nb'
hf 0 history -v
hf 0 explain "./$escape"
has '\x1b[31mred'
hf 0 explain "./$invalid"
hf 0 explain "./$invalid" --json
hf 4 check --json
if command -v jq >/dev/null; then
	is 15 "$(jq -c . <"$out" | wc -l)" "lines of JSON"
	raw=$(jq -r 'select(.path_raw != null) | .path_raw' <"$out")
	is "$(printf '%s/tree/etc/%s' "$tmp" "$invalid" | od -An -v -tx1 | tr -d ' \n')" "$raw" "raw bytes of a name in JSON"
	is 1 "$(jq -r 'select(.path != null) | .path | select(endswith("a\nb"))' <"$out" | grep -c '^b$')" "a newline in JSON"
else
	echo "jq is not installed: JSON was not parsed"
fi
hf 0 accept "./$newline" "./$escape" "$tmp/tree/etc/$invalid" --reason "$(printf 'why\033[1m not')" -v
hf 0 history --kind accept
has 'x1b[1m not'
hf 0 accept --all --reason rest
hf 0 check
hf 0 baseline verify

# A tree whose own name is hostile.
mv "$tmp/tree" "$tmp/$escape$invalid"
hf 0 init evil "$tmp/$escape$invalid"
hf 0 check evil
hf 0 baseline show evil
hf 0 baseline show evil --json
hf 0 baseline list
hf 66 check "$(printf 'no\033such')"
finished
