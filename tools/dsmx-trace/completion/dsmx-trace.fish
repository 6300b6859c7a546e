# SPDX-License-Identifier: MIT
# Completion of dsmx-trace for fish: its own --help is the list.
set -l commands (dsmx-trace --help | string match -rg '^  ([a-z]+) ')
complete -c dsmx-trace -f
complete -c dsmx-trace -n "not __fish_seen_subcommand_from $commands" -a "(dsmx-trace --help | string replace -rf '^  ([a-z]+) +(.*)' '\$1\t\$2')"
complete -c dsmx-trace -l format -x -a 'text json csv openmetrics chrome html'
complete -c dsmx-trace -l phase -x -a 'request spawn first deliver total'
complete -c dsmx-trace -s p -l pid -x -a "(dsmx-trace list 2>/dev/null | string match -rg 'leader, ([0-9]+)')"
complete -c dsmx-trace -s s -l session -x -a "(dsmx-trace list 2>/dev/null | string match -rg '^session ([0-9a-f]+):')"
complete -c dsmx-trace -l from -r -F
complete -c dsmx-trace -s o -l output -r -F
complete -c dsmx-trace -s d -l duration -x
complete -c dsmx-trace -s i -l interval -x
complete -c dsmx-trace -s n -l count -x
complete -c dsmx-trace -s k -l kernel
complete -c dsmx-trace -l no-scheduler
complete -c dsmx-trace -l min-us -x
complete -c dsmx-trace -l buffer -x
complete -c dsmx-trace -s w -l worker -x
complete -c dsmx-trace -s S -l stream -x
complete -c dsmx-trace -l file -r -F
complete -c dsmx-trace -l heat
complete -c dsmx-trace -l all
complete -c dsmx-trace -l on
complete -c dsmx-trace -l off
