#!/bin/sh
# Thousands of programs that live for a millisecond, under the real monitor: each is in the history with its arguments and
# its parent. What finds no room in the ring is counted, and a gap until it is healed.
. "$(dirname "$0")/lib.sh"
command -v sqlite3 >/dev/null || skip "no sqlite3"
in_chroot && skip "in a chroot BPF programs name files from another root"
command -v mkfs.ext4 >/dev/null || skip "no mkfs.ext4"
runs=${RUNS:-5000}

truncate -s 32M "$tmp/image"
mkfs.ext4 -q -F "$tmp/image" >/dev/null 2>&1 && mount -o loop "$tmp/image" "$g" 2>/dev/null || skip "no loop image"
cp "$(readlink -f /bin/true)" "$g/true"

source_is() {
	hf status --json 2>/dev/null | grep -qF "\"source\":\"$1\""
}
query() {
	sqlite3 "$tmp/state/holdfast.db" "$1"
}
rows() {
	got=$(query "$2")
	[ "$got" = "$1" ] || fail "$2: '$got', not '$1'"
}
stored() {
	[ "$(query "SELECT count(*) FROM execs WHERE path = '$g/true'")" -ge "$1" ]
}

config 'exec: {mode: observe, trust: [baselines]}' 'limits: {queue: 65536, processes: 65536}'
hf init -q || die "no baseline"
watch
source_is BPF || skip "no BPF here: $(hf status --json | sed -n 's/.*"source":"proc connector"[^}]*"why":"\([^"]*\)".*/\1/p')"
i=0
while [ $i -lt "$runs" ]; do
	i=$((i + 1))
	"$g/true" argument $i
done
within 20 stored "$runs" || fail "starts in the history: $(query "SELECT count(*) FROM execs WHERE path = '$g/true'")"
stop
rows "$runs|$runs" "SELECT count(*), count(DISTINCT cmdline) FROM execs WHERE path = '$g/true'"
rows "$runs" "SELECT count(*) FROM execs WHERE path = '$g/true' AND cmdline LIKE '$g/true argument %'"
rows "$runs" "SELECT count(*) FROM execs WHERE path = '$g/true' AND exe = '$g/true' AND ppid = $$ AND user = 'root'"
rows 0 "SELECT count(*) FROM gaps WHERE reason = 'proc-lost'"

# --- a ring without room
config 'exec: {mode: observe, trust: [baselines]}' 'sensors: {ring: 4K}'
watch
source_is BPF || die "BPF is not used"
big=$(head -c 3000 /dev/zero | tr '\0' x)
burst() {
	sh -c 'for j in 1 2 3 4 5 6 7 8 9 10; do "$1" "$2" & "$1" "$2" & done; wait' sh "$g/true" "$big"
	[ "$(query "SELECT count(*) FROM gaps WHERE reason = 'proc-lost'")" -gt 0 ]
}
within 30 burst || fail "nothing was lost"
hf status --json >"$tmp/status"
grep -q '"lost_records":{"fork":[0-9]*,"exec":[1-9]' "$tmp/status" || fail "status does not count what was lost"
healed() {
	[ "$(query "SELECT count(*) FROM gaps WHERE reason = 'proc-lost' AND ended IS NOT NULL")" -gt 0 ]
}
within 10 healed || fail "the gap was not healed"
stop

# --- without
config 'exec: {mode: observe, trust: [baselines]}' 'sensors: {bpf: off}'
watch
source_is 'proc connector' || fail "sensors.bpf: off is not heeded"
stop
end
