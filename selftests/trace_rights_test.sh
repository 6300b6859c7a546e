#!/bin/sh
# trace_rights_test.sh: who may see what, and what becomes of tracers and traced programs that do not behave: an ordinary
# user sees his own sessions; two capabilities are enough for probes; a tracer that is stopped for five seconds loses no
# more than it says; a library that is replaced is traced in both its shapes.
. "$(dirname "$0")/trace_lib.sh"

tracer=
finish() {
	for pid in $running $tracer; do kill "$pid" 2>/dev/null; done
	rm -rf "$dir"
}
kill_wait() { kill "$1" 2>/dev/null; wait "$1" 2>/dev/null; }

# A copy of the programs where another user can reach them.
bin=$dir/bin
mkdir "$bin" "$dir/run" && chmod 755 "$dir" "$bin" && [ -z "${TMPDIR:-}" ] || chmod 711 "$TMPDIR"
cp "$build/dsmx" "$build/dsmx-worker" "$build/dsmx-trace" "$bin" && cp -d "$build"/libdsmx.so* "$bin" || exit 1
"$bin/dsmx" gen tpch --scale 0.001 -o "$dir/data" >/dev/null 2>&1 && chmod -R a+rX "$dir/data" || exit 1

"$bin/dsmx-trace" record -d 0.1 -o "$dir/none" >"$dir/said" 2>&1
case $? in
3 | 4) why='no permission to load BPF programs, or none were built' ;;
*) why= ;;
esac

nobody='setpriv --reuid 65534 --regid 65534 --clear-groups'
plain="$nobody --inh-caps=-all --bounding-set=-all"
able="$nobody --inh-caps=-all,+bpf,+perfmon --ambient-caps=-all,+bpf,+perfmon"
if [ "$(id -u)" != 0 ] || ! command -v setpriv >/dev/null; then
	other='not root'
elif ! $plain "$bin/dsmx-trace" --version >/dev/null 2>&1; then
	other='another user cannot reach the programs'
else
	other=
	chown 65534:65534 "$dir/run"
fi

# A session of that user's that goes on until it is killed.
start_nobody() {
	XDG_RUNTIME_DIR=$dir/run DSMX_CGROUP='' $plain "$bin/dsmx" run -q -w 2 --repeat 1000000 --data "$dir/data" "$query" >/dev/null 2>"$dir/session" &
	running=$!
	for _ in $(seq 200); do
		$plain "$bin/dsmx-trace" stat -p $running -w leader --format csv 2>/dev/null |
			awk -F, 'NR == 2 && $6 > 20 { found = 1 } END { exit !found }' && return 0
		sleep 0.05
	done
	cp "$dir/session" "$dir/said"
	return 1
}

# One of ours with a worker, that has begun.
start_one() {
	"$bin/dsmx" run -q -w 1 --repeat 1000000 --data "$dir/data" "$query" >/dev/null 2>&1 &
	running=$!
	for _ in $(seq 200); do
		"$bin/dsmx-trace" stat -p $running -w leader --format csv 2>/dev/null | awk -F, 'NR == 2 && $6 > 0 { found = 1 } END { exit !found }' && break
		sleep 0.05
	done
}

echo 1..6

claim='an ordinary user sees counters, histograms, waits, the live table, the flight recorder; doctor says what more takes'
if [ -n "$other" ]; then
	skip rights_ordinary "$claim" "$other"
else
	bad=
	start_nobody || bad=start
	for row in "stat -p $running" "hist -p $running" "why -p $running" "top -p $running -n 1 -i 0.05" "flight -p $running -d 0.1" list doctor; do
		# shellcheck disable=SC2086
		$plain "$bin/dsmx-trace" $row >"$dir/out" 2>&1 || bad="$bad $row;"
		[ -s "$dir/out" ] || bad="$bad $row said nothing;"
	done
	grep -q '^no   capabilities .*CAP_BPF' "$dir/out" || bad="$bad doctor"
	for row in slow follow "record -o /dev/null" "export" "hist -k" check; do
		# shellcheck disable=SC2086
		$plain "$bin/dsmx-trace" $row -d 0.1 >"$dir/out" 2>&1
		code=$?
		{ [ $code = 3 ] && grep -q 'setcap cap_bpf,cap_perfmon+ep' "$dir/out"; } || [ $code = 4 ] || bad="$bad $row gave $code;"
	done
	echo "$bad" >>"$dir/said"
	[ -z "$bad" ]
	point $? rights_ordinary "$claim"
fi

claim='with CAP_BPF and CAP_PERFMON alone, probes work on the same user'\''s sessions'
if [ -n "$other" ] || [ -n "$why" ]; then
	skip rights_two_capabilities "$claim" "${other:-$why}"
else
	[ -n "$running" ] || start_nobody
	bad=
	for row in 'record -o /dev/null' 'hist -k' 'slow --min-us 1 -n 5' 'follow -n 5' 'export --format csv' check; do
		# shellcheck disable=SC2086
		$able "$bin/dsmx-trace" $row -p $running -d 0.4 >"$dir/out" 2>"$dir/err" || { bad="$bad $row;"; cat "$dir/err" >>"$dir/said"; }
	done
	$able "$bin/dsmx-trace" hist -k -p $running -d 1.5 --format csv --phase total >"$dir/out" 2>>"$dir/said"
	[ "$(awk -F, '$2 == "total" { n += $4 } END { print n + 0 }' "$dir/out")" -gt 0 ] || bad="$bad nothing was seen;"
	$able "$bin/dsmx-trace" doctor >"$dir/out" 2>&1 && grep -q '^ok   capabilities' "$dir/out" || bad="$bad doctor"
	cat "$dir/out" >>"$dir/said"
	echo "$bad" >>"$dir/said"
	[ -z "$bad" ]
	point $? rights_two_capabilities "$claim"
