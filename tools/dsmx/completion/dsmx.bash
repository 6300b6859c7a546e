# SPDX-License-Identifier: MIT
# Completion of dsmx for bash: its own --help is the list, its ps knows sessions and workers.
_dsmx() {
	local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} command=${COMP_WORDS[1]} offer=
	if [ "$COMP_CWORD" = 1 ]; then
		before=
		offer="$(dsmx --help | sed -n 's/^  \([a-z-]*\)  .*/\1/p') --help --version"
	fi
	case $command:$before in
	import:--format) offer='tbl csv' ;;
	*:--format) offer='table csv json arrow' ;;
	import:--header) offer='match skip none' ;;
	*:--isolation) offer='none cgroup standard strict' ;;
	*:--numa) offer="off $(cat /sys/devices/system/node/online 2>/dev/null)" ;;
	ps:-s | ctl:-s | *:--session) offer=$(dsmx ps 2>/dev/null | sed -n 's/^\([0-9a-f]\{16\}\) .*/\1/p') ;;
	*:-[dfo] | *:--data | *:--file | *:--output | *:--emit-plan | *:--allow-read) ;;
	*)
		if [ "$COMP_CWORD" != 1 ] && [[ $word = -* ]]; then
			offer=$(dsmx "$command" --help 2>/dev/null | grep -o -- '^  [ -].*' | grep -oE -- '--[a-z-]+')
		elif [ "$command" = ctl ] && [ "$COMP_CWORD" != 1 ]; then
			offer="$(dsmx ctl --help | sed -n '/^verbs:/,/^$/s/^  \([a-z-]*\)  .*/\1/p') all
				$(dsmx ps 2>/dev/null | sed -n 's/^  w\([0-9]*\) .*/\1/p')"
		elif [ "$command" = gen ] && [ "$COMP_CWORD" = 2 ]; then
			offer=tpch
		fi
		;;
	esac
	if [ -n "$offer" ]; then
		mapfile -t COMPREPLY < <(compgen -W "$offer" -- "$word")
	else
		compopt -o filenames 2>/dev/null
		mapfile -t COMPREPLY < <(compgen -f -- "$word")
	fi
}
complete -F _dsmx dsmx
