#!/bin/sh
# isolation_test.sh: the answers to the eight TPC-H queries at the four levels of isolation, on machines that lack
# something, with one line that says what a level lacks there; and with a `!` behind the level no answer, but that line.
# What lacks is taken away by condition_test, whose numbers these are.
set -u
unset DSMX_ISOLATION
top=${DSMX_TOP:-$(cd "$(dirname "$0")/.." && pwd)}
: "${DSMX_BUILD:=$top/build/release}"
dsmx=$DSMX_BUILD/dsmx
data=$top/selftests/data
. "$data/tpch.sh"
dir=$(mktemp -d) && trap 'rm -rf "$dir"' EXIT
chmod 755 "$dir"
# The runner's folder for this test is its alone: other users are to read the tables in it.
case ${TMPDIR:-} in */dsmx-selftest.*) chmod 711 "$TMPDIR" ;; esac
number=0

NO_URING=2 NO_ROOT=4 SAID_FUTEX=8 NO_CLONE3=32 NO_NAMESPACES=64 NO_LANDLOCK=128 NO_SECCOMP=256
CONTAINER=$((NO_URING + NO_CLONE3 + NO_NAMESPACES))

point() { # NAME CLAIM: the file says what is wrong
	number=$((number + 1))
	if [ "$(cat "$dir/wrong")" = cannot ]; then
		echo "ok $number - $1: $2 # SKIP another user cannot execute the command here"
	elif [ -s "$dir/wrong" ]; then
		sed 's/^/# /' "$dir/wrong"
		echo "not ok $number - $1: $2"
	else
		echo "ok $number - $1: $2"
	fi
}

run() { # WITHOUT LEVEL QUERY
	"$DSMX_BUILD/selftests/condition_test" --without "$1" "$dsmx" run -w 2 --data "$dir" --isolation "$2" --format csv \
		--stats -f "$data/queries/$3.sql" >"$dir/out.csv" 2>"$dir/err"
}

# The queries at a level. STEPS are all in the session's line; the level's line of what lacks has the TEXT, if there is one.
answers() { # NAME WITHOUT LEVEL STEPS TEXT
	for query in q01 q03 q05 q06 q10 q12 q14 q19; do
		run "$2" "$3" $query
		code=$?
		[ $code != 8 ] || { echo cannot; break; }
		[ $code = 0 ] || { echo "$query: exit code $code"; cat "$dir/err"; }
		awk -f "$data/compare.awk" "$data/tpch-sf0.01/$query.csv" "$dir/out.csv" 2>&1 || echo "$query differs"
		for step in $4; do
			grep -q "^session:.* steps=.*\<$step\>" "$dir/err" || { echo "$query: $step was not taken"; cat "$dir/err"; }
		done
		if [ -n "$5" ]; then
			[ "$(grep -c "isolation $3 lacks: .*$5" "$dir/err")" = 1 ] || { echo "$query: not one line about $5"; cat "$dir/err"; }
		elif grep 'lacks:' "$dir/err"; then
			echo "$query: nothing should be missing"
		fi
	done >"$dir/wrong" 2>&1
	point "$1" "the answers at $3"
}

refused() { # NAME WITHOUT LEVEL TEXT
	run "$2" "$3!" q06
	code=$?
	{
		[ $code != 8 ] || echo cannot
		[ $code = 8 ] || [ $code = 1 ] || echo "exit code $code"
		[ $code = 8 ] || grep -q "isolation $3!: .*$4" "$dir/err" || cat "$dir/err"
	} >"$dir/wrong"
	point "$1" "$3! says what is missing, and does not run"
}

STANDARD='no-dump no-new-privs no-capabilities landlock seccomp seccomp-log ring'
SPACES='net-ns ipc-ns mount-ns no-exec dontfork'
[ "$(id -u)" = 0 ] && own=uid || own=user-ns

tpch_import "$dir" || echo '# no tables'
chmod 644 "$dir"/*
run 0 strict q06
case $(grep '^session:' "$dir/err") in
*landlock*mount-ns*) ;;
*)
	echo '1..0 # SKIP no Landlock, or no namespaces for this user'
	exit 4
	;;
esac
echo 1..23
for level in none cgroup standard strict; do
	steps=
	[ $level != cgroup ] || steps=no-dump
	[ $level != standard ] || steps=$STANDARD
	[ $level != strict ] || steps="$STANDARD $SPACES $own"
	answers "$level" 0 $level "$steps" ''
	answers "${level}_futex" $SAID_FUTEX $level "$steps" ''
	DSMX_TINY=1 && export DSMX_TINY
	answers "${level}_tiny" 0 $level "$steps" ''
	unset DSMX_TINY
done
answers standard_user $NO_ROOT standard "$STANDARD" ''
answers strict_user $NO_ROOT strict "$STANDARD $SPACES user-ns" ''
answers standard_container $CONTAINER standard "$STANDARD" ''
answers strict_container $CONTAINER strict "$STANDARD" 'namespace: Operation not permitted'
answers strict_container_user $((CONTAINER + NO_ROOT)) strict "$STANDARD" 'user namespace: Operation not permitted'
answers strict_no_landlock $NO_LANDLOCK strict 'seccomp mount-ns' 'Landlock: Function not implemented'
answers strict_no_seccomp $NO_SECCOMP strict 'landlock mount-ns' 'seccomp: Invalid argument'
refused strict_required $CONTAINER strict 'namespace: Operation not permitted'
refused standard_required $NO_LANDLOCK standard 'Landlock: Function not implemented'
"$dsmx" run --isolation mild 'select 1' >"$dir/out.csv" 2>"$dir/err"
[ $? = 2 ] && grep -q '"mild" is no level of isolation' "$dir/err" && : >"$dir/wrong" || cp "$dir/err" "$dir/wrong"
point wrong_level 'a level that is none is wrong usage'
# Beside the data nothing is read, unless it is named.
mkdir "$dir/other" && mv "$dir/lineitem.arrow" "$dir/other/lineitem.arrow"
mkdir "$dir/data" && mv "$dir"/*.arrow "$dir/data"
count="select count(*) from \"$dir/other/lineitem.arrow\""
{
	"$dsmx" run -q -w 2 --data "$dir/data" --isolation standard --format csv "$count" >"$dir/out.csv" 2>"$dir/err" && echo 'it was read'
	grep -q 'lineitem.arrow: Permission denied' "$dir/err" || cat "$dir/err"
	for level in standard strict; do
		"$dsmx" run -q -w 2 --data "$dir/data" --allow-read "$dir/other" --isolation $level --format csv "$count" 2>&1 |
			grep -qx 60175 || echo "not read at $level"
	done
} >"$dir/wrong"
point allow_read 'what a plan scans is read where it is named, and not elsewhere'