fi
[ -z "$running" ] || stop

# Start dsmx-trace, and wait until its probes stand.
watch() { # ARGUMENT...
	: >"$dir/watch"
	"$bin/dsmx-trace" "$@" >"$dir/shown" 2>"$dir/watch" &
	tracer=$!
	for _ in $(seq 200); do
		if grep -q watching "$dir/watch" || ! kill -0 $tracer 2>/dev/null; then return; fi
		sleep 0.05
	done
}
end_watch() { kill -INT $tracer; wait $tracer; tracer=; }

claim='a tracer that is stopped for five seconds loses events, as many as it says'
if [ -n "$why" ]; then
	skip rights_stopped "$claim" "$why"
else
	watch record --buffer 64 -o "$dir/rec" --file "$bin/libdsmx.so"
	kill -STOP $tracer
	until=$(($(date +%s) + 5)) sent=0
	while [ "$(date +%s)" -le $until ]; do
		"$bin/dsmx" run -q -w 2 --stats --repeat 100 --data "$dir/data" "$query" 2>"$dir/stats" >/dev/null
		sent=$((sent + $(awk '/^query:/ { for (i = 1; i <= NF; i++) if (sub(/^start_streams=/, "", $i)) n += $i } END { print n + 0 }' "$dir/stats")))
	done
	kill -CONT $tracer
	end_watch
	"$bin/dsmx-trace" export --from "$dir/rec" >"$dir/json" 2>/dev/null
	seen=$(grep -c '"type":"ss_read"' "$dir/json")
	lost=$(sed -n 's/.*"type":"lost","streams_full":\([0-9]*\).*/\1/p' "$dir/json")
	echo "$sent StartStreams, $seen seen, ${lost:-0} said to be lost" >"$dir/said"
	sed 's/^/# /' "$dir/said"
	[ "${lost:-0}" -gt 0 ] && [ $((seen + lost)) = $sent ]
	point $? rights_stopped "$claim"
fi

claim='a library that is replaced is traced in its old shape and in its new one'
if [ -n "$why" ]; then
	skip rights_upgrade "$claim" "$why"
else
	start_one
	old=$("$bin/dsmx-trace" stat -p $running -w leader --format csv | awk -F, 'NR == 2 { print $2 }')
	real=$(readlink -f "$bin/libdsmx.so")
	cp "$real" "$real.new" && mv "$real.new" "$real"
	watch record -o "$dir/rec"
	"$bin/dsmx" run -q -w 1 --stats --repeat 5 --data "$dir/data" "$query" 2>"$dir/stats" >/dev/null
	end_watch
	new=$(sed -n 's/^session: id=\([0-9a-f]*\).*/\1/p' "$dir/stats" | head -n 1)
	before=$("$bin/dsmx-trace" export --from "$dir/rec" -s "$old" --format csv 2>/dev/null | grep -c ,ss_read,)
	after=$("$bin/dsmx-trace" export --from "$dir/rec" -s "$new" --format csv 2>/dev/null | grep -c ,ss_read,)
	echo "$before streams of the old one, $after of the new one" >"$dir/said"
	[ "$before" -gt 0 ] && [ "$after" -gt 0 ]
	point $? rights_upgrade "$claim"
	stop
fi

claim='sessions of a process or group that begin while it is watched are seen as well'
if [ -n "$why" ]; then
	skip rights_later "$claim" "$why"
else
	group=/sys/fs/cgroup
	[ -d $group/unified ] && group=$group/unified
	"$bin/dsmx" run -q -w 0 --repeat 1000000 --data "$dir/data" "$query" >/dev/null 2>&1 &
	running=$!
	for _ in $(seq 200); do
		"$bin/dsmx-trace" stat -p $running >/dev/null 2>&1 && break
		sleep 0.05
	done
	watch record -g $group -o "$dir/rec"
	"$bin/dsmx" run -q -w 0 --stats --repeat 1000000 --data "$dir/data" "$query" 2>"$dir/stats" >/dev/null &
	later=$!
	for _ in $(seq 100); do
		id=$("$bin/dsmx-trace" stat -p $later --format csv 2>/dev/null | awk -F, 'NR == 2 { print $2 }')
		[ -n "$id" ] && break
		sleep 0.05
	done
	sleep 1.5
	kill_wait $later
	end_watch
	seen=$("$bin/dsmx-trace" export --from "$dir/rec" -s "$id" --format csv 2>/dev/null | grep -c ,ss_read,)
	echo "$seen streams of the later session" >"$dir/said"
	[ "$seen" -gt 0 ]
	point $? rights_later "$claim"
	stop
fi

claim='the kernel'\''s own word on the end of a process that was traced: its signal'
if [ -n "$why" ]; then
	skip rights_exit "$claim" "$why"
else
	start_one
	worker=$("$bin/dsmx-trace" stat -p $running -w 0 --format csv | awk -F, 'NR == 2 { print $4 }')
	watch record -p $running -o "$dir/rec"
	kill -9 "$worker"
	for _ in $(seq 100); do kill -0 "$worker" 2>/dev/null || break; sleep 0.05; done
	end_watch
	"$bin/dsmx-trace" export --from "$dir/rec" >"$dir/json" 2>/dev/null
	"$bin/dsmx-trace" follow --from "$dir/rec" 2>/dev/null | grep "process $worker has ended" >"$dir/said"
	if grep -q 'without the scheduler' "$dir/watch"; then
		skip rights_exit "$claim" 'no BTF: without the scheduler'\''s times'
	else
		grep -q "process $worker has ended: signal 9" "$dir/said" && grep -q '"type":"exit"' "$dir/json"
		point $? rights_exit "$claim"
	fi
	stop
fi
exit 0
