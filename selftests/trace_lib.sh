# shellcheck shell=sh disable=SC2034
# trace_lib.sh: what tests of dsmx-trace have in common, to be sourced: programs, points, a session that goes on.
set -u
top=${DSMX_TOP:-$(cd "$(dirname "$0")/.." && pwd)}
build=${DSMX_BUILD:-$top/build/release}
dsmx=$build/dsmx
trace=$build/dsmx-trace
dir=$(mktemp -d)
number=0
query='SELECT o_orderpriority, count(*) FROM orders, lineitem WHERE o_orderkey = l_orderkey GROUP BY o_orderpriority'

# A test that leaves more behind than a session and its files has a finish of its own.
running=
finish() {
	[ -z "$running" ] || kill "$running" 2>/dev/null
	rm -rf "$dir"
}
trap finish EXIT

# What $dir/said has is told with a point that failed.
point() { # CODE NAME CLAIM
	number=$((number + 1))
	if [ "$1" = 0 ]; then
		echo "ok $number - $2: $3"
	else
		sed 's/^/# /' "$dir/said" 2>/dev/null | tail -n 20
		echo "not ok $number - $2: $3"
	fi
}
skip() { number=$((number + 1)); echo "ok $number - $1: $2 # SKIP $3"; }

# Tables, where `dsmx run --data "$dir"` finds them.
make_tables() {
	"$dsmx" gen tpch --scale 0.001 -o "$dir/data" >/dev/null 2>&1 && mv "$dir"/data/* "$dir"
}

# A session of two workers that goes on until it is killed; its rows have begun to come.
start() { # VARIABLE=VALUE...
	env "$@" "$dsmx" run -q -w 2 --repeat 1000000 --data "$dir" "$query" >/dev/null 2>&1 &
	running=$!
	for _ in $(seq 200); do
		# The header, the leader, the workers.
		"$trace" stat -p $running --format csv 2>/dev/null |
			awk -F, 'NR == 2 { sent = $6 } END { exit !(NR == 4 && sent > 50) }' && return 0
		sleep 0.05
	done
	return 1
}
stop() {
	kill "$running" 2>/dev/null
	wait "$running" 2>/dev/null
	running=
}
