#!/bin/sh
# The real monitor under valgrind: started, busy with all that it does on one file system, told to end. Nothing that it
# reads is undefined, nothing that it had is lost. What valgrind does not know of the kernel is in tests/valgrind.supp.
# usage: test_valgrind.sh [observe]: program starts of the whole host too, which takes minutes; without: files alone
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/containers.sh"

command -v valgrind >/dev/null || skip "no valgrind"
if sanitized; then skip "built with sanitizers, which do that themselves"; fi
supp=$(cd "$(dirname "$0")/.." && pwd)/valgrind.supp
program=$holdfast

# under_valgrind: each run of the program has a file of its own with what valgrind says
cat >"$tmp/under_valgrind" <<END
#!/bin/sh
exec valgrind -q --error-exitcode=99 --leak-check=full --show-leak-kinds=definite --errors-for-leak-kinds=definite \\
	--num-callers=20 --suppressions="$supp" --log-file="$tmp/valgrind.%p" "$program" "\$@"
END
chmod +x "$tmp/under_valgrind"
# Of calls that it does not know it says so and fails them; there is another way for each.
said() {
	grep -hvE 'WARNING: unhandled|write your own handler|README_MISSING|consider this a bug|bug_reports' "$tmp"/valgrind.* 2>/dev/null
}
clean() { # WHAT
	said >"$tmp/said"
	[ ! -s "$tmp/said" ] || fail "$1: $(head -60 "$tmp/said")"
	rm -f "$tmp"/valgrind.*
}

own_fs
mkdir "$g/etc" "$g/bin"
seq 1 2000 >"$g/etc/long"
cp /bin/true "$g/bin/good"
cat >"$tmp/rules.yaml" <<'END'
- list: names
  items: [long, other]
- rule: Changed
  desc: a file of the list
  condition: hf.kind = change and fd.filename in (names) and hf.path glob "*/etc/*"
  output: "changed %hf.path by %proc.name"
  priority: WARNING
END
config 'limits: {settle: 20ms}' "exec: {mode: ${1:-off}, trust: [baselines]}" "rules: {files: [$tmp/rules.yaml], repeat: 0}"
"$program" -c "$tmp/conf.yaml" rules check >"$out" 2>&1 || die "rules"
holdfast=$tmp/under_valgrind
hf init -q >"$out" 2>"$err" || die "init"
clean init

watch
echo changed >>"$g/etc/long"
echo new >"$g/etc/changed"
chmod 600 "$g/etc/changed"
mv "$g/etc/changed" "$g/etc/renamed"
rm "$g/etc/renamed"
"$g/bin/good"
cp "$g/bin/good" "$g/bin/bad" && "$g/bin/bad"
told '"kind":"change"' "$g/etc/long"
told '"kind":"alert"' "$g/etc/long"
[ "${1:-off}" = off ] || told '"kind":"exec"' "$g/bin/bad"
kill -HUP "$pid"
settled
# Health is not green: valgrind lacks some of the calls that the monitor is made for.
for command in status check; do
	hf $command >"$tmp/printed" 2>&1
	[ $? -lt 64 ] || fail "$command: $(tail -5 "$tmp/printed")"
done
stop
clean "watch and commands"
end
