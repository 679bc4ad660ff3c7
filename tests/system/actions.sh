# What both parts of the test of actions do with actions.table; read with `.`.

action_names='httpd mysqld debugfs kubectl apk scp nmap nc pkexec curl shred crontab sudoedit vipw unshare mount xmrig npm conmon sshd wget'

# published FOLDER: the published rule files that are there, each with ", " behind
published() {
	for file in falco_rules falco-incubating_rules falco-sandbox_rules; do
		[ ! -r "${1:-/none}/$file.yaml" ] || printf '%s/%s.yaml, ' "$1" "$file"
	done
}

# of_place PLACE NAME RULES: those of a list of published rules that fire there: on the host, in a cgroup named like a
# container's, in podman
of_place() {
	case $1-$2 in host-@*) place=@ ;; host-*) place=- ;; *) place=+ ;; esac
	printf '%s\n' "$3" | tr ';' '\n' | while read -r rule; do
		case $place$rule in
		@@* | +@* | ++* | --*) printf '%s\n' "${rule#?}" ;;
		?[@+-]*) ;;
		*) printf '%s\n' "$rule" ;;
		esac
	done
}

# wrong NAME WANT SEEN: what of the action named so is not as it should be; WANT has a rule in each line, SEEN
# "NAME<tab>PRIORITY<tab>RULE..."
wrong() {
	awk -F'\t' -v name="$1" '
		NR == FNR { if ($0 != "") want[$0] = 1; next }
		$1 != name { next }
		{ got[$3] = 1 }
		$2 ~ /^(Emergency|Alert|Critical|Error|Warning)$/ && !($3 in want) && !told[$3]++ { print name ": \"" $3 "\" as well" }
		END { for (rule in want) if (!(rule in got)) print name ": no alert of \"" rule "\"" }' "$2" "$3"
}
