#!/bin/sh
# terminal_test.sh: dsmx at a terminal. `dsmx ps` as a table that is drawn anew, and three shells that complete the
# command line, each as a person has it: interactive, in tmux, with keys typed. No wait is a sleep: all look until it is so.
set -u
top=${DSMX_TOP:-$(cd "$(dirname "$0")/.." && pwd)}
: "${DSMX_BUILD:=$top/build/release}"
dsmx=$DSMX_BUILD/dsmx
dir=$(mktemp -d)
export XDG_RUNTIME_DIR="$dir/run"
mkdir -m 0700 "$dir/run"
number=0 run= server=0
tm() { tmux -S "$dir/tmux.$server" -f /dev/null "$@"; }
finish() {
	[ -z "$run" ] || kill "$run" 2>/dev/null
	tm kill-server 2>/dev/null
	rm -rf "$dir"
}
trap finish EXIT

# check NAME CLAIM COMMAND...
check() {
	name=$1 claim=$2; shift 2
	number=$((number + 1))
	if "$@"; then
		echo "ok $number - $name: $claim"
	else
		echo "not ok $number - $name: $claim"
		tm capture-pane -p 2>/dev/null | sed 's/^/# | /'
	fi
}
skip() { number=$((number + 1)); echo "ok $number - $1: $2 # SKIP $3"; }
has() { command -v "$1" >/dev/null; }
# What is on the screen, until it has $1 (and, with a second argument, does not have that).
await() {
	for _ in $(seq 200); do
		tm capture-pane -p >"$dir/screen" 2>/dev/null
		grep -q -e "$1" "$dir/screen" && { [ -z "${2-}" ] || ! grep -q -e "$2" "$dir/screen"; } && return 0
		sleep 0.05
	done
	echo "# never seen: $1"; false
}
key() { tm send-keys "$@"; }
# Until a file has the line $2.
line() { for _ in $(seq 200); do grep -qx -- "$2" "$1" 2>/dev/null && return 0; sleep 0.05; done; echo "# no line $2 in $1"; false; }
# start COLUMNS ROWS COMMAND: in a terminal of that size; its status goes to a file.
start() {
	tm kill-server 2>/dev/null
	server=$((server + 1)) # the last one may still be going
	rm -f "$dir/left"
	TERM=screen tm new-session -d -x "$1" -y "$2" "$3; echo left \$? >'$dir/left'; exec sleep 60"
}

echo 1..12
"$dsmx" gen tpch --scale 0.001 -o "$dir/tpch" >/dev/null 2>&1 || exit 1
"$dsmx" run -q -w 2 --isolation cgroup -d "$dir/tpch" --repeat 1000000 "SELECT count(*) FROM lineitem" >/dev/null 2>&1 &
run=$!
# Others may have sessions too: ours is that of our leader.
id=
until [ -n "$id" ] && "$dsmx" ps -s "$id" | grep -q 'w1  READY'; do
	kill -0 $run 2>/dev/null || exit 1
	id=$("$dsmx" ps 2>/dev/null | sed -n "s/^\([0-9a-f]\{16\}\)  leader $run,.*/\1/p")
done

# --- dsmx ps

