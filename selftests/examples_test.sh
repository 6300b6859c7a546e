#!/bin/sh
# examples_test.sh: the examples are short, and do what they say, compiled as C11 and as C++17.
set -u
top=$(cd "$(dirname "$0")/.." && pwd)
: "${DSMX_BUILD:=$top/build/release}"
export DSMX_WORKER="$DSMX_BUILD/dsmx-worker"
dir=$(mktemp -d) && trap 'rm -rf "$dir"' EXIT
number=0

# point NAME CLAIM: ok if the two files are the same.
point() {
	number=$((number + 1))
	if diff "$dir/want" "$dir/seen" >"$dir/diff" 2>&1; then
		echo "ok $number - $1: $2"
	else
		sed 's/^/# /' "$dir/diff"
		echo "not ok $number - $1: $2"
	fi
}

echo 1..7
for source in "$top"/docs/examples/[0-9]*.c; do
	[ "$(wc -l <"$source")" -lt 80 ] || echo "$source has $(wc -l <"$source") lines"
done >"$dir/seen"
: >"$dir/want"
point short 'no example has 80 lines'

"$DSMX_BUILD/dsmx" gen tpch --scale 0.01 -o "$dir/tables" >"$dir/log" 2>&1 || sed 's/^/# /' "$dir/log"
"$DSMX_BUILD/dsmx" run -q -w 0 --data "$dir/tables" --format csv 'select o_orderpriority, sum(l_extendedprice)
	from lineitem, orders where l_orderkey = o_orderkey group by 1 order by 1' >"$dir/log" 2>&1
sed 1d "$dir/log" | awk -F , '{ printf "%16s  %16s\n", $1, $2 }' >"$dir/want"
[ -s "$dir/want" ] || echo "# no answer to compare with: $(cat "$dir/log")"
for build in 01-join 01-join-cxx; do
	"$DSMX_BUILD/examples/$build" "$dir/tables" >"$dir/seen" 2>&1
	[ "$(wc -l <"$dir/seen")" = 5 ] || echo 'not the five priorities' >>"$dir/seen"
	point "$build" 'a join that is built by hand gives what the same SQL gives in one process'
done
for build in 02-operator 02-operator-cxx; do
	for n in 1 1000 100000; do "$DSMX_BUILD/examples/$build" $n; done >"$dir/seen" 2>&1
	printf '%s \n' 0 499500 4999950000 >"$dir/want"
	point "$build" 'an operator of the application runs in workers that are the application'
done
for build in 03-filter 03-filter-cxx; do
	for function in odd crash scribble loop; do
		"$DSMX_BUILD/examples/$build" "$DSMX_BUILD/examples/filter_plugin.so" $function
	done 2>&1 | grep -v '^worker' >"$dir/seen"
	printf '%s\n' 'odd: 2500000000' 'crash: SIGNAL' 'odd: 2500000000' 'scribble: SIGNAL' 'odd: 2500000000' \
		'loop: WATCHDOG' 'odd: 2500000000' >"$dir/want"
	point "$build" 'a function of a plug-in goes wrong, its query says how, the session goes on'
done
