#!/bin/bash
# The soak (selftests/soak, `make soak`), for a second: frames through two processes, then a park after each.
top=$(realpath "${DSMX_TOP:-$(dirname "$0")/..}")
soak=${DSMX_BUILD:-$top/build/release}/selftests/soak/soak
echo TAP version 13
echo 1..2
number=0
for wait in auto futex; do
	number=$((number + 1))
	said=$("$soak" -r 200000 -p 5000 -w $wait 2>&1) && result=ok || result='not ok'
	echo "$result $number - soak_$wait: no wake is lost and no record, bells wrapping: $said" | tr '\n' ' '
	echo
done
