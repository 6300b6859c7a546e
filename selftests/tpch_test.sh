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

echo 1..41
tpch_import "$dir"
point $? import 'the eight tables are imported'

for workers in 0 1 2 4 8; do
	for query in q01 q03 q05 q06 q10 q12 q14 q19; do
		"$dsmx" run -q -w $workers --data "$dir" --format csv -f "$data/tpch-queries/$query.sql" \
			>"$dir/out.csv" 2>"$dir/err" &&
			awk -f "$data/compare.awk" "$data/tpch-sf0.01/$query.csv" "$dir/out.csv" >"$dir/differ"
		code=$?
		[ $code = 0 ] || sed 's/^/# /' "$dir/err" "$dir/differ"
		point $code "${query}_w$workers" "the answer is right with $workers workers"
	done
done
