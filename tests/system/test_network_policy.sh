#!/bin/sh
# Policies of the network in a real container: what is denied fails with EPERM and is told, everything else goes on; other
# policies take no restart, and none hold when the monitor is killed.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/containers.sh"
command -v bash >/dev/null || skip "no bash"
command -v sqlite3 >/dev/null || skip "no sqlite3"
cgroups v1
own_fs
podman_setup

shipped=$(cd "$(dirname "$0")/../.." && pwd)/conf/rules/holdfast.yaml
policy() { # MODE
	config "network: {mode: $1, record: ip, protect: [dns], policies: [{name: tiny, image: 'localhost/tiny*', allow: '127.66.1.0/24:3', deny: ['127.66.1.0/24', '::1']}]}" \
		"containers: {stores: ['$fs/graph']}" \
		"rules: {files: ['$shipped'], repeat: 0}"
}
denials() { # WHERE
	sqlite3 "file:$tmp/state/holdfast.db?mode=ro" "SELECT total(count) FROM connections WHERE $1" | sed 's/\.0$//'
}
denied() {
	[ "$(denials "$1")" -gt 0 ] 2>/dev/null
}

policy enforce
hf init -q || die "no baseline"
watch
hf status --json 2>/dev/null | grep -qF '"mode":"enforce"' || skip "no policies of the network here: $(grep 'network policies' "$err")"

# Asked for by files: to ADDRESS PORT, and what came of it.
cat >"$fs/vol/serve" <<'END'
while :; do
	while ! [ -e /vol/ask ]; do sleep 0.05; done
	busybox nc $(cat /vol/ask) </dev/null >/tmp/said 2>&1
	rm /vol/ask
	mv /tmp/said /vol/said
done
END
run_container policy -d -v "$fs/vol:/vol" "$image" sh /vol/serve || die "podman: $(cat "$tmp/podman.err")"
answered() {
	[ -e "$fs/vol/said" ]
}
says() { # WORDS ADDRESS PORT
	rm -f "$fs/vol/said"
	echo "$2 $3" >"$fs/vol/ask.new"
	mv "$fs/vol/ask.new" "$fs/vol/ask"
	within 30 answered || return 1
	grep -qF "$1" "$fs/vol/said"
}
expect() {
	within 30 says "$@" || fail "$2 $3: $(cat "$fs/vol/said"), not $1"
}

# At first the container may not be known.
expect 'not permitted' 127.66.1.1 2
expect 'refused' 127.66.1.1 3
expect 'refused' 127.66.2.1 2
if [ -e /proc/net/if_inet6 ] && grep -q '^0*1 ' /proc/net/if_inet6; then expect 'not permitted' ::1 2; fi
# The host is another.
bash -c 'exec 3<>/dev/tcp/127.66.1.1/2' 2>&1 | grep -qF 'refused' || fail "the host is denied"

within 30 denied "verdict = 'denied' AND policy = 'tiny: 127.66.1.0/24' AND error = 'EPERM' AND operation = 'connect' AND remote_ip = '127.66.1.1' \
	AND remote_port = 2 AND direction = 'out' AND image LIKE 'localhost/tiny%' AND exe LIKE '%/busybox'" || fail "it is not in history"
told '"rule":"Connection denied by policy"' 'Connection to 127.66.1.1 port 2 tcp is denied by policy tiny: 127.66.1.0/24' 'image=localhost/tiny'
[ "$(denials "verdict IS NOT NULL AND (remote_port = 3 OR remote_ip = '127.66.2.1')")" = 0 ] || fail "what is allowed is told as denied"
# Recorded as what the policy did, and by that alone: what came after it is in history, too.
within 30 denied "verdict IS NULL AND remote_ip = '127.66.1.1' AND remote_port = 3 AND error = 'ECONNREFUSED'" || fail "what is allowed is not recorded"
[ "$(denials "verdict IS NULL AND remote_ip = '127.66.1.1' AND error = 'EPERM'")" = 0 ] || fail "what is denied is recorded twice"

# Only observed, from one moment to the next.
policy observe
kill -HUP "$pid"
expect 'refused' 127.66.1.1 2
within 30 denied "verdict = 'unexpected' AND policy = 'tiny: 127.66.1.0/24' AND error IS NULL" || fail "what is observed is not in history"
policy enforce
kill -HUP "$pid"
expect 'not permitted' 127.66.1.1 2

# Nobody is left without a network by a monitor that died.
stop KILL
expect 'refused' 127.66.1.1 2
end
