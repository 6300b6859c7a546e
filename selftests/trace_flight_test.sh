#!/bin/sh
# trace_flight_test.sh: the flight recorder: off until somebody wants it, bounded, and readable when its process is dead.
. "$(dirname "$0")/trace_lib.sh"

# Wait until the recorders have so many events in all.
await() { # EVENTS
	for _ in $(seq 200); do
		"$trace" flight -p $running --format csv >"$dir/events" 2>"$dir/recorders" &&
			[ "$(awk '{ for (i = 2; i <= NF; i++) if ($i == "events,") n += $(i - 1) } END { print n + 0 }' "$dir/recorders")" -ge "$1" ] &&
			return 0
		sleep 0.05
	done
	return 1
}

make_tables || exit 1
echo 1..7

start DSMX_FLIGHT=0
"$trace" flight -p $running --format csv >"$dir/said" 2>"$dir/recorders" && [ "$(wc -l <"$dir/said")" = 1 ] &&
	[ "$(grep -c ': 0 events, the first 0 of them overwritten' "$dir/recorders")" = 3 ]
point $? flight_off 'as long as nobody wants it, nothing is recorded'

"$trace" flight -p $running --on >"$dir/said" 2>&1 && grep -q 'flight recorders on$' "$dir/said" &&
	"$trace" flight -p $running --on >"$dir/said" && grep -q 'on, as they were' "$dir/said" && await 20000 &&
	"$trace" flight -p $running --off >"$dir/said" && grep -q 'flight recorders off$' "$dir/said"
point $? flight_on 'a session that runs is told to record, and to stop again, from outside'

# In the order of time: a frame is published before it is taken; and every kind is there. What is older than the oldest
# event of any process cannot be told, nor what is later than the last of any: that one no longer has the other half, or
# was the first to see that recorders are off. The clocks of two processors of a virtual machine may differ by more than
# the way of a frame takes, 100 ns: 2 us are allowed.
"$trace" flight -p $running --format csv >"$dir/events" 2>"$dir/recorders"
awk -F, '
	FNR == 1 { next }
	{ stream = $8 " " $9 "." $10 ">" $11 }
	FNR == NR {
		if (!($4 in last_of) && $1 + 0 > since) since = $1 + 0
		last_of[$4] = $1 + 0
		if ($2 == "commit") there[stream, ++out[stream]] = $1 + 0
		next
	}
	FNR == 2 { until = since + 1e15; for (p in last_of) if (last_of[p] < until) until = last_of[p] }
	$1 + 0 < last { print "out of order: " $0; bad = 1 }
	{ last = $1 + 0; seen[$2]++ }
	$1 + 0 < since { next }
	$2 == "send" { whole[stream] = 1 }
	$2 == "commit" { frames++ }
	$2 == "take" && whole[stream] && $1 + 2000 <= until {
		n = ++in_[stream]
		if (!((stream, n) in there) || there[stream, n] > $1 + 2000) {
			print "taken before it was there, at " there[stream, n] ": " $0
			bad = 1
		}
	}
	END {
		count = split("send recv start commit take release fin end park unpark", kinds, " ")
		for (i = 1; i <= count; i++) if (!(kinds[i] in seen)) { print "no " kinds[i]; bad = 1 }
		print frames + 0 " frames"
		exit bad || frames < 20
	}' "$dir/events" "$dir/events" >"$dir/said"
point $? flight_order 'its events are those of frames and streams, in the order in which they happened'

# DSMX_FLIGHT_EVENTS each, less the one that may be half written.
"$trace" flight -p $running --format csv 2>"$dir/recorders" | awk -F, 'NR > 1 { n[$4]++ } END { for (p in n) print p ": " n[p] }' >"$dir/said"
awk '
	FNR == NR { sub(/:/, ""); kept[$1 " " $2] = $NF; if (NF == 2) kept[$1] = $2; next }
	{
		name = $2 == "worker" ? $2 " " $3 : $2; sub(/,.*/, "", name)
		for (i = 1; i <= NF; i++) { if ($i == "events,") events = $(i - 1); if ($i == "first") lost = $(i + 1) }
		if (kept[name] > 4096 || events != kept[name] + lost) { print name ": " events " events, " lost " overwritten, " kept[name] " kept"; bad = 1 }
		if (lost > 0) any = 1
	}
	END { exit bad || !any }' "$dir/said" "$dir/recorders" >>"$dir/said"
point $? flight_bounded 'it keeps the last events, and says how many it no longer has'

if command -v jq >/dev/null; then
	"$trace" flight -p $running --format json >"$dir/json" && jq -es '
		([.[] | select(.type == "recorder")] | length == 3 and all(.[]; .written >= .lost)) and
		([.[] | select(.type == "commit")] | length > 0 and all(.[]; .rows >= 0 and .bytes > 0 and .at_ns > 0))' \
		"$dir/json" >"$dir/said" 2>&1
	point $? flight_json 'jq reads it'
else
	skip flight_json 'jq reads it' 'no jq'
fi
stop

start DSMX_FLIGHT=1
await 2000
worker=$("$trace" stat -p $running -w 1 --format csv | awk -F, 'NR == 2 { print $4 }')
# A leader that stands still does not end its session over it.
kill -STOP "$running"
kill -9 "$worker"
for _ in $(seq 100); do
	"$trace" flight -p "$running" -w 1 --format csv >"$dir/events" 2>"$dir/recorders"
	grep -q "process $worker, dead: [1-9]" "$dir/recorders" && break
	sleep 0.05
done
kill -CONT "$running"
cp "$dir/recorders" "$dir/said"
[ "$(awk -F, -v pid="$worker" '$5 == pid && $6 == 1' "$dir/events" | wc -l)" -gt 100 ] && grep -q "process $worker, dead: [1-9]" "$dir/recorders"
point $? flight_killed 'what a worker did last is there after kill -9: its supervisor has kept it; DSMX_FLIGHT=1 records from the start'

if [ "$(id -u)" = 0 ] && command -v setpriv >/dev/null; then
	setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps=-all --bounding-set=-all "$trace" flight -p $running --off >"$dir/said" 2>&1
	code=$?
	[ $code = 1 ] || [ $code = 3 ] || [ $code = 126 ] || [ $code = 127 ]
	point $? flight_others 'another user can neither read nor switch it'
else
	skip flight_others 'another user can neither read nor switch it' 'not root'
fi
stop
exit 0
