#!/bin/bash
# Readers of foreign words and bytes: each fuzz target takes the inputs that once were too much for it, and a fixed number
# of random ones. Longer runs are `make hostile` and `make fuzz`.
top=$(realpath "${DSMX_TOP:-$(dirname "$0")/..}")
build=${DSMX_BUILD:-$top/build/release}
dir=$(mktemp -d) && trap 'rm -rf "$dir"' EXIT
number=0
echo TAP version 13
cd "$dir" || exit 1
for target in "$build"/selftests/fuzz/*_fuzz; do
	name=$(basename "$target" _fuzz)
	known=$top/selftests/fuzz/corpus/$name
	number=$((number + 1))
	[ -d "$known" ] || known=
	if "$target" -n 200 ${known:+"$known"} >log 2>&1; then
		echo "ok $number - fuzz_$name: $(tail -n 1 log)"
	else
		tail -n 40 log | sed 's/^/# /'
		echo "not ok $number - fuzz_$name"
	fi
done
echo "1..$number"
