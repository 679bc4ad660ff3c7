#!/bin/sh
# Kernels where BPF programs do not load, each made for the monitor alone: without BTF, without bpf(2), and one that does not
# permit it. It starts, doctor and status say which part is missing, why, and what is lost by it; starts of programs,
# connections and logins are still told.
. "$(dirname "$0")/lib.sh"
command -v bash >/dev/null || skip "no bash"
command -v sqlite3 >/dev/null || skip "no sqlite3"
act=${ACT:-$PWD/tests/system/act}
[ -x "$act" ] || skip "no program at $act"
real=$holdfast
cp "$(readlink -f /bin/true)" "$g/true"
cat >"$tmp/rules.yaml" <<'END'
- rule: connected
  desc: x
  condition: evt.type = connect and fd.sport = 12
  output: "connect %fd.name by %proc.name"
  priority: NOTICE
- rule: traced
  desc: x
  condition: evt.type = ptrace
  output: "ptrace by %proc.name"
  priority: NOTICE
END
mkfifo "$tmp/hold"

# gap_of SCOPE WORD...: it is open, with these words
gap_of() {
	scope=$1
	shift
	tr '{' '\n' <"$tmp/status" | grep -F "\"scope\":\"$scope\"" >"$tmp/gap" || return 1
	for word; do grep -qF -- "$word" "$tmp/gap" || return 1; done
}
rows() { # SQL
	[ "$(sqlite3 "file:$tmp/state/holdfast.db?mode=ro" "SELECT count(*) FROM $1")" -gt 0 ]
}
login() { # ACCOUNT
	printf '[7] [4194002] [ts/7] [%-8s] [pts/7       ] [192.0.2.1           ] [0.0.0.0        ] [%s]\n' "$1" \
		"$(date -u +%Y-%m-%dT%H:%M:%S,000000+00:00)" | utmpdump -r 2>/dev/null >>"$tmp/wtmp"
}

# without NAME WHY: the same for each of them
without() {
	why=$2
	hf doctor >"$out" 2>"$err" || fail "$1: doctor"
	for part in BPF:'the proc connector stands in' 'system calls:rules about system calls are blind' \
		opens:'rules see opens of `sensitive` alone' network:'connections are looked for' \
		'network policies:deny nothing' 'exec refusals:killed late'; do
		grep -E "^  ${part%%:*} +missing " "$out" | grep -F "$why" | grep -qF "${part#*:}" ||
			fail "$1: doctor of ${part%%:*}: $(grep -F "  ${part%%:*}" "$out")"
	done
	grep -Eq '^  proc connector +ok' "$out" || skip "no proc connector here"
	: >"$tmp/wtmp"
	watch
	hf status --json >"$tmp/status"
	grep -q '"health":"[a-z]' "$tmp/status" && ! grep -q '"health":"green"' "$tmp/status" || fail "$1: status finds nothing wrong"
	grep -qF '"source":"proc connector"' "$tmp/status" && grep -qF "\"why\":\"BPF: $why" "$tmp/status" ||
		fail "$1: status of processes: $(grep -o '"processes":{[^}]*' "$tmp/status")"
	grep -qF '"source":"sock_diag"' "$tmp/status" || fail "$1: nothing looks for connections"
	gap_of 'system calls' "$why" || fail "$1: no gap of system calls"
	gap_of connections 'without BPF' || fail "$1: no gap of connections"
	gap_of 'network policies' "$why" || fail "$1: no gap of policies"
	"$g/true" "of $1"
	within 30 rows "execs WHERE path = '$g/true' AND cmdline LIKE '%of $1' AND ppid = $$" || fail "$1: no start"
	bash -c 'exec 3<>/dev/udp/127.0.0.1/12; read -r _ <"$0"' "$tmp/hold" &
	holder=$!
	pids="$pids $holder"
	within 30 rows "connections WHERE remote_port = 12 AND pid = $holder AND exe LIKE '%/bash'" || fail "$1: no connection"
	told '"rule":"connected"' '127.0.0.1:12 by bash'
	if command -v utmpdump >/dev/null; then
		login "$1"
		told '"operation":"login"' "\"account\":\"$1\""
	fi
	stop
	kill "$holder"
	wait "$holder" 2>/dev/null
}

config 'exec: {mode: observe, trust: [baselines]}' "users: {files: ['$tmp/wtmp']}" "rules: {files: ['$tmp/rules.yaml'], repeat: 0}" \
	"network: {mode: enforce, record: all, policies: [{name: tiny, program: '$g/true', deny: ['192.0.2.0/24']}]}"
: >"$tmp/wtmp"
hf init -q || die "no baseline"

hf doctor 2>/dev/null | grep -q 'built without it' && skip "built without BPF"
printf '#!/bin/sh\nexec "%s" nobpf $without "%s" "$@"\n' "$act" "$real" >"$tmp/holdfast"
chmod 755 "$tmp/holdfast"
holdfast=$tmp/holdfast
export without
without=there
hf --version >/dev/null || skip "system calls cannot be refused here"
without there 'the kernel has no bpf(2)'
without=permitted
without permitted 'the kernel does not permit it'

# libbpf looks at all of them.
holdfast=$real
[ ! -d /sys/kernel/btf ] || mount -t tmpfs none /sys/kernel/btf || skip "BTF cannot be hidden here"
release=$(uname -r)
for f in "/boot/vmlinux-$release" "/lib/modules/$release/vmlinux-$release" "/lib/modules/$release/build/vmlinux" \
	"/usr/lib/modules/$release/kernel/vmlinux" "/usr/lib/debug/boot/vmlinux-$release" "/usr/lib/debug/boot/vmlinux-$release.debug" \
	"/usr/lib/debug/lib/modules/$release/vmlinux"; do
	[ ! -e "$f" ] || mount --bind /dev/null "$f" || skip "BTF cannot be hidden here"
done
without btf 'the kernel has no BTF'
end
