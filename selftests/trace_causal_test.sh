#!/bin/sh
# trace_causal_test.sh: no producer starts before it is asked to, in all that ran: `make selftests` has a witness beside
# the whole run (trace_witness) and this test as its last one. Run by itself, it watches a few queries of its own.
set -u
top=${DSMX_TOP:-$(cd "$(dirname "$0")/.." && pwd)}
build=${DSMX_BUILD:-$top/build/release}
trace=$build/dsmx-trace
what='no producer started, in any session and attempt, before its stream was asked for'
dir=$(mktemp -d)
witness=
finish() {
	[ -z "$witness" ] || kill "$witness" 2>/dev/null
	rm -rf "$dir"
}
trap finish EXIT
echo 1..1

if [ -n "${DSMX_WITNESS:-}" ]; then
	witness=$(cat "$DSMX_WITNESS/pid")
	saw=$DSMX_WITNESS/saw said=$DSMX_WITNESS/said least=1000
else
	saw=$dir/saw said=$dir/said least=10
	"$trace" check --file "$build/libdsmx.so" >"$saw" 2>"$said" &
	witness=$!
	for _ in $(seq 200); do
		if grep -q watching "$said" || ! kill -0 "$witness" 2>/dev/null; then break; fi
		sleep 0.05
	done
	if ! grep -q watching "$said"; then
		wait "$witness"
		code=$?
		witness=
		if [ $code = 3 ] || [ $code = 4 ]; then
			echo "ok 1 - trace_causal: $what # SKIP no permission to load BPF programs, or none were built"
			exit 4
		fi
		sed 's/^/# /' "$said"
		echo "not ok 1 - trace_causal: $what"
		exit 1
	fi
	"$build/dsmx" gen tpch --scale 0.001 -o "$dir/data" >/dev/null 2>&1
	"$build/dsmx" run -q -w 2 --repeat 5 --data "$dir/data" \
		'SELECT o_orderpriority, count(*) FROM orders, lineitem WHERE o_orderkey = l_orderkey GROUP BY o_orderpriority' >/dev/null 2>&1
fi

# It says the sum when it ends; it is not our child in a whole run.
kill -INT "$witness" 2>/dev/null
for _ in $(seq 200); do
	grep -q 'producer starts' "$saw" && break
	sleep 0.05
done
sed 's/^/# /' "$saw" "$said"
awk -v least="$least" '
	/^not asked for/ { bad = 1 }
	/producer starts after theirs/ { sums++; starts = $3; unasked = $8; sub(/;/, "", unasked) }
	END { exit bad || sums != 1 || unasked + 0 != 0 || starts + 0 < least }' "$saw"
code=$?
if [ $code = 0 ]; then echo "ok 1 - trace_causal: $what"; else echo "not ok 1 - trace_causal: $what"; fi
exit $code
