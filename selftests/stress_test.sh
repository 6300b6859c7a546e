#!/bin/bash
# The stress of streams between processes that linger at fault points (selftests/stress, `make stress`), for seconds.
# Each run says its seeds; the first is the time's, or DSMX_STRESS_SEED.
top=$(realpath "${DSMX_TOP:-$(dirname "$0")/..}")
stress=${DSMX_BUILD:-$top/build/release}/selftests/stress/stress
echo TAP version 13
echo 1..4
number=0

# point NAME CLAIM ARGUMENTS...
point() {
	local name=$1 claim=$2 said
	shift 2
	number=$((number + 1))
	said=$("$stress" -t "${DSMX_STRESS_S:-2}" ${DSMX_STRESS_SEED:+-s "$DSMX_STRESS_SEED"} "$@" 2>&1) || printf 'not '
	echo "ok $number - stress_$name: $claim: ${said##*$'\n'}"
	[ "$said" = "${said##*$'\n'}" ] || echo "${said%$'\n'*}"
}

point pinned 'processes on two processors lose no wake, frame or slot' -m pinned
point free 'processes wherever they run' -m free
point crowded 'more that run than processors' -m crowded
point threads 'two threads over one mapping' -T
