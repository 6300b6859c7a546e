#!/bin/sh
# ctl_test.sh: the commands `dsmx ps` and `dsmx ctl`, over sessions of `dsmx run`
set -u
: "${DSMX_BUILD:=$(cd "$(dirname "$0")/.." && pwd)/build/release}"
dsmx=$DSMX_BUILD/dsmx
dir=$(mktemp -d)
export XDG_RUNTIME_DIR="$dir/run"
mkdir -m 0700 "$dir/run"
trap 'rm -rf "$dir"' EXIT
number=0

# check NAME CLAIM COMMAND...
check() {
	name=$1 claim=$2; shift 2
	number=$((number + 1))
	if "$@"; then
		echo "ok $number - $name: $claim"
	else
		echo "not ok $number - $name: $claim"
		sed 's/^/# | /' "$dir/said" 2>/dev/null
	fi
}
exits() { want=$1; shift; "$@" >"$dir/said" 2>&1 </dev/null; code=$?; [ $code = "$want" ] || { echo "# status $code, not $want"; false; }; }
says() { grep -q -e "$1" "$dir/said" || { echo "# does not say: $1"; false; }; }
both() { exits "$1" $3 && says "$2"; }
# Until `dsmx ps` says $1; each look takes its time, 200 are some seconds.
until_ps() {
	for i in $(seq 200); do
		"$dsmx" ps --json >"$dir/said" 2>&1 && grep -q -e "$1" "$dir/said" && return 0
	done
	echo "# was never seen: $1"; false
}

echo 1..28
check ps_help 'help is on stdout' both 0 'QUERIES' "$dsmx ps --help"
check ps_once 'into a pipe ps looks once, and finding nothing is no error' exits 0 "$dsmx" ps
check ps_none_json 'a session that is not there, as JSON' both 1 '^{"sessions":\[\]}$' "$dsmx ps --json -s 1234"
check ps_not_there 'a session that is named and not there is an error' both 1 'no session of this id' "$dsmx ps -s 1234"
check ps_wrong 'wrong usage is 2' both 2 'is no session' "$dsmx ps -s xyz"
check ps_operand 'an operand too' both 2 'no operands' "$dsmx ps 0"
check ps_interval 'an interval of nothing too' both 2 'interval' "$dsmx ps -i 0"
full() { "$@" >/dev/full 2>"$dir/said"; code=$?; [ $code = 1 ] || { echo "# status $code, not 1"; return 1; }; says 'cannot write: No space'; }
check ps_full 'a full disk is an error that is said' full "$dsmx" ps
check config_full 'for check-config, too' full "$dsmx" check-config
check help_full 'and for a help text' full "$dsmx" --help
check bench_wrong 'who is used wrongly says its own name' both 2 '^dsmx-bench: there is no option' "$DSMX_BUILD/dsmx-bench ring --nope"
check ctl_verb 'ctl without a verb is 2' both 2 'verb is missing' "$dsmx ctl"
check ctl_unknown 'with a wrong one too' both 2 "no verb 'stop'" "$dsmx ctl stop 0"
check ctl_which 'without a worker too' both 2 'which worker' "$dsmx ctl kill"
check ctl_worker 'with none that is a number too' both 2 'is no worker' "$dsmx ctl kill w0"
check ctl_none 'with a session that is not there it is 1' both 1 'is not there' "$dsmx ctl -s 1234 kill 0"

# A session that is open until it is told to end.
"$dsmx" gen tpch --scale 0.001 -o "$dir/tpch" >/dev/null 2>&1
rows=$("$dsmx" run -q -w 0 -d "$dir/tpch" --format csv "SELECT count(*) FROM lineitem" | tail -n 1)
"$dsmx" run -q -w 2 -d "$dir/tpch" --format csv --repeat 1000000 \
	"SELECT count(*) FROM lineitem" >"$dir/out" 2>"$dir/errors" &
run=$!
# Others may have sessions too: ours is that of our leader.
until_ps "\"leader\":$run,"
id=$(tr '{' '\n' <"$dir/said" | sed -n "s/\"session\":\"\([0-9a-f]*\)\".*\"leader\":$run,.*/\1/p")
until_ps "\"session\":\"$id\".*\"worker\":1,\"state\":\"READY\""
check ps_json 'JSON has the session, its workers and their numbers' both 0 '"cpu_ns":' "$dsmx ps --json -s $id"
json() { if command -v python3 >/dev/null; then python3 -m json.tool "$dir/said" >/dev/null; fi; }
check ps_json_valid 'and is JSON' json
check ps_table 'the table has them too, once into a pipe' both 0 'w1  READY' "$dsmx ps -s $id"
check ps_count 'as often as is said' exits 0 "$dsmx" ps --json -i 0.02 -n 3 -s "$id"
check ps_count_lines 'a line for each look' test "$(grep -c '^{' "$dir/said")" = 3
check ctl_restart 'restart of all, under queries' both 0 'worker 1: restart done' "$dsmx ctl -s $id restart all"
check ctl_freeze 'freeze is shown' both 0 'freeze done' "$dsmx ctl -s $id freeze 0"
check ctl_frozen 'by an asterisk' both 0 'READY\*' "$dsmx ps -l -s $id"
check ctl_thaw 'thaw' exits 0 "$dsmx" ctl -q -s "$id" thaw 0
check ctl_no_worker 'a worker that is not there is 1' both 1 'there is no worker 7' "$dsmx ctl -s $id thaw 7"
check ctl_state 'what its state forbids is 1, with the state' both 1 'READY' "$dsmx ctl -s $id reset-failed 0"
kill $run
wait $run 2>/dev/null
check queries 'all queries were right, restarts or not' test "$(grep -v count "$dir/out" | sort -u | tr '\n' ' ')" = "$rows "
