#!/bin/sh
# sql_test.sh: `dsmx run` and `dsmx explain` as their users meet them: answers, plans, refusals, formats, signals.
#
# data/answers.txt holds statements with the answers that PostgreSQL 15 gave, data/errors.txt statements with what
# dsmx has to say about them, data/explain the plans of the TPC-H queries for two workers. After a change of the
# planner that is meant, `sql_test.sh --plans` writes the last anew.
set -u
top=${DSMX_TOP:-$(cd "$(dirname "$0")/.." && pwd)}
dsmx=${DSMX_BUILD:-$top/build/release}/dsmx
data=$top/selftests/data
. "$data/tpch.sh"
dir=$(mktemp -d) && trap 'rm -rf "$dir"' EXIT
number=0

# point NAME CLAIM COMMAND...: ok if the command succeeds; what it prints is shown if not
point() {
	name=$1 claim=$2; shift 2
	number=$((number + 1))
	if "$@" >"$dir/said" 2>&1; then
		echo "ok $number - $name: $claim"
	else
		sed 's/^/# /' "$dir/said"
		echo "not ok $number - $name: $claim"
	fi
}

explain() { # QUERY
	"$dsmx" explain -w 2 --data "$dir" -f "$data/queries/$1.sql" | sed "s|$dir/||"
}

# Cut a file of "## NAME", SQL, "--", text into NAME.sql and NAME.want
cut_up() {
	mkdir -p "$2"
	awk -v dir="$2" '/^## / { name = dir "/" $2; to = name ".sql"; printf "" >(name ".want"); next }
		/^--$/ { to = name ".want"; next } { print >to }' "$1"
	sed -n 's/^## //p' "$1"
}

if [ "${1:-}" = --plans ]; then
	tpch_import "$dir" || exit 1
	for query in q01 q03 q05 q06 q10 q12 q14 q19; do explain $query >"$data/explain/$query.txt"; done
	exit
fi

run() { "$dsmx" run -q --data "$dir" "$@"; }

same() { # WANT-TEXT COMMAND...
	want=$1; shift
	seen=$("$@" 2>&1)
	[ "$seen" = "$want" ] || { echo "wanted:"; echo "$want"; echo "seen:"; echo "$seen"; return 1; }
}

exits() { # WANT-CODE COMMAND...
	want=$1; shift
	"$@" >"$dir/out" 2>"$dir/err"
	code=$?
	[ $code = "$want" ] || { echo "exit $code, not $want"; cat "$dir/err"; return 1; }
}

plan_is_golden() { explain "$1" | diff "$data/explain/$1.txt" -; }

answer_is_right() { # NAME WORKERS
	run -w "$2" --format csv -f "$dir/answers/$1.sql" >"$dir/out.csv" &&
		awk -f "$data/compare.awk" "$dir/answers/$1.want" "$dir/out.csv"
}

error_is_clear() { # NAME
	sql=$(cat "$dir/errors/$1.sql")
	"$dsmx" explain -w 2 --data "$dir" "$sql" >"$dir/out" 2>"$dir/err"
	[ $? = 1 ] && sed "s|$dir/||" "$dir/err" | diff "$dir/errors/$1.want" -
}

answers=$(cut_up "$data/answers.txt" "$dir/answers")
errors=$(cut_up "$data/errors.txt" "$dir/errors")
echo "1..$((39 + $(echo "$answers" | wc -l) * 2 + $(echo "$errors" | wc -l)))"
point import 'the eight tables are imported' tpch_import "$dir"

for query in q01 q03 q05 q06 q10 q12 q14 q19; do
	point "plan_$query" 'the plan is the one that was looked at' plan_is_golden $query
done
for one in $answers; do
	point "${one}_w0" 'the answer is right in one process' answer_is_right "$one" 0
	point "${one}_w2" 'the answer is right with two workers' answer_is_right "$one" 2
done
for one in $errors; do
	point "error_$one" 'the mistake is told, with its place' error_is_clear "$one"
done

# --- formats

nulls="SELECT nullif(n_regionkey, 1) AS a, nullif(substring(n_name FROM 1 FOR n_regionkey), 'AL') AS b,
	'x,\"y\"' AS c FROM nation WHERE n_nationkey < 3 ORDER BY n_nationkey"
