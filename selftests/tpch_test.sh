#!/bin/sh
# tpch_test.sh: the eight TPC-H queries over the official tables at scale 0.01, imported, run by 0 to 8 workers,
# against the answers of another engine. tpch-sf0.01 and the answers are made by TPC's dbgen and PostgreSQL 15.
set -u
top=${DSMX_TOP:-$(cd "$(dirname "$0")/.." && pwd)}
dsmx=${DSMX_BUILD:-$top/build/release}/dsmx
data=$top/selftests/data
. "$data/tpch.sh"
dir=$(mktemp -d) && trap 'rm -rf "$dir"' EXIT
number=0

point() { # OK? NAME CLAIM
	number=$((number + 1))
	if [ "$1" = 0 ]; then echo "ok $number - $2: $3"; else echo "not ok $number - $2: $3"; fi
}

# What the counters of a run must be: a StartStream for each opened stream, one at the most for each (exchange,
# producer, consumer) of the plan: a join without build rows never opens its other side. A task at the most for each
# producer, and none without a stream. Frames through rings exactly where there are workers.
counters_are_right() { # QUERY WORKERS
	tasks=$2
	[ "$tasks" -gt 0 ] || tasks=1
	"$dsmx" explain -w $tasks --data "$dir" -f "$data/queries/$1.sql" |
		sed -n 's/.*DsmExchangeExec #.* \([0-9]*\) -> \([0-9]*\)$/\1 \2/p' |
		awk -v workers="$2" 'NR == FNR { streams += $1 * $2; tasks += $1; next }
			/^session:/ { for (i = 2; i <= NF; i++) if ($i ~ /^cgroup=./) cgroup = substr($i, 8) }
			/^query:/ { for (i = 2; i <= NF; i++) { split($i, pair, "="); n[pair[1]] = pair[2] } }
			function want(name, least, most) {
				if (n[name] + 0 >= least + 0 && n[name] + 0 <= most + 0) return
				print name " is " n[name] ", not " least " to " most; bad = 1
			}
			END {
				want("streams_opened", 1, streams)
				want("start_streams", n["streams_opened"], n["streams_opened"])
				want("producer_tasks", 1, tasks)
				want("producer_tasks", 1, n["streams_opened"])
				want("retries", 0, 0)
				want("ring_frames", workers > 0, workers > 0 ? 1e9 : 0)
				want("local_frames", workers == 0, 1e9)
				if (cgroup != "" && system("test -d " cgroup) == 0) { print cgroup " is left"; bad = 1 }
				exit bad
			}' - "$dir/err"
}

echo 1..81
tpch_import "$dir"
point $? import 'the eight tables are imported'

for workers in 0 1 2 4 8; do
	for query in q01 q03 q05 q06 q10 q12 q14 q19; do
		: >"$dir/differ"
		"$dsmx" run -q -w $workers --stats --data "$dir" --format csv -f "$data/queries/$query.sql" \
			>"$dir/out.csv" 2>"$dir/err" &&
			awk -f "$data/compare.awk" "$data/tpch-sf0.01/$query.csv" "$dir/out.csv" >"$dir/differ"
		code=$?
		[ $code = 0 ] || sed 's/^/# /' "$dir/err" "$dir/differ"
		point $code "${query}_w$workers" "the answer is right with $workers workers"
		counters_are_right $query $workers >"$dir/differ"
		code=$?
		[ $code = 0 ] || sed 's/^/# /' "$dir/differ" "$dir/err"
		point $code "${query}_w${workers}_counters" 'every stream was asked for, and nothing is left'
	done
done
