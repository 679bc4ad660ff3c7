#!/bin/sh
# Connections under the real monitor: recorded with author, both ends and error, however many; rules about them; what is
# lost is a gap.
. "$(dirname "$0")/lib.sh"
command -v bash >/dev/null || skip "no bash"
command -v sqlite3 >/dev/null || skip "no sqlite3"
net=${NET:-$PWD/tests/system/net}
[ -x "$net" ] || skip "no program at $net"
ip=$(command -v ip || command -v busybox) || skip "no ip"
case $ip in *busybox) ip="$ip ip" ;; esac

cat >"$tmp/net.yaml" <<'END'
- macro: outbound
  condition: >
    ((evt.type = connect or (evt.type in (sendto, sendmsg) and fd.l4proto != tcp and fd.connected=false and
      fd.name_changed=true)) and (fd.typechar = 4 or fd.typechar = 6) and
     (fd.ip != "0.0.0.0" and fd.net != "127.0.0.0/8") and (evt.rawres >= 0 or evt.res = EINPROGRESS))
- rule: metadata service
  desc: x
  condition: outbound and fd.sip = "169.254.169.254" and fd.snet in ("169.254.0.0/16")
  output: "metadata %fd.name %fd.l4proto %fd.sport %fd.type %proc.name %evt.res"
  priority: WARNING
- rule: refused
  desc: x
  condition: evt.type = connect and fd.sip = "127.0.0.1" and evt.res = ECONNREFUSED
  output: "refused %fd.sip:%fd.rport %fd.l4proto by %proc.name"
  priority: NOTICE
- rule: named
  desc: x
  condition: evt.type = connect and fd.sip.name = www.example.org
  output: "named %fd.sip.name %fd.sip"
  priority: NOTICE
- rule: asked
  desc: x
  condition: evt.type = dns_query and hf.dns.name endswith .example.org and hf.dns.type = A and fd.sport = 53
  output: "asked %hf.dns.name %hf.dns.type at %fd.sip over %fd.l4proto by %proc.name"
  priority: NOTICE
- rule: much left
  desc: x
  condition: evt.type = tcp_close and fd.sport = 77 and hf.net.sent > 4 and hf.net.sent < 6
  output: "left %hf.net.sent came %hf.net.received by %proc.name %fd.name"
  priority: NOTICE
- rule: inherited
  desc: x
  condition: evt.type = socket_inherit and fd.sport = 13
  output: "inherited %fd.num %fd.name %fd.l4proto by %proc.name of %proc.pname"
  priority: NOTICE
- rule: reverse shell
  desc: x
  condition: evt.type in (dup, dup2, dup3) and evt.rawres in (0, 1, 2) and fd.type in (ipv4, ipv6)
  output: "shell %proc.name %evt.type %fd.num %fd.name"
  priority: WARNING
END

connections() { # WHERE: how many, those that were counted too
	sqlite3 "file:$tmp/state/holdfast.db?mode=ro" "SELECT total(count) FROM connections WHERE $1" | sed 's/\.0$//'
}
are() { # NUMBER WHERE
	[ "$(connections "$2")" = "$1" ]
}
recorded() {
	within 30 are "$@" || fail "$(connections "$2"), not $1 connections with $2"
}

shipped=$(cd "$(dirname "$0")/../.." && pwd)/conf/rules/network.yaml
config 'network: {record: all}' "rules: {files: ['$shipped', '$tmp/net.yaml'], repeat: 0}"
hf init -q || die "no baseline"
mkfifo "$tmp/hold"
bash -c 'exec 3<>/dev/udp/127.0.0.1/11; read -r _ <"$0"' "$tmp/hold" &
early=$!
pids="$pids $early"
connected() {
	[ -e /proc/$early/fd/3 ]
}
within 30 connected || die "no connection"
watch
hf status --json 2>/dev/null | grep -qF '"calls":{"source":"BPF"' || skip "no BPF program for system calls here"

# What was there before.
recorded 1 "operation = 'found' AND protocol = 'udp' AND remote_ip = '127.0.0.1' AND remote_port = 11 AND pid = $early AND exe LIKE '%/bash'"

# Nobody listens at port 1.
bash -c 'exec 3<>/dev/tcp/127.0.0.1/1' 2>/dev/null
told '"rule":"refused"' 'refused 127.0.0.1:1 tcp by bash'
recorded 1 "operation = 'connect' AND direction = 'out' AND protocol = 'tcp' AND family = 'ipv4' AND remote_ip = '127.0.0.1' \
	AND remote_port = 1 AND error = 'ECONNREFUSED' AND exe LIKE '%/bash' AND uid = 0"

# In a network of its own, and by a process that is gone at once.
unshare -n sh -c "$ip link set lo up && $ip addr add 169.254.169.254/32 dev lo && exec bash -c 'exec 3<>/dev/udp/169.254.169.254/80'" ||
	die "no network namespace"
