#!/bin/sh
# trace_tools_test.sh: what dsmx-trace and the library's probes are to other people's programs: bpftrace and perf hit the
# same probes, promtool, Python and Chromium read what is written, three shells complete the command line.
. "$(dirname "$0")/trace_lib.sh"
lib=$(readlink -f "$build/libdsmx.so")

event=
finish() {
	[ -z "$event" ] || perf probe -q -d "$event" 2>/dev/null
	[ -z "$running" ] || kill "$running" 2>/dev/null
	rm -rf "$dir"
}

# Is the program there? Else the point is skipped.
needs() { # PROGRAM NAME CLAIM
	command -v "$1" >/dev/null && return 0
	skip "$2" "$3" "no $1"
	return 1
}
may_probe() { # NAME CLAIM
	[ -z "$why" ] && return 0
	skip "$1" "$2" "$why"
	return 1
}

make_tables && start || exit 1
session=$("$trace" stat -p $running -w leader --format csv | awk -F, 'NR == 2 { print $2 }')
probes=$(grep -c '^	X(' "$top/include/dsmx/trace.h")

"$trace" record -p $running -d 0.5 -o "$dir/rec" >"$dir/said" 2>&1
case $? in
3 | 4) why='no permission to load BPF programs, or none were built' ;;
*) why= ;;
esac
echo 1..12

claim='bpftrace lists the same probes, and hits them with their arguments'
if needs bpftrace trace_bpftrace "$claim" && may_probe trace_bpftrace "$claim"; then
	bpftrace -l "usdt:$lib:dsmx:*" >"$dir/list" 2>"$dir/said"
	timeout 60 bpftrace -p $running -e "
		usdt:$lib:dsmx:ss_send { @send[arg0] = count(); } usdt:$lib:dsmx:ss_read { @read[arg0] = count(); }
		interval:ms:300 { exit(); }" >"$dir/said" 2>&1
	# It prints numbers with a sign.
	hex=$(printf '%016x' "$(sed -n 's/^@send\[\(-*[0-9]*\)\]: [1-9].*/\1/p' "$dir/said" | head -n 1)")
	[ "$(grep -c ':dsmx:' "$dir/list")" = "$probes" ] && [ "$hex" = "$session" ]
	point $? trace_bpftrace "$claim"
fi

claim='perf lists the same probes, and counts their hits'
if needs perf trace_perf "$claim" && may_probe trace_perf "$claim"; then
	perf() { HOME=$dir command perf --buildid-dir "$dir/buildid" "$@"; }
	perf buildid-cache --add "$lib" >"$dir/said" 2>&1
	perf list sdt 2>/dev/null | grep -c 'sdt_dsmx:' >"$dir/list"
	perf probe sdt_dsmx:ss_send >"$dir/said" 2>&1
	event=$(sed -n 's/^ *\(sdt_dsmx:ss_send[_0-9]*\) .*/\1/p' "$dir/said" | head -n 1)
	if [ -z "$event" ] && [ ! -w /sys/kernel/tracing/uprobe_events ] && [ ! -w /sys/kernel/debug/tracing/uprobe_events ]; then
		skip trace_perf "$claim" 'no tracefs to write to'
	else
		perf stat -x, -e "${event:-none}" -p $running sleep 0.3 >"$dir/said" 2>&1
		[ "$(cat "$dir/list")" = "$probes" ] && awk -F, '/sdt_dsmx/ && $1 > 0 { found = 1 } END { exit !found }' "$dir/said"
		point $? trace_perf "$claim"
		[ -z "$event" ] || perf probe -q -d "$event" 2>/dev/null
		event=
	fi
fi

claim='promtool parses counters and histograms'
if needs promtool trace_promtool "$claim"; then
	# It reads the older format, where a counter's TYPE has the name of its samples: that alone it may complain of.
	"$trace" stat -p $running --format openmetrics >"$dir/stat.prom" && "$trace" hist -p $running --format openmetrics >"$dir/hist.prom"
	promtool check metrics <"$dir/hist.prom" >"$dir/said" 2>&1
	hist=$?
	promtool check metrics <"$dir/stat.prom" >"$dir/said" 2>&1
	stat=$?
	[ $hist = 0 ] && { [ $stat = 0 ] || [ $stat = 3 ]; } && ! grep -v 'no help text$' "$dir/said"
	point $? trace_promtool "$claim"
fi

