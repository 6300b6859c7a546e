#!/bin/sh
# trace_test.sh: dsmx-trace as its users meet it: every format read by somebody else's reader, exit codes, the live
# table in a terminal, and with leave to use BPF exact counts, recordings, and nothing left behind by SIGKILL.
. "$(dirname "$0")/trace_lib.sh"

make_tables || exit 1

# What OpenMetrics asks for: a TYPE before its samples, names and labels of its grammar, counters that end with _total,
# buckets that grow to +Inf and to the count, and EOF once, last.
openmetrics() {
	awk '
	function wrong(why) { print FILENAME ":" FNR ": " why ": " $0; bad = 1 }
	eof { wrong("after # EOF") }
	/^# EOF$/ { eof = 1; next }
	/^# TYPE / { if ($3 in type) wrong("a second TYPE"); type[$3] = $4; next }
	/^# (HELP|UNIT) [a-z0-9_]+ / { next }
	!/^[a-zA-Z_:][a-zA-Z0-9_:]*\{([a-zA-Z_][a-zA-Z0-9_]*="[^"\\]*",?)+\} [0-9.e+]+$/ { wrong("no sample"); next }
	{
		name = $1; sub(/\{.*/, "", name); family = name
		sub(/_(total|bucket|sum|count)$/, "", family)
		if (!(family in type)) wrong("no TYPE")
		if (type[family] == "counter" && name !~ /_total$/) wrong("a counter without _total")
		key = $0; sub(/ [^ ]*$/, "", key)
		if (seen[key]++) wrong("twice")
		if (name ~ /_bucket$/) {
			phase = $1; sub(/.*phase="/, "", phase); sub(/".*/, "", phase)
			if ($2 + 0 < last[phase] + 0) wrong("a bucket that shrinks")
			last[phase] = $2
			if (index($1, "+Inf")) top[phase] = $2
		}
		if (name ~ /_count$/) {
			phase = $1; sub(/.*phase="/, "", phase); sub(/".*/, "", phase)
			if (top[phase] != $2) wrong("not what +Inf says")
		}
	}
	END { if (!eof) { print "no # EOF"; bad = 1 } exit bad }' "$1"
}

# Each line has as many cells as the first.
csv() { awk -F, 'NR == 1 { n = NF } NF != n { print FNR ": " NF " cells, not " n; bad = 1 } END { exit bad || NR < 2 }' "$1"; }

probes=$(grep -c '^	X(' "$top/include/dsmx/trace.h")

echo 1..19

"$trace" list >"$dir/said" 2>&1 && [ "$(grep -c '^  dsmx:' "$dir/said")" = "$probes" ] &&
	[ "$(readelf -n "$build/libdsmx.so" 2>/dev/null | grep -c 'Provider: dsmx')" = "$probes" ]
point $? trace_list 'list names every probe, and the library has a note for each'

start
point $? trace_finds 'a session is found by its leader'\''s process'

if command -v jq >/dev/null; then
	"$trace" stat -p $running --format json >"$dir/said" 2>&1 &&
		jq -es 'length == 3 and all(.[]; .type == "process" and .start_streams >= 0) and .[0].process == "leader"' \
			"$dir/said" >/dev/null &&
		"$trace" hist -p $running --format json >"$dir/said" 2>&1 &&
		jq -es 'length == 5 and all(.[]; .streams == ([.buckets[].count] | add) or .streams > 0) and
			(map(.phase) == ["request", "spawn", "first", "deliver", "total"])' "$dir/said" >/dev/null &&
		"$trace" list --format json | jq -es 'length > 0' >/dev/null &&
		"$trace" doctor --format json | jq -es 'all(.[]; .type == "finding")' >/dev/null
	point $? trace_json 'jq reads stat, hist, list and doctor'
else
	skip trace_json 'jq reads stat, hist, list and doctor' 'no jq'
fi

"$trace" stat -p $running --format csv -i 0.05 -n 3 >"$dir/said" 2>&1 && csv "$dir/said" &&
	[ "$(wc -l <"$dir/said")" = 10 ] && "$trace" hist -p $running --format csv >"$dir/said" && csv "$dir/said"
point $? trace_csv 'CSV has one header and equal rows, at every interval'

"$trace" stat -p $running --format openmetrics >"$dir/metrics" 2>&1 && openmetrics "$dir/metrics" >"$dir/said" &&
	"$trace" hist -p $running --format openmetrics >"$dir/metrics" && openmetrics "$dir/metrics" >"$dir/said"
point $? trace_openmetrics 'counters and histograms are OpenMetrics, by a strict reader'

"$trace" why -p $running >"$dir/said" 2>&1 && grep -q '^session [0-9a-f]\{16\}: [0-9]* tasks$' "$dir/said" &&
	! grep -q deadlock: "$dir/said" && "$trace" top -p $running -n 2 -i 0.1 >"$dir/said" 2>&1 &&
	[ "$(grep -c leader "$dir/said")" = 2 ]
point $? trace_why_top 'why and top tell about a running session, also where there is no terminal'

codes=
for row in '2:' '2:nonsense' '2:hist --format xml' '2:stat --format chrome' '2:hist -d nothing' '2:stat -p x' \
	'2:slow --min-us -1' '2:top --sort nothing' '2:record' '2:replay' '1:replay /nonexistent' '1:stat -s 5ca1ab1e5ca1ab1e' '1:stat -p 1' '1:stat -g /' '1:slow --from /dev/null' \
	'1:hist --from /nonexistent' '0:--version' '0:hist --help' '0:doctor'; do
	# shellcheck disable=SC2086
	"$trace" ${row#*:} >"$dir/said" 2>&1
	code=$?
	[ $code = "${row%%:*}" ] || codes="$codes '${row#*:}' gave $code;"
done
echo "$codes" >"$dir/said"
[ -z "$codes" ]
point $? trace_codes 'wrong usage is 2, nothing to trace 1'

if command -v tmux >/dev/null; then
	socket="$dir/tmux"
	tmux -S "$socket" -f /dev/null new-session -d -x 120 -y 20 "'$trace' top -p $running; echo left \$? >'$dir/left'; sleep 9" 2>"$dir/said"
	screen() { tmux -S "$socket" capture-pane -p >"$dir/said" 2>&1; }
	await() { for _ in $(seq 60); do screen; grep -q "$1" "$dir/said" && return 0; sleep 0.05; done; return 1; }
	key() { tmux -S "$socket" send-keys "$@"; }
	await 'worker 1' && key t && await 'waits for' && key s && await 'producer' && key h && await 'deliver' &&
		key p && await 'wait-out' && tmux -S "$socket" resize-window -x 60 -y 8 && await 'leader' &&
		tmux -S "$socket" resize-window -x 160 -y 30 && key / && key -l leader && key Enter && await 'filter: leader$' &&
		! grep -q 'worker 0' "$dir/said" && key Space && await paused && key q && await 'x*' &&
		for _ in $(seq 60); do [ -s "$dir/left" ] && break; sleep 0.05; done && grep -qx 'left 0' "$dir/left"
	point $? trace_top 'top in a terminal: its views, resized, filtered, paused, left'
	tmux -S "$socket" kill-server 2>/dev/null
else
	skip trace_top 'top in a terminal: its views, resized, filtered, paused, left' 'no tmux'
fi
stop

if command -v gdb >/dev/null; then
	[ "$(gdb -nx -batch -ex 'info probes stap dsmx' "$build/libdsmx.so" 2>/dev/null | grep -c '^stap *dsmx')" = "$probes" ] &&
		DEBUGINFOD_URLS='' gdb -nx -batch -ex 'set breakpoint pending on' -ex 'break -probe-stap dsmx:query_start' -ex run \
			-ex 'printf "probe of query %d\n", $_probe_arg1' -ex kill \
			--args "$dsmx" run -q -w 0 --data "$dir" 'SELECT count(*) FROM nation' >"$dir/said" 2>&1 &&
		grep -qx 'probe of query 1' "$dir/said"
	point $? trace_gdb 'gdb lists the same probes, stops at one and reads its argument'
else
	skip trace_gdb 'gdb lists the same probes, stops at one and reads its argument' 'no gdb'
fi

# --- with BPF ---------------------------------------------------------------------------------------------------------

"$trace" record -d 0.1 -o "$dir/none" >"$dir/said" 2>&1
case $? in
0) why= ;;
3) why='no permission to load BPF programs' ;;
4) why='no BPF here, or built without' ;;
*) why= ;;
esac