point format_csv 'csv: NULL is empty, an empty text is quoted' same 'a,b,c
0,"","x,""y"""
,A,"x,""y"""
,B,"x,""y"""' run -w 0 --format csv "$nulls"
point format_json 'json: one array, NULL is null, decimals as digits' same '[
{"a": 0, "b": "", "c": "x,\"y\"", "d": 1.50},
{"a": null, "b": "A", "c": "x,\"y\"", "d": 1.50}
]' run -w 0 --format json "SELECT nullif(n_regionkey, 1) AS a, substring(n_name FROM 1 FOR n_regionkey) AS b,
	'x,\"y\"' AS c, 1.50 AS d FROM nation WHERE n_nationkey < 2 ORDER BY n_nationkey"
point format_json_empty 'json: no rows are an empty array' same '[]' run -w 0 --format json 'SELECT 1 FROM nation WHERE false'
point format_table 'table: numbers to the right, texts to the left, NULL is blank' same ' a | b | nation
---+---+--------
 0 |   |      0
   | A |      1
   | B |      2
(3 rows)' run -w 0 "SELECT nullif(n_regionkey, 1) AS a, substring(n_name FROM 1 FOR n_regionkey) || '' AS b,
	n_nationkey AS nation FROM nation WHERE n_nationkey < 3 ORDER BY 3"
table_long() { run -w 0 'SELECT l_orderkey, l_comment FROM lineitem' | sed -n '$p'; }
point format_table_long 'table: more rows than are kept for the widths' same '(60175 rows)' table_long
point format_control 'table: control characters are escaped' same ' c
-----------
 a\nb\x1bc
(1 row)' run -w 0 "SELECT E'a\\nb\\x1bc' AS c FROM region WHERE r_regionkey = 0"

arrow_stream() {
	run -w 0 --format arrow 'SELECT * FROM nation' >"$dir/stream" &&
		[ "$(od -An -tx1 -N4 "$dir/stream" | tr -d ' ')" = ffffffff ] &&
		[ "$(tail -c 8 "$dir/stream" | od -An -tx1 | tr -d ' ')" = ffffffff00000000 ]
}
point format_arrow 'arrow: a stream, from its schema to its end mark' arrow_stream

# --- statements, plans, options

point several 'statements share a session and print one after the other' same 'count
25
count
5' run -w 2 --format csv 'SELECT count(*) FROM nation; SELECT count(*) FROM region;'
point several_stop 'the first that fails ends it, what came before stays' same 'count
25
dsmx: line 1, column 37: there is no column "x"
   1 | SELECT count(*) FROM nation; SELECT x FROM region; SELECT 1
                                           ^' run -w 2 --format csv 'SELECT count(*) FROM nation; SELECT x FROM region; SELECT 1'
point repeat 'a statement is run as often as asked' same 'count
5
count
5
count
5' run -w 2 --format csv --repeat 3 'SELECT count(*) FROM region'
point path 'a quoted path is a table' same 'count
25' run -w 0 --format csv "SELECT count(*) FROM \"$dir/nation.arrow\" n WHERE n.n_nationkey >= 0"

long_path() {
	long=$dir/$(printf 'd%.0s' 1 2 3 4 5 6 7 8 9)/$(printf 'name%.0s' $(seq 20))
	mkdir -p "$long" && cp "$dir/region.arrow" "$long/" &&
		same 'count
5' run -w 0 --format csv "SELECT count(*) FROM \"$long/region.arrow\""
}
point path_long 'also one that is longer than a name may be' long_path

emit_plan() {
	sql='SELECT n_name, r_name AS "Region" FROM nation, region WHERE n_regionkey = r_regionkey ORDER BY n_name'
	run --emit-plan "$dir/x.plan" "$sql" && [ -s "$dir/x.plan" ] &&
		run -w 2 --format csv "$sql" >"$dir/by_sql" && run -w 2 --format csv "$dir/x.plan" >"$dir/by_plan" &&
		cmp "$dir/by_sql" "$dir/by_plan" && "$dsmx" explain -w 2 "$dir/x.plan" | grep -q Exchange
}
point emit_plan 'a plan that was written runs, and names its columns alike' emit_plan
point plan_broken 'bytes that are no plan are refused' exits 1 run "$dir/nothing.plan"
stdin_query() { echo 'SELECT count(*) FROM region' | "$dsmx" run -q -w 0 --data "$dir" --format csv -f -; }
point stdin 'SQL comes from stdin' same 'count
5' stdin_query