quits_by_key() { start 100 20 "'$dsmx' ps -s $id -i 0.1" && await 'w1  READY' && await "$id.*leader $run" && await ' cgroup, ' && key q && line "$dir/left" 'left 0' && await '^' "$id"; }
quits_by_signal() { start 100 20 "'$dsmx' ps -s $id -i 0.1" && await 'w1  READY' && key C-c && line "$dir/left" 'left 130' && await '^' "$id"; }
# No line goes on in the next row, and there are no more lines than rows; larger again, all is there, before the next look is due.
resizes() {
	start 100 20 "'$dsmx' ps -s $id -i 3600" && await 'LAST EXIT' && tm resize-window -x 40 -y 4 && await '^\.\.\.$' 'LAST EXIT' &&
		[ "$(wc -l <"$dir/screen")" = 4 ] && awk 'length($0) > 40 { exit 1 }' "$dir/screen" && await '^SESSION' &&
		tm resize-window -x 100 -y 20 && await 'LAST EXIT' '^\.\.\.$' && key q && line "$dir/left" 'left 0'
}
fits() { start 80 24 "'$dsmx' ps -s $id -i 0.1" && await 'w1  READY' && ! awk 'length($0) > 80' "$dir/screen" | grep -q . && await 'LAST EXIT$'; }
# A shell gets its own screen while ps is stopped, and ps its own when it goes on.
stops() {
	start 100 20 "HISTFILE= PS1='shell> ' bash --norc -i" && await 'shell>' && key "'$dsmx' ps -s $id -i 0.1" Enter && await 'w1  READY' &&
		key C-z && await 'Stopped' 'w1  READY' && key 'fg' Enter && await 'w1  READY' && key q && await 'shell>' 'w1  READY' && key 'exit' Enter
}
steady() { start 100 20 "TERM=dumb '$dsmx' ps -s $id" && line "$dir/left" 'left 0' && await 'w1  READY' && ! tm capture-pane -p -e | grep -q "$(printf '\033')"; }
# Into a pipe: once, or again and again, and never a byte that is no text.
piped() { "$dsmx" ps -w -s "$id" -i 0.02 -n 3 >"$dir/out" </dev/null && [ "$(grep -c '^SESSION' "$dir/out")" = 3 ] && ! LC_ALL=C grep -q '[^ -~]' "$dir/out"; }
head_ends() { "$dsmx" ps -w -s "$id" -i 0.02 </dev/null 2>&1 | head -n 1 >"$dir/out" && grep -q '^SESSION' "$dir/out"; }
kills_worker() { "$dsmx" ctl -q -s "$id" kill 0 && start 100 20 "'$dsmx' ps -l -s $id -i 0.1" && await 'w0  READY.* 1  SIGNAL 9$' && await 'pressure cpu'; }
if has tmux; then
	check ps_quit 'a table with session, level and workers; q ends it and the screen is as it was' quits_by_key
	check ps_interrupt 'Ctrl-C ends it too, with status 130' quits_by_signal
	check ps_resize 'a terminal that gets smaller or larger is drawn at once; nothing wraps' resizes
	check ps_fits '80 columns are enough' fits
	check ps_stop 'Ctrl-Z gives the shell its screen, fg takes it back' stops
	check ps_dumb 'a terminal that cannot move its cursor gets the table once' steady
	check ps_exit 'how a worker ended is in its line, and its restart' kills_worker
else
	for name in ps_quit ps_interrupt ps_resize ps_fits ps_stop ps_dumb ps_exit; do skip $name 'at a terminal' 'no tmux'; done
fi
check ps_piped 'into a pipe it is lines of text, as often as is asked' piped
check ps_closed 'a pipe that is closed ends it' head_ends

# --- completion

files=$top/tools/dsmx/completion
export PATH="$DSMX_BUILD:$PATH"
mkdir "$dir/home" && touch "$dir/home/query.sql" "$dir/home/site.conf"
# Type words and two tabs into the shell until all that is expected is offered, or is put in. On a line and a screen that are empty before.
offers() { # TYPED EXPECTED...
	typed=$1; shift
	key C-u && key C-l && key "$typed" Tab Tab
	for expected; do await "$expected" || return 1; done
}
completes() {
	await 'shell>' && offers 'dsmx ' 'check-config' 'explain' 'import' && offers 'dsmx che' 'dsmx check-config' &&
		offers 'dsmx run --is' 'dsmx run --isolation' && offers 'dsmx run --format ' 'table' 'arrow' &&
		offers 'dsmx import --format ' 'tbl' && offers 'dsmx ctl ' 'restart' 'reset-failed' && offers "dsmx ps -s " "$id" &&
		offers 'dsmx run -f qu' 'query.sql' && key C-u 'exit' Enter
}
in_bash() { start 100 30 "cd '$dir/home' && HISTFILE= PS1='shell> ' bash --norc -i" && await 'shell>' && key ". $files/dsmx.bash" Enter && completes; }
in_zsh() {
	start 100 30 "cd '$dir/home' && ZDOTDIR='$dir/home' PS1='shell> ' zsh -f -i" && await 'shell>' &&
		key "fpath=($files \$fpath); autoload -Uz compinit; compinit -D -u; LISTMAX=999; unsetopt automenu" Enter && completes
}
in_fish() {
	HOME=$dir/home fish --no-config -c "cd '$dir/home'; source '$files/dsmx.fish'
		complete -C 'dsmx '; complete -C 'dsmx run --is'; complete -C 'dsmx run --format '; complete -C 'dsmx import --format '
		complete -C 'dsmx ctl re'; complete -C 'dsmx ps -s '; complete -C 'dsmx run -f qu'; complete -C 'dsmx gen '
		complete -C 'dsmx run --da'; complete -C 'dsmx check-config si'" >"$dir/said" 2>&1
	for word in check-config explain --isolation arrow tbl restart reset-failed "$id" query.sql tpch --data site.conf; do
		cut -f1 "$dir/said" | grep -qx -- "$word" || { echo "# not offered: $word"; return 1; }
	done
}
for shell in bash zsh fish; do
	claim="$shell completes commands, options, their values, sessions, verbs and files"
	if ! has tmux; then skip complete_$shell "$claim" 'no tmux'
	elif ! has $shell; then skip complete_$shell "$claim" "no $shell"
	else check complete_$shell "$claim" in_$shell; fi
done
