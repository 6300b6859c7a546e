# SPDX-License-Identifier: MIT
# Completion of dsmx for fish: its own --help is the list, its ps knows sessions and workers.
set -l commands (dsmx --help | string match -rg '^  ([a-z-]+)  ')
complete -c dsmx -f
complete -c dsmx -n "not __fish_seen_subcommand_from $commands" -a "(dsmx --help | string replace -rf '^  ([a-z-]+) +(.*)' '\$1\t\$2')"
for command in $commands
	for line in (dsmx $command --help | string match -r '^  [ -].*--[a-z-]+.*')
		set -l long (string match -rg -- '--([a-z-]+)' $line)[1]
		set -l short (string match -rg -- '^  -([a-z]),' $line)
		set -l more (string match -rg -- '--[a-z-]+ [A-Z]+ +(.*)' $line)
		set -l takes
		test -n "$more"; and set takes -r; or set more (string match -rg -- '--[a-z-]+ +(.*)' $line)
		contains -- $long data file output emit-plan allow-read; and set takes -r -F
		test -n "$short"; and set short -s $short
		complete -c dsmx -n "__fish_seen_subcommand_from $command" -l $long $short $takes -d "$more"
	end
end
complete -c dsmx -n '__fish_seen_subcommand_from run explain' -l format -x -a 'table csv json arrow'
complete -c dsmx -n '__fish_seen_subcommand_from import' -l format -x -a 'tbl csv'
complete -c dsmx -n '__fish_seen_subcommand_from import' -l header -x -a 'match skip none'
complete -c dsmx -n '__fish_seen_subcommand_from run explain' -l isolation -x -a 'none cgroup standard strict'
complete -c dsmx -n '__fish_seen_subcommand_from run explain' -l numa -x -a "off (cat /sys/devices/system/node/online 2>/dev/null)"
complete -c dsmx -n '__fish_seen_subcommand_from ps ctl' -s s -l session -x -a "(dsmx ps 2>/dev/null | string match -rg '^([0-9a-f]{16}) ')"
complete -c dsmx -n '__fish_seen_subcommand_from ctl' -a "(dsmx ctl --help | string replace -rf '^  ([a-z-]+)  +(.*)' '\$1\t\$2') all (dsmx ps 2>/dev/null | string match -rg '^  w([0-9]+) ')"
complete -c dsmx -n '__fish_seen_subcommand_from gen' -a tpch
complete -c dsmx -n '__fish_seen_subcommand_from run explain import check-config' -F