timing() {
	run -w 2 --timing 'SELECT count(*) FROM region' 2>"$dir/err" >/dev/null &&
		grep -Eq '^open [0-9.]+ ms, plan [0-9.]+ ms, first row [0-9.]+ ms, run [0-9.]+ ms$' "$dir/err"
}
point timing 'the four times are told' timing

analyze() {
	"$dsmx" explain -q -w 2 --analyze --data "$dir" -f "$data/queries/q03.sql" >"$dir/out" &&
		grep -q 'DsmExchangeExec.*rows' "$dir/out" && ! grep -q '|' "$dir/out"
}
point analyze 'explain --analyze shows the rows of exchanges, not the result' analyze

# --- ends

point exit_error 'an error exits 1' exits 1 run 'SELECT nothing FROM nowhere'
point exit_option 'a wrong option exits 2' exits 2 run --nothing 'SELECT 1'
point exit_missing 'nothing to run exits 2' exits 2 run
point exit_workers 'too many workers exit 2' exits 2 run -w 65 'SELECT 1'
point exit_command 'a wrong command exits 2' exits 2 "$dsmx" nothing
point exit_empty 'an empty text is done at once' exits 0 run ''
point exit_run 'an error of the query itself exits 1' exits 1 run -w 2 'SELECT 1 / (n_nationkey - 3) FROM nation'
point exit_timeout 'a statement that takes too long exits 1' exits 1 \
	run -w 2 --timeout 200 'SELECT count(*) FROM lineitem a, lineitem b, lineitem c WHERE a.l_tax = b.l_tax AND b.l_tax = c.l_tax'

full_disk() {
	run -w 0 'SELECT * FROM nation' >/dev/full 2>"$dir/err"
	[ $? = 1 ] && grep -q 'cannot write the result: No space left' "$dir/err"
}
point full_disk 'a full disk is an error' full_disk

closed_pipe() {
	{ run -w 2 --format csv 'SELECT * FROM lineitem' 2>"$dir/err"; echo $? >"$dir/code"; } | head -n 1 >/dev/null
	[ "$(cat "$dir/code")" = 1 ] && [ ! -s "$dir/err" ]
}
point closed_pipe 'a closed pipe ends it quietly' closed_pipe

interrupt() {
	timeout --preserve-status -s INT 1 "$dsmx" run -q -w 2 --data "$dir" \
		'SELECT count(*) FROM lineitem a, lineitem b, lineitem c WHERE a.l_tax = b.l_tax AND b.l_tax = c.l_tax'
	[ $? = 130 ] && [ -z "$(pgrep -f "$dir")" ]
}
point interrupt 'SIGINT ends a query with 130' interrupt

deep() {
	terms=$(seq 50000 | tr '\n' '+')
	echo "SELECT ${terms}1 FROM nation" >"$dir/deep.sql"
	exits 1 "$dsmx" explain --data "$dir" -f "$dir/deep.sql" && grep -q 'too long or nested too deeply' "$dir/err" &&
		{ echo "SELECT"; printf '(%.0s' $(seq 20000); } >"$dir/deep.sql" &&
		exits 1 "$dsmx" explain --data "$dir" -f "$dir/deep.sql" && grep -q 'too long or nested too deeply' "$dir/err"
}
point deep 'an expression of 50 000 terms is an error, not a crash' deep

help() {
	for command in '' $("$dsmx" --help | sed -n 's/^  \([a-z-]*\) .*/\1/p'); do
		"$dsmx" $command --help >"$dir/out" 2>"$dir/err" && [ -s "$dir/out" ] && [ ! -s "$dir/err" ] &&
			awk 'length > 80 { print; bad = 1 } END { exit bad }' "$dir/out" || return 1
	done
}
point help 'the help of each command is there, and 80 columns wide' help
