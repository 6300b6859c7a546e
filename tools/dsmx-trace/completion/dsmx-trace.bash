# SPDX-License-Identifier: MIT
# Completion of dsmx-trace for bash: its own --help is the list.
_dsmx_trace() {
	local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} command=${COMP_WORDS[1]}
	COMPREPLY=()
	if [ "$COMP_CWORD" = 1 ]; then
		mapfile -t COMPREPLY < <(compgen -W "$(dsmx-trace --help | sed -n 's/^  \([a-z]*\) .*/\1/p') --help --version" -- "$word")
		return
	fi
	case $before in
	--format) mapfile -t COMPREPLY < <(compgen -W 'text json csv openmetrics chrome html' -- "$word") ;;
	--phase) mapfile -t COMPREPLY < <(compgen -W 'request spawn first deliver total' -- "$word") ;;
	-p | --pid) mapfile -t COMPREPLY < <(compgen -W "$(dsmx-trace list 2>/dev/null | sed -n 's/.*leader, \([0-9]*\).*/\1/p')" -- "$word") ;;
	-s | --session) mapfile -t COMPREPLY < <(compgen -W "$(dsmx-trace list 2>/dev/null | sed -n 's/^session \([0-9a-f]*\):.*/\1/p')" -- "$word") ;;
	--from | --file | -o | --output) mapfile -t COMPREPLY < <(compgen -f -- "$word") ;;
	*) mapfile -t COMPREPLY < <(compgen -W "$(dsmx-trace "$command" --help 2>/dev/null | sed -n 's/^  .*\(--[a-z-]*\).*/\1/p')" -- "$word") ;;
	esac
}
complete -F _dsmx_trace dsmx-trace