told '"rule":"metadata service"' '->169.254.169.254:80 udp 80 ipv4 bash SUCCESS'
recorded 1 "remote_ip = '169.254.169.254' AND protocol = 'udp' AND error IS NULL AND exe LIKE '%/bash'"

bash -c 'exec 0<>/dev/udp/127.0.0.1/7'
told '"rule":"reverse shell"' 'shell bash dup2 0' '->127.0.0.1:7'
# Those that are shipped.
told '"rule":"Reverse shell"' 'is stream 0 of bash'
told '"rule":"Shell opens a connection"' '->127.0.0.1:7 udp'
told '"rule":"Cloud metadata service contacted"' '->169.254.169.254:80'

# What bash connects, another program has from it; and what that starts.
cp "$(command -v env)" "$tmp/heir"
bash -c 'exec 5<>/dev/udp/127.0.0.1/13; "$0" true; :' "$tmp/heir"
told '"rule":"inherited"' 'inherited 5 ' '->127.0.0.1:13 udp by heir of bash'
recorded 1 "operation = 'inherit' AND direction = 'out' AND protocol = 'udp' AND remote_ip = '127.0.0.1' AND remote_port = 13 \
	AND exe = '$tmp/heir'"
recorded 1 "operation = 'inherit' AND remote_port = 13 AND exe LIKE '%/true'"
hf history --kind connection | grep -F inherit | grep -qF ':13' || fail "history of what is inherited"

cp "$net" "$tmp/nc"
"$tmp/nc" pool || fail "no connection to a pool's port"
told '"rule":"Shell or netcat listens"' 'nc listens at'
told '"rule":"Port of a mining pool"' '->198.51.100.9:3333'

# All of a flood, in a few rows.
bash -c 'for i in {1..3000}; do exec 3<>/dev/udp/127.0.0.1/9; done'
recorded 3000 "remote_port = 9 AND exe LIKE '%/bash'"
[ "$(sqlite3 "file:$tmp/state/holdfast.db?mode=ro" "SELECT count(*) FROM connections WHERE remote_port = 9")" -lt 300 ] ||
	fail "a row for each"

# Short ones, both ends of each.
"$net" many || fail "no connections"
recorded 50000 "operation = 'connect' AND direction = 'out' AND remote_port = 78 AND exe LIKE '%/net' AND error IS NULL"
recorded 50000 "operation LIKE 'accept%' AND direction = 'in' AND local_port = 78 AND exe LIKE '%/net'"

# What went through, when it is over.
if hf status --json 2>/dev/null | grep -qF '"ends":true'; then
	"$net" ends || fail "no connection"
	# An end that was accepted, and handed on by a start.
	"$net" heirs "$tmp/heir" || fail "no connection to hand on"
	recorded 1 "operation = 'inherit' AND direction = 'in' AND protocol = 'tcp' AND local_port = 76 AND exe = '$tmp/heir'"
	recorded 1 "operation = 'inherit' AND direction = 'out' AND protocol = 'tcp' AND remote_port = 76 AND exe = '$tmp/heir'"
	recorded 1 "operation = 'close' AND direction = 'out' AND remote_port = 77 AND bytes_sent = 5 AND bytes_received = 7 AND open_ms >= 0 \
		AND exe LIKE '%/net'"
	recorded 1 "operation = 'close' AND direction = 'in' AND local_port = 77 AND bytes_sent = 7 AND bytes_received = 5"
	told '"rule":"much left"' 'left 5 came 7 by net 127.0.0.1:' '->127.0.0.1:77'
	hf history --kind connection | grep -F 'close' | grep -qF ':77  5 bytes sent, 7 received' || fail "history"
fi

# The name that DNS gave to a peer.
if grep -q ' - cgroup2 ' /proc/self/mountinfo && ! hf status 2>/dev/null | grep -q 'names of addresses'; then
	"$net" dns || fail "no answer of DNS"
	recorded 1 "remote_ip = '127.0.0.9' AND remote_port = 1 AND remote_name = 'www.example.org' AND error = 'ECONNREFUSED'"
	told '"rule":"named"' 'www.example.org 127.0.0.9'
	recorded 1 "remote_ip = '127.0.0.10' AND remote_port = 1 AND remote_name = 'tcp.example.org'"
	# And that it was asked for, by whom.
	if ! hf status 2>/dev/null | grep -q 'queries of DNS'; then
		recorded 1 "operation = 'query' AND protocol = 'udp' AND query = 'www.example.org' AND query_type = 'A' \
			AND remote_ip = '127.0.0.1' AND remote_port = 53 AND direction = 'out' AND exe LIKE '%/net'"
		recorded 1 "operation = 'query' AND protocol = 'tcp' AND query = 'tcp.example.org' AND exe LIKE '%/net'"
		told '"rule":"asked"' 'asked www.example.org A at 127.0.0.1 over udp by net'
		told '"rule":"asked"' 'asked tcp.example.org A at 127.0.0.1 over tcp by net'
		hf history --kind connection | grep -F 'query' | grep -qF 'tcp.example.org A  127.0.0.1:' || fail "history of queries"
	fi