bpf() { [ -z "$why" ] && return 0; skip "$1" "$2" "$why"; return 1; }

# Start dsmx-trace, and wait until its probes stand.
watch() { # ARGUMENT...
	: >"$dir/said"
	"$trace" "$@" >/dev/null 2>"$dir/said" &
	tracer=$!
	for _ in $(seq 200); do
		grep -q watching "$dir/said" && return
		sleep 0.05
	done
}

# StartStreams of all queries that `dsmx run` counts, while dsmx-trace watches that are started before it.
counted() { # QUERIES
	watch record -d 60 -o "$dir/rec"
	"$dsmx" run -q -w 2 --stats --repeat "$1" --data "$dir" "$query" 2>"$dir/stats" >/dev/null
	kill -INT $tracer
	wait $tracer
	session=$(sed -n 's/^session: id=\([0-9a-f]*\).*/\1/p' "$dir/stats" | head -n 1)
	sent=$(awk '/^query:/ { for (i = 1; i <= NF; i++) if (sub(/^start_streams=/, "", $i)) n += $i } END { print n + 0 }' "$dir/stats")
	seen=$("$trace" hist --from "$dir/rec" -s "$session" --format csv --phase total 2>/dev/null |
		awk -F, 'NR > 1 { n += $4 } END { print n + 0 }')
	echo "$1 queries: $sent StartStreams sent, $seen seen"
	"$trace" hist --from "$dir/rec" -s "$session" 2>/dev/null | grep -E 'not counted|nothing was lost'
}

