#!/bin/sh
# run_test.sh: the runner itself, fed with programs that break the rules one by one.
# The last column is what the runner has to say at the end of each.
set -u
: "${DSMX_BUILD:=$(cd "$(dirname "$0")/.." && pwd)/build/release}"
run=$DSMX_BUILD/selftests/run
dir=$(mktemp -d) && trap 'rm -rf "$dir"' EXIT
number=0

# case NAME CLAIM WANT [RUNNER OPTION...] <<PROGRAM
case_() {
	name=$1 claim=$2 want=$3; shift 3
	number=$((number + 1))
	{ echo '#!/bin/sh'; cat; } >"$dir/fake_test"
	chmod +x "$dir/fake_test"
	"$run" -t 2 "$@" "$dir/fake_test" >"$dir/said" 2>&1
	code=$?
	seen=$(tail -n 1 "$dir/said")
	case $want in *' 0 failed'*) code_want=0 ;; *) code_want=1 ;; esac
	if [ "$seen" = "$want" ] && [ $code = $code_want ]; then
		echo "ok $number - $name: $claim"
	else
		echo "# ends with \"$seen\" and $code, not \"$want\" and $code_want; all:"
		sed 's/^/# | /' "$dir/said"
		echo "not ok $number - $name: $claim"
	fi
}

[ "$(id -u)" = 0 ] && not_here=not-root here=sanitized || not_here=sanitized here=not-root
[ "$here" = sanitized ] && DSMX_VARIANT=asan || DSMX_VARIANT=release
export DSMX_VARIANT
printf '%s\n' '# some' "$here fake_test" "$here fake_test: listed *" "$not_here fake_test: elsewhere" >"$dir/skips"
printf '%s\n' 'other-kind x' >"$dir/bad_skips"

echo 1..28
case_ pass 'each point counts once' '2 passed, 0 failed, 0 skipped' <<-'X'
	echo TAP version 13; echo 1..2; echo 'ok 1 - a'; echo '# ok 3 - a comment'; echo '  ok 9 - a sub-test'; echo 'ok 2 - b'
X
case_ plan_last 'a plan may come last' '1 passed, 0 failed, 0 skipped' <<-'X'
	echo 'ok 1 - a'; echo 1..1
X
case_ fail 'a point that is not ok fails' '1 passed, 1 failed, 0 skipped' <<-'X'
	echo 1..2; echo 'ok 1'; echo 'not ok 2 - b'; exit 1
X
case_ fail_exit_0 'also when the program says that all was well' '0 passed, 1 failed, 0 skipped' <<-'X'
	echo 1..1; echo 'not ok 1 - b'
X
case_ no_plan 'no plan is a failure' '1 passed, 1 failed, 0 skipped' <<-'X'
	echo 'ok 1 - a'
X
case_ nothing 'a program that says nothing is a failure' '0 passed, 1 failed, 0 skipped' <<-'X'
	:
X
case_ empty_plan 'a plan of nothing, without a reason, is a failure' '0 passed, 1 failed, 0 skipped' <<-'X'
	echo 1..0
X
case_ too_few 'fewer points than planned are a failure' '1 passed, 1 failed, 0 skipped' <<-'X'
	echo 1..2; echo 'ok 1 - a'
X
case_ too_many 'so are more' '2 passed, 1 failed, 0 skipped' <<-'X'
	echo 1..1; echo 'ok 1 - a'; echo 'ok 2 - b'
X
case_ two_plans 'and two plans' '1 passed, 1 failed, 0 skipped' <<-'X'
	echo 1..1; echo 'ok 1 - a'; echo 1..1
X
case_ crash 'a crash is one failure, what passed before it stays' '1 passed, 1 failed, 0 skipped' <<-'X'
	echo 1..2; echo 'ok 1 - a'; kill -SEGV $$
X
case_ crash_at_end 'also after the last point' '1 passed, 1 failed, 0 skipped' <<-'X'
	echo 1..1; echo 'ok 1 - a'; kill -SEGV $$
X
case_ exit_code 'an exit code that its points do not call for is a failure' '1 passed, 1 failed, 0 skipped' <<-'X'
	echo 1..1; echo 'ok 1 - a'; exit 3
X
case_ hang 'a program that hangs is killed, and one failure' '1 passed, 1 failed, 0 skipped' <<-'X'
	echo 1..2; echo 'ok 1 - a'; exec sleep 1000
X
case_ bail 'giving up is a failure' '1 passed, 1 failed, 0 skipped' <<-'X'
	echo 1..2; echo 'ok 1 - a'; echo 'Bail out! no more'; exit 1
X
case_ bail_counted 'but not another one where a point says why' '0 passed, 1 failed, 0 skipped' <<-'X'
	echo 1..2; echo 'not ok 1 - a # timed out after 1 s'; echo 'Bail out! a timed out'; exit 1
X
case_ todo 'TODO is not a way out' '0 passed, 1 failed, 0 skipped' <<-'X'
	echo 1..1; echo 'not ok 1 - a # TODO later'
X
case_ skip_unlisted 'a skip that is not listed fails' '1 passed, 1 failed, 0 skipped' -s "$dir/skips" <<-'X'
	echo 1..2; echo 'ok 1 - a'; echo 'ok 2 - b # SKIP no time'
X
case_ skip_listed 'one that is listed for this machine is skipped' '1 passed, 0 failed, 1 skipped' -s "$dir/skips" <<-'X'
	echo 1..2; echo 'ok 1 - a'; echo 'ok 2 - listed one # SKIP no time'
X
case_ skip_elsewhere 'one that is listed for other machines fails' '1 passed, 1 failed, 0 skipped' -s "$dir/skips" <<-'X'
	echo 1..2; echo 'ok 1 - a'; echo 'ok 2 - elsewhere # SKIP no time'
X
case_ skip_file 'a whole file that may be skipped is one' '0 passed, 0 failed, 1 skipped' -s "$dir/skips" <<-'X'
	echo '1..0 # SKIP nothing to see'; exit 4
X
case_ skip_file_unlisted 'one that may not is a failure' '0 passed, 1 failed, 0 skipped' <<-'X'
	echo '1..0 # SKIP nothing to see'; exit 4
X
case_ exit_4 'the exit code of a skip, though something passed, is a failure' '1 passed, 1 failed, 0 skipped' <<-'X'
	echo 1..1; echo 'ok 1 - a'; exit 4
X
case_ left_process 'a process left behind, in another session, is a failure' '1 passed, 1 failed, 0 skipped' <<-'X'
	echo 1..1; setsid sleep 1000 & echo 'ok 1 - a'
X
case_ ends_soon 'one that ends by itself within moments is none' '1 passed, 0 failed, 0 skipped' <<-'X'
	echo 1..1; setsid sleep 0.3 & echo 'ok 1 - a'
X
case_ left_file 'a file left in TMPDIR is a failure' '1 passed, 1 failed, 0 skipped' <<-'X'
	echo 1..1; : >"$TMPDIR/x"; echo 'ok 1 - a'
X
case_ no_match 'a pattern that selects no file is a failure' '0 passed, 1 failed, 0 skipped' -p ring <<-'X'
	echo 1..1; echo 'ok 1 - a'
X

"$run" -s "$dir/bad_skips" "$dir/fake_test" >"$dir/said" 2>&1
if [ $? = 2 ]; then
	echo 'ok 28 - bad_skips: a list of skips with an unknown kind of machine is refused'
else
	sed 's/^/# | /' "$dir/said"
	echo 'not ok 28 - bad_skips: a list of skips with an unknown kind of machine is refused'
fi