fi

# Through io_uring no connect is called.
if hf status --json 2>/dev/null | grep -qF '"io_uring":true' && "$net" uring; then
	recorded 1 "operation = 'connect' AND remote_ip = '127.0.0.8' AND remote_port = 2 AND exe LIKE '%/net' AND error IS NULL"
fi

# One history for people and programs.
hf history --kind connection --json | grep -F '"operation":"connect"' | grep -F '"remote_ip":"169.254.169.254"' | grep -qF '"remote_port":80' ||
	fail "history --json"
hf history --kind connection | grep -F 'connect' | grep -qF '>169.254.169.254:80' || fail "history"
never '"kind":"gap"' '"scope":"system calls"'
hf baseline verify -q || fail "history does not verify"

# Nothing is recorded any more, which takes no restart; rules still ask.
config 'network: {record: off}' "rules: {files: ['$tmp/net.yaml'], repeat: 0}"
kill -HUP "$pid"
quiet() {
	before=$(connections "1")
	bash -c 'exec 3<>/dev/tcp/127.0.0.1/1' 2>/dev/null
	settled
	[ "$(connections "1")" = "$before" ]
}
within 30 quiet || fail "connections are recorded still"
stop

# More than the ring holds.
config 'network: {record: ip}' 'sensors: {ring: 4K}' "rules: {files: ['$tmp/net.yaml']}"
watch
flood() {
	bash -c 'for i in {1..2000}; do exec 3<>/dev/udp/127.0.0.1/$i; done'
	line '"kind":"gap"' '"scope":"system calls"' 'ring was full'
}
within 30 flood || fail "no gap though the ring is small"
stop

# A hundred thousand that are there when it starts: each in history, or counted in a gap; and the monitor does its work.
"$net" crowd >"$tmp/crowd" &
crowd=$!
pids="$pids $crowd"
gathered() {
	grep -q there "$tmp/crowd" || ! kill -0 $crowd 2>/dev/null
}
within 60 gathered
if grep -q there "$tmp/crowd"; then
	config 'network: {record: ip}'
	watch
	settled
	counted() {
		n=$(sqlite3 "file:$tmp/state/holdfast.db?mode=ro" "SELECT (SELECT count(*) FROM connections WHERE operation = 'found' AND exe LIKE '%/net') +
			(SELECT total(lost) FROM gaps WHERE scope = 'connections at the start')" | sed 's/\.0$//')
		[ "$n" -ge 100000 ]
	}
	within 60 counted || fail "$n of 100000 sockets"
	settled
	stop
else
	echo "skipped: no room for 100000 sockets here"
fi
kill $crowd 2>/dev/null

# Without BPF: what is there when it is looked, and said to be no more than that.
cat >"$tmp/found.yaml" <<'END'
- rule: found
  desc: x
  condition: evt.type = connect and fd.sip = "127.0.0.1" and fd.sport in (12, 13)
  output: "%evt.type %fd.sip:%fd.sport %fd.l4proto by %proc.name"
  priority: NOTICE
- rule: found a server
  desc: x
  condition: evt.type = listen and fd.sport = 13
  output: "%evt.type at %fd.sip:%fd.sport by %proc.name"
  priority: NOTICE
END
config 'network: {record: ip}' 'sensors: {bpf: off}' "rules: {files: ['$tmp/net.yaml', '$tmp/found.yaml']}"
hf rules list "$tmp/found.yaml" >"$tmp/rules" 2>&1
grep -q '^0 exact, 2 approximate, 0 blind' "$tmp/rules" || fail "not approximate: $(cat "$tmp/rules")"
watch
hf status --json 2>/dev/null | grep -qF '"source":"sock_diag"' || fail "nothing looks for connections"
bash -c 'exec 3<>/dev/udp/127.0.0.1/12; read -r _ <"$0"' "$tmp/hold" &
pids="$pids $!"
recorded 1 "operation = 'found' AND remote_port = 12 AND pid = $! AND exe LIKE '%/bash'"
# What is asked of the calls that make connections is asked of those that are found, with their server.
"$net" serve &
pids="$pids $!"
told '"rule":"found a server"' 'listen at 127.0.0.1:13 by net'
told '"rule":"found"' 'connect 127.0.0.1:12 udp by bash'
if line '"rule":"found"' ':13 '; then fail "a server is taken for a client"; fi
hf history --kind connection --json | grep -F '"remote_port":12' | grep -qF '"approximate":true' || fail "not marked"
line '"kind":"gap"' '"scope":"connections"' 'without BPF' || fail "no gap though it is approximate"
line '"kind":"gap"' '"scope":"system calls"' 'sensors.bpf is off' || fail "no gap though rules ask for calls"
stop
end