if bpf trace_exact 'the five stamps of all StartStreams are seen, of few and of thousands, none out of order'; then
	bad=0
	for n in 1 300; do
		counted $n >"$dir/counted"
		sed 's/^/# /' "$dir/counted"
		{ [ "$sent" -gt 0 ] && [ "$sent" = "$seen" ]; } || bad=1
	done
	cp "$dir/counted" "$dir/said"
	point $bad trace_exact 'the five stamps of all StartStreams are seen, of few and of thousands, none out of order'
fi

if bpf trace_replay 'a recorded file is replayed: what follow would have shown'; then
	"$trace" replay "$dir/rec" >"$dir/replayed" 2>"$dir/said" && "$trace" follow --from "$dir/rec" >"$dir/followed" 2>>"$dir/said" &&
		[ -s "$dir/replayed" ] && cmp "$dir/replayed" "$dir/followed" >>"$dir/said"
	point $? trace_replay 'a recorded file is replayed: what follow would have shown'
fi

if bpf trace_doctor 'doctor sees StartStreams of its own: probes are not only set, they fire'; then
	"$trace" doctor >"$dir/said" 2>&1 && grep -q '^ok   probes .*fire' "$dir/said" &&
		! grep '^no' "$dir/said" | grep -qv '^no   sessions'
	point $? trace_doctor 'doctor sees StartStreams of its own: probes are not only set, they fire'
fi

if bpf trace_causal 'in each attempt no producer starts before somebody asked it to'; then
	"$trace" export --from "$dir/rec" 2>/dev/null | awk '
		/"type":"ss_read"/ { match($0, /"stamps_ns":\[[^]]*/); split(substr($0, RSTART + 13, RLENGTH - 13), t, ",")
			n++; for (i = 2; i <= 5; i++) if (t[i] + 0 < t[i - 1] + 0) bad++ }
		END { print n " streams, " bad + 0 " out of order"; exit bad > 0 || n == 0 }' >"$dir/said"
	point $? trace_causal 'in each attempt no producer starts before somebody asked it to'
fi

if bpf trace_export 'jq reads Chrome'\''s format: slices that last, arrows with two ends; and JSON lines'; then
	if command -v jq >/dev/null; then
		"$trace" export --format chrome --from "$dir/rec" -o "$dir/chrome.json" 2>"$dir/said" &&
			jq -e '.traceEvents | length > 10 and
				all(.[]; has("ph") and has("pid") and has("name")) and
				all(.[] | select(.ph == "X"); .dur >= 0 and .ts > 0 and .tid > 0) and
				([.[] | select(.ph == "s") | .id] | sort) == ([.[] | select(.ph == "f") | .id] | sort)' \
				"$dir/chrome.json" >/dev/null 2>"$dir/said" &&
			"$trace" export --from "$dir/rec" 2>/dev/null | jq -es '.[-1].type == "lost"' >/dev/null
		point $? trace_export 'jq reads Chrome'\''s format: slices that last, arrows with two ends; and JSON lines'
	else
		skip trace_export 'jq reads Chrome'\''s format: slices that last, arrows with two ends; and JSON lines' 'no jq'
	fi
fi

