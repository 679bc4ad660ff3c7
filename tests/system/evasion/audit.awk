# Records of auditd as lines "PID pid ppid key path", one for each path of an event; told.c reads them. "?" stands for a name that
# a record does not have in clear.
function value(key,    at, rest) {
	at = index($0, " " key "=")
	if (!at)
		return ""
	rest = substr($0, at + length(key) + 2)
	if (substr(rest, 1, 1) == "\"")
		return substr(rest, 2, index(substr(rest, 2), "\"") - 1)
	sub(/ .*/, "", rest)
	return rest ~ /^[0-9A-F]+$/ && key != "pid" && key != "ppid" ? "?" : rest
}
function tell(    i) {
	for (i = 1; i <= paths; i++)
		print "PID", pid, ppid, key, path[i]
	if (!paths && pid)
		print "PID", pid, ppid, key, "?"
	pid = paths = 0
	cwd = ""
}
{
	match($0, /audit\([0-9.]+:[0-9]+\)/)
	id = substr($0, RSTART, RLENGTH)
	if (id != last)
		tell()
	last = id
}
# A start that was refused was told as well.
/^type=SYSCALL / && (value("success") == "yes" || value("key") == "start") {
	key = value("key")
	pid = value("pid")
	ppid = value("ppid")
}
/^type=CWD / { cwd = value("cwd") }
/^type=PATH / && pid && !/nametype=PARENT/ {
	name = value("name")
	if (name ~ /^\// || name == "?" || name == "(null)" || name == "")
		path[++paths] = name ~ /^\// ? name : "?"
	else
		path[++paths] = cwd "/" name
}
END { tell() }
