#!/bin/sh
# degraded_test.sh: the answers to the eight TPC-H queries on machines that lack something, through the command, each
# with one line that says what is missing. What lacks is taken away by condition_test, whose numbers these are.
set -u
unset DSMX_TINY # it would decide about pages, and these tests do
top=${DSMX_TOP:-$(cd "$(dirname "$0")/.." && pwd)}
: "${DSMX_BUILD:=$top/build/release}"
dsmx=$DSMX_BUILD/dsmx
data=$top/selftests/data
. "$data/tpch.sh"
dir=$(mktemp -d) && trap 'rm -rf "$dir"' EXIT
chmod 755 "$dir"
# The runner's folder for this test is its alone: another user is to read the tables in it.
case ${TMPDIR:-} in */dsmx-selftest.*) chmod 711 "$TMPDIR" ;; esac
number=0

NO_HUGE_PAGES=1 NO_URING=2 NO_ROOT=4 SAID_FUTEX=8 NO_CLONE3=32

# The eight queries in one session each, without what the number says; the line for it has the text, once.
without() { # NAME NUMBER TEXT CLAIM
	number=$((number + 1))
	: >"$dir/differ"
	for query in q01 q03 q05 q06 q10 q12 q14 q19; do
		"$DSMX_BUILD/selftests/condition_test" --without "$2" "$dsmx" run -w 2 --data "$dir" --format csv \
			-f "$data/queries/$query.sql" >"$dir/out.csv" 2>"$dir/err"
		code=$?
		if [ $code = 8 ] && [ "$2" = $NO_ROOT ]; then
			echo "ok $number - $1: $4 # SKIP another user cannot execute the command here"
			return
		fi
		[ $code = 0 ] || echo "$query: exit code $code"
		awk -f "$data/compare.awk" "$data/tpch-sf0.01/$query.csv" "$dir/out.csv" 2>&1 || echo "$query differs"
		if [ -n "$3" ] && [ "$(grep -c "$3" "$dir/err")" != 1 ]; then
			echo "$query: not one line about $3, but:"; cat "$dir/err"
		fi
		# A machine may lack more than we took away, but it says nothing twice, and nothing else.
		grep -v -e 'huge pages' -e futex_waitv -e cgroup "$dir/err"
		sed 's/^dsmx: \([a-z ]*\).*/\1/' "$dir/err" | sort | uniq -d
	done >"$dir/differ"
	if [ -s "$dir/differ" ]; then
		sed 's/^/# /' "$dir/differ"
		echo "not ok $number - $1: $4"
	else
		echo "ok $number - $1: $4"
	fi
}

echo 1..6
tpch_import "$dir" || echo '# no tables'
chmod 644 "$dir"/*
without nothing 0 '' 'the answers on this machine'
without hugepages $NO_HUGE_PAGES 'huge pages' 'the answers without reserved huge pages'
without uring $NO_URING futex_waitv 'the answers where a filter refuses io_uring'
without said $SAID_FUTEX futex_waitv 'the answers with DSMX_WAIT=futex'
without clone3 $NO_CLONE3 '' 'the answers where a filter hides clone3'
without user $NO_ROOT cgroup 'the answers as an ordinary user, to whom no cgroup is delegated'
