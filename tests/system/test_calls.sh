#!/bin/sh
# System calls under the real monitor: rules see those they ask for, with arguments, errors and author; nothing is loaded
# while no rule asks.
. "$(dirname "$0")/lib.sh"
act=${ACT:-$PWD/tests/system/act}
[ -x "$act" ] || skip "no $act"
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
- rule: mode
  desc: also where nothing is watched, also one that fails, once
  condition: evt.type in (chmod, fchmod, fchmodat, fchmodat2) and evt.arg.mode contains S_ISUID
  output: mode %evt.arg.filename %evt.arg.mode %evt.res by %proc.name
  priority: NOTICE
- rule: flags
  desc: chattr
  condition: evt.type=ioctl and evt.arg.request in (FS_IOC_SETFLAGS, FS_IOC_FSSETXATTR) and evt.arg.flags contains FS_NODUMP_FL
  output: flags %fd.name %evt.arg.flags by %proc.name
  priority: NOTICE
- rule: code
  desc: memory becomes code, in programs that are named here
  condition: evt.type in (mmap, mprotect, pkey_mprotect) and evt.arg.prot contains PROT_EXEC and proc.name = act
  output: code by %evt.type %evt.arg.prot %evt.res
  priority: NOTICE
- rule: any code
  desc: what is not made executable, or is a file's, is no event
  condition: evt.type in (mmap, mprotect) and not evt.arg.prot contains PROT_EXEC
  output: no code by %evt.type %evt.arg.prot
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

config "rules: {files: ['$tmp/calls.yaml'], repeat: 0}"
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
# One alert though the file is watched and told as changed too.
echo x >"$g/prog"
chmod 4711 "$g/prog"
told '"rule":"mode"' "mode $g/prog " 'S_ISUID SUCCESS by chmod'
within 30 line '"kind":"change"' "$g/prog" || fail "no change"
# Of a file that is not watched, and in vain.
setpriv --reuid 65534 --regid 65534 --clear-groups --bounding-set -all chmod 4755 /etc/passwd 2>/dev/null
told '"rule":"mode"' 'mode /etc/passwd ' 'S_ISUID EPERM by chmod'
if command -v chattr >/dev/null; then
	chattr +d "$g/prog" 2>/dev/null
	told '"rule":"flags"' "flags $g/prog FS_NODUMP_FL" 'by chattr'
fi
"$act" code || fail "act code"
told '"rule":"code"' 'code by mmap PROT_READ|PROT_WRITE|PROT_EXEC SUCCESS'
told '"rule":"code"' 'code by mprotect PROT_READ|PROT_EXEC SUCCESS'
told '"rule":"code"' 'code by pkey_mprotect PROT_EXEC SUCCESS'
unshare -u true
settled
never '"rule":"any code"'
[ "$(lines '"rule":"mode"' "$g/prog")" = 1 ] || fail "a change of mode raises two alerts"
# By what it says, not by their number: others on this machine may make networks too.
never '"rule":"new network"' 'made by unshare CLONE_NEWUTS SUCCESS'
stop

config "rules: {files: ['$tmp/none.yaml']}"
watch
calls_are null || fail "a program is loaded though no rule asks"
stop
end