claim='Python reads CSV: numbers under each heading that says so'
if needs python3 trace_python_csv "$claim"; then
	for what in stat hist flight list; do "$trace" $what -p $running --format csv 2>/dev/null >"$dir/$what.csv"; done
	[ -n "$why" ] || "$trace" export --from "$dir/rec" --format csv >"$dir/export.csv" 2>/dev/null
	python3 - "$dir"/*.csv >"$dir/said" 2>&1 <<'P'
import csv, sys
for path in sys.argv[1:]:
    rows = list(csv.DictReader(open(path, newline=''), strict=True))
    assert rows or path.endswith('flight.csv'), path
    for row in rows:
        assert None not in row and None not in row.values(), (path, row)
        for name, value in row.items():
            if name.endswith('_ns') and value:
                assert int(value) >= 0, (path, name, value)
P
	point $? trace_python_csv "$claim"
fi

claim='the Chrome trace keeps to its format: phases, times, arrows that bind to slices'
if needs python3 trace_chrome_schema "$claim" && may_probe trace_chrome_schema "$claim"; then
	"$trace" export --from "$dir/rec" --format chrome -o "$dir/chrome.json" 2>"$dir/said"
	python3 - "$dir/chrome.json" >"$dir/said" 2>&1 <<'P'
import json, sys
trace = json.load(open(sys.argv[1]))
events = trace['traceEvents']
need = {'X': {'ts', 'dur', 'pid', 'tid', 'name', 'cat'}, 's': {'ts', 'pid', 'tid', 'id', 'name', 'cat'},
        'f': {'ts', 'pid', 'tid', 'id', 'name', 'cat', 'bp'}, 'i': {'ts', 'pid', 'tid', 'name', 's'}, 'M': {'pid', 'name', 'args'}}
assert isinstance(trace['otherData'], dict) and trace['displayTimeUnit'] in ('ns', 'ms')
slices, arrows = {}, {}
for e in events:
    assert e['ph'] in need and need[e['ph']] <= e.keys(), e
    if e['ph'] == 'X':
        assert e['dur'] >= 0 and e['ts'] > 0
        slices.setdefault((e['pid'], e['tid']), []).append((e['ts'], e['ts'] + e['dur']))
    if e['ph'] in 'sf':
        arrows.setdefault(e['id'], {})[e['ph']] = e
assert slices and arrows
for a in arrows.values():
    assert a['s']['ts'] <= a['f']['ts'], a
    for end in a.values():
        assert any(f - 0.002 <= end['ts'] <= t + 0.002 for f, t in slices[end['pid'], end['tid']]), end
print(len(events), 'events')
P
	point $? trace_chrome_schema "$claim"
fi

claim='Chromium draws the page: every colour of a phase, the heat map and the histograms are in the picture'
if needs chromium trace_chromium "$claim" && needs python3 trace_chromium "$claim" && may_probe trace_chromium "$claim"; then
	"$trace" export --from "$dir/rec" --format html -o "$dir/page.html" 2>"$dir/said"
	(cd "$dir" && HOME=$dir timeout 120 chromium --headless --no-sandbox --disable-gpu --hide-scrollbars --disable-dev-shm-usage \
		--window-size=1200,9000 --user-data-dir="$dir/profile" --screenshot="$dir/page.png" "file://$dir/page.html") >"$dir/said" 2>&1
	python3 - "$dir/page.png" >"$dir/said" 2>&1 <<'P'
import struct, sys, zlib
data = open(sys.argv[1], 'rb').read()
assert data[:8] == b'\x89PNG\r\n\x1a\n'
width, height, depth, kind = struct.unpack('>IIBB', data[16:26])
assert depth == 8 and kind in (2, 6), (depth, kind)
n, at, packed = (3 if kind == 2 else 4), 8, b''
while at < len(data):
    size, name = struct.unpack('>I4s', data[at:at + 8])
    if name == b'IDAT':
        packed += data[at + 8:at + 8 + size]
    at += 12 + size
raw, stride, line = zlib.decompress(packed), width * n, bytearray(width * n)
seen = {}
for y in range(height):
    filter, new = raw[y * (stride + 1)], bytearray(raw[y * (stride + 1) + 1:(y + 1) * (stride + 1)])
    if filter == 0 and new == line:
        pass
    elif filter == 1:
        for i in range(n, stride): new[i] = (new[i] + new[i - n]) & 255
    elif filter == 2:
        for i in range(stride): new[i] = (new[i] + line[i]) & 255
    elif filter == 3:
        for i in range(stride): new[i] = (new[i] + ((new[i - n] if i >= n else 0) + line[i]) // 2) & 255
    elif filter == 4:
        for i in range(stride):
            a, b, c = (new[i - n] if i >= n else 0), line[i], (line[i - n] if i >= n else 0)
            p = a + b - c
            pa, pb, pc = abs(p - a), abs(p - b), abs(p - c)
            new[i] = (new[i] + (a if pa <= pb and pa <= pc else b if pb <= pc else c)) & 255
    line = new
    for x in range(0, stride, n):
        colour = bytes(new[x:x + 3])
        seen[colour] = seen.get(colour, 0) + 1
for phase in ('4c78a8', 'f58518', '54a24b', 'b279a2', '888888'):
    assert seen.get(bytes.fromhex(phase), 0) > 20, phase
red = sum(n for c, n in seen.items() if c[0] > c[1] + 40 and abs(c[1] - c[2]) < 30)
assert red > 1000, red
print(width, height, len(seen), 'colours')
P
	point $? trace_chromium "$claim"
fi

claim='a heat map in the terminal: a row for each bucket, a column for each interval'
"$trace" hist --heat -p $running -i 0.02 -n 20 >"$dir/said" 2>&1 && awk '
	NR == 1 { columns = /; 20 columns of 20/ ; next }
	!/^ *[0-9.]+(ns|us|ms|s) \|.*\|$/ || length($0) != 32 { print "no row: " $0; bad = 1 }
	/[.:=+*#%@-].*\|$/ { marks++ }
	END { exit bad || !columns || marks < 2 }' "$dir/said"
point $? trace_heat "$claim"

claim='top goes from a session to a stream, and back'
if needs tmux trace_top_down "$claim"; then
	tmux -S "$dir/tmux" -f /dev/null new-session -d -x 130 -y 24 "'$trace' top -p $running -i 0.1; echo left \$? >'$dir/left'; sleep 9" 2>"$dir/said"
	await() { for _ in $(seq 60); do tmux -S "$dir/tmux" capture-pane -p >"$dir/said" 2>&1; grep -q "$1" "$dir/said" && return 0; sleep 0.05; done; return 1; }
	key() { tmux -S "$dir/tmux" send-keys "$@"; }
	# A stream of a query that is short may be over before it is looked at: then it says so.
	await 'worker 1' && key Down Enter && await "> $session > worker" && await 'asked' && key s && await 'consumer' && key Enter &&
		await '> q[0-9]* [0-9.]*>' && await 'first frame\|it is closed' && tmux -S "$dir/tmux" resize-window -x 70 -y 10 && await 'what' &&
		tmux -S "$dir/tmux" resize-window -x 140 -y 20 && key BSpace && await 'held' && key p && await 'wakes/s' && key q &&
		for _ in $(seq 60); do [ -s "$dir/left" ] && break; sleep 0.05; done && grep -qx 'left 0' "$dir/left"
	point $? trace_top_down "$claim"
	tmux -S "$dir/tmux" kill-server 2>/dev/null
fi

claim='filters: one worker, one stream; what a command cannot do is said'
"$trace" stat -p $running -w 1 --format csv >"$dir/said" && [ "$(wc -l <"$dir/said")" = 2 ] && grep -q ',worker 1,' "$dir/said" &&
	"$trace" hist -S 1 >"$dir/said" 2>&1
usage=$?
"$trace" flight -p $running --on >/dev/null
for _ in $(seq 200); do
	"$trace" flight -p $running -S '2.0>0' --format csv >"$dir/events" 2>/dev/null
	[ "$(wc -l <"$dir/events")" -le 5 ] || break
	sleep 0.05
done
"$trace" flight -p $running --off >/dev/null
[ $usage = 2 ] && awk -F, 'NR > 1 { n++; if ($9 "." $10 ">" $11 != "2.0>0") bad = 1 } END { exit bad || n < 5 }' "$dir/events"
point $? trace_filters "$claim"

words='top stat hist flight follow'
claim='bash completes commands and options'
if needs bash trace_bash "$claim"; then
	PATH="$build:$PATH" bash -c '. "$0"
		complete_() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _dsmx_trace; printf "%s\n" "${COMPREPLY[@]}"; }
		complete_ dsmx-trace ""; complete_ dsmx-trace hist --he; complete_ dsmx-trace export --format ht' \
		"$top/tools/dsmx-trace/completion/dsmx-trace.bash" >"$dir/said" 2>&1
	for word in $words --heat html; do grep -qx -- "$word" "$dir/said" || echo "not offered: $word"; done >"$dir/missing"
	cat "$dir/missing" >>"$dir/said"
	[ ! -s "$dir/missing" ]
	point $? trace_bash "$claim"
fi

claim='zsh completes commands and options'
if needs zsh trace_zsh "$claim"; then
	PATH="$build:$PATH" zsh -f -c 'compadd() { shift $(( ${@[(i)--]} <= $# ? ${@[(i)--]} : 0 )); print -l -- "$@"; }
		_describe() { print -l -- ${(P)2%%:*} ${${(P)2}%%:*}; }; _files() { print files; }
		run() { words=("$@"); CURRENT=$#; . $file; }
		file=$0; run dsmx-trace ""; run dsmx-trace hist --he; run dsmx-trace export --format ""' \
		"$top/tools/dsmx-trace/completion/_dsmx-trace" >"$dir/said" 2>&1
	for word in $words --heat html; do grep -qx -- "$word" "$dir/said" || echo "not offered: $word"; done >"$dir/missing"
	cat "$dir/missing" >>"$dir/said"
	[ ! -s "$dir/missing" ]
	point $? trace_zsh "$claim"
fi

claim='fish completes commands and options'
if needs fish trace_fish "$claim"; then
	HOME=$dir PATH="$build:$PATH" fish --no-config -c "source '$top/tools/dsmx-trace/completion/dsmx-trace.fish'
		complete -C 'dsmx-trace '; complete -C 'dsmx-trace hist --he'; complete -C 'dsmx-trace export --format '" >"$dir/said" 2>&1
	for word in $words --heat html; do cut -f1 "$dir/said" | grep -qx -- "$word" || echo "not offered: $word"; done >"$dir/missing"
	cat "$dir/missing" >>"$dir/said"
	[ ! -s "$dir/missing" ]
	point $? trace_fish "$claim"
fi
exit 0
