#!/bin/sh
# More differences than the report keeps: all are told, recorded, accepted; nothing is lost on the way.
. "$(dirname "$0")/lib.sh"
make_tree

hf 0 init
mkdir "$tmp/tree/many"
(cd "$tmp/tree/many" && seq 10500 | xargs touch)
hf 1 check
has "More than 10000 differences"
has "10,501 differences: 10,501 added"
has "10,501 recorded in history"
is 10501 "$(grep -Ec '^ +[0-9]+ +file |^[0-9:.]+ +added |^ +many +directory' "$out")" "differences told"
hf 1 check -q
hf 1 check --json
is 10502 "$(wc -l <"$out")" "lines of check --json"
hf 0 history --open -n 20000
is 10501 "$(wc -l <"$out")" "open deviations"
hf 0 accept "$tmp/tree/many/1*" --reason 'ones'
hf 1 check
lacks "More than"
hf 0 accept --all --reason 'the rest'
hf 0 check
rm -r "$tmp/tree/many"
hf 2 check
has "10,501 removed"
hf 0 accept --all --reason 'gone'
hf 0 check --full
hf 0 baseline verify
finished
