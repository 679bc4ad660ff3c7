#!/bin/sh
# System calls under the real monitor: rules see those they ask for, with arguments, errors and author; nothing is loaded
# while no rule asks.
. "$(dirname "$0")/lib.sh"
command -v setpriv >/dev/null || skip "no setpriv"

cat >"$tmp/calls.yaml" <<'END'
- rule: new network
  desc: a network namespace is made
  condition: evt.type=unshare and evt.arg.flags contains CLONE_NEWNET and evt.res=SUCCESS
  output: made by %proc.name %evt.arg.flags %evt.res
  priority: WARNING
- rule: new network refused
  desc: an attempt that fails
  condition: evt.type=unshare and evt.failed=true
  output: tried by %proc.name as %user.name %evt.arg.flags %evt.res %evt.rawres
  priority: WARNING
- rule: root changed
  desc: chroot
  condition: evt.type=chroot and evt.arg.path startswith /nonexistent
  output: chroot to %evt.arg.path %evt.res
  priority: NOTICE
END
cat >"$tmp/none.yaml" <<'END'
- rule: shell
  desc: no system call
  condition: evt.type=execve and proc.name=nothing
  output: x
  priority: NOTICE
END

calls_are() {
	hf status --json 2>/dev/null | grep -qF "\"calls\":{\"source\":$1"
}

config "rules: {files: ['$tmp/calls.yaml']}"
hf init -q || die "no baseline"
watch
calls_are '"BPF"' || skip "no BPF program for system calls here"
unshare -n true || skip "no network namespace"
# By unshare, though it runs another program right after.
told '"rule":"new network"' 'made by unshare CLONE_NEWNET SUCCESS'
setpriv --reuid 65534 --regid 65534 --clear-groups --bounding-set -all unshare -n true 2>/dev/null
told '"rule":"new network refused"' 'CLONE_NEWNET EPERM -1'
chroot "/nonexistent place" true 2>/dev/null
told '"rule":"root changed"' '/nonexistent place ENOENT'
unshare -u true
settled
[ "$(lines '"rule":"new network"')" = 1 ] || fail "another namespace is not the network's"
stop

config "rules: {files: ['$tmp/none.yaml']}"
watch
calls_are null || fail "a program is loaded though no rule asks"
stop
end