if bpf trace_html 'the page is well-formed, complete in itself, and has a bar for each bucket'; then
	"$trace" export --format html --from "$dir/rec" -o "$dir/page.html" 2>"$dir/said"
	awk '
		{
			while (match($0, /<[^>]*>/)) {
				tag = substr($0, RSTART + 1, RLENGTH - 2); $0 = substr($0, RSTART + RLENGTH)
				if (tag ~ /(https?:|src=|href=)/) { print "not complete in itself: " tag; bad = 1 }
				if (tag ~ /^!/ || tag ~ /\/$/ || tag ~ /^(meta|rect [^>]*\/)/) continue
				name = tag; sub(/ .*/, "", name)
				if (tag ~ /^\//) { if (stack[depth--] != substr(name, 2)) { print "closed wrongly: " tag; bad = 1 } }
				else stack[++depth] = name
				if (name == "svg") pictures++
			}
		}
		END { if (depth != 0 || pictures < 6) { print depth " open, " pictures " pictures"; bad = 1 } exit bad }' \
		"$dir/page.html" >"$dir/said"
	point $? trace_html 'the page is well-formed, complete in itself, and has a bar for each bucket'
fi

if bpf trace_late 'processes that run already are traced as well, for as long as asked'; then
	start
	"$trace" hist -k -p $running -d 0.5 --format csv --phase total >"$dir/said" 2>&1 &&
		[ "$(awk -F, '$2 == "total" { n += $4 } END { print n + 0 }' "$dir/said")" -gt 0 ]
	point $? trace_late 'processes that run already are traced as well, for as long as asked'
	stop
fi

# Semaphores in a running process are as they were before: nobody traces it.
if bpf trace_killed 'a tracer that is killed leaves no probe: what runs on is not slowed, and the next one counts all'; then
	start
	# In a whole run there is a witness, who has some of them raised all the time.
	before=$(DSMX_PID=$running DSMX_LIB=$build/libdsmx.so sh "$top/selftests/trace_semaphores.sh")
	watch follow --all -d 60
	raised=$(DSMX_PID=$running DSMX_LIB=$build/libdsmx.so sh "$top/selftests/trace_semaphores.sh")
	kill -9 $tracer
	wait $tracer 2>/dev/null
	for _ in $(seq 100); do
		left=$(DSMX_PID=$running DSMX_LIB=$build/libdsmx.so sh "$top/selftests/trace_semaphores.sh")
		[ "$left" = "$before" ] && break
		sleep 0.05
	done
	echo "semaphores raised: $before before, $raised while it ran, $left after it was killed" >"$dir/said"
	[ "$raised" = "$probes" ] && [ "$left" = "$before" ]
	point $? trace_killed 'a tracer that is killed leaves no probe: what runs on is not slowed, and the next one counts all'
	stop
fi

if bpf trace_stopped 'a tracer that sleeps loses what it says, and no more'; then
	watch record --buffer 64 -d 60 -o "$dir/rec" --file "$build/libdsmx.so"
	kill -STOP $tracer
	"$dsmx" run -q -w 2 --stats --repeat 200 --data "$dir" "$query" 2>"$dir/stats" >/dev/null
	kill -CONT $tracer
	kill -INT $tracer
	wait $tracer
	session=$(sed -n 's/^session: id=\([0-9a-f]*\).*/\1/p' "$dir/stats" | head -n 1)
	sent=$(awk '/^query:/ { for (i = 1; i <= NF; i++) if (sub(/^start_streams=/, "", $i)) n += $i } END { print n + 0 }' "$dir/stats")
	all=$("$trace" export --from "$dir/rec" -s "$session" --format csv 2>/dev/null | grep -c ,ss_read,)
	lost=$("$trace" export --from "$dir/rec" --format csv 2>&1 >/dev/null | sed -n 's/^not counted: \([0-9]*\) StartStreams one by one.*/\1/p')
	echo "$sent StartStreams, $all seen, ${lost:-0} said to be lost" >"$dir/said"
	sed 's/^/# /' "$dir/said"
	[ "${lost:-0}" -gt 0 ] && [ $((all + lost)) = "$sent" ]
	point $? trace_stopped 'a tracer that sleeps loses what it says, and no more'
fi

if [ "$(id -u)" = 0 ] && command -v setpriv >/dev/null; then
	setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps=-all --bounding-set=-all "$trace" slow -d 1 >"$dir/said" 2>&1
	code=$?
	{ [ $code = 3 ] && grep -q 'setcap cap_bpf' "$dir/said"; } || { [ $code = 4 ] && grep -q 'built without' "$dir/said"; } ||
		{ [ $code = 126 ] || [ $code = 127 ]; }
	point $? trace_ordinary 'an ordinary user is told which capabilities probes need, and how to give them'
else
	"$trace" slow -d 1 >"$dir/said" 2>&1
	code=$?
	{ [ $code = 3 ] && grep -q 'setcap cap_bpf' "$dir/said"; } || [ $code = 4 ] || [ $code = 0 ]
	point $? trace_ordinary 'an ordinary user is told which capabilities probes need, and how to give them'
fi
exit 0
