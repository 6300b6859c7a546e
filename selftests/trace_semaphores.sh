#!/bin/sh
# trace_semaphores.sh: how many probes of the library in $DSMX_LIB are being traced in the process $DSMX_PID: its
# semaphores that are not 0. Called by trace_test.sh.
set -u
lib=$(readlink -f "$DSMX_LIB")
base=$(awk -v lib="$lib" '$6 == lib && $3 == "00000000" { sub(/-.*/, "", $1); print $1; exit }' "/proc/$DSMX_PID/maps")
[ -n "$base" ] || { echo none; exit 0; }
n=0
for address in $(readelf -n "$lib" | sed -n 's/.*Semaphore: 0x\([0-9a-f]*\).*/\1/p'); do
	at=$((0x$base + 0x$address))
	word=$(dd if="/proc/$DSMX_PID/mem" bs=1 skip=$at count=2 2>/dev/null | od -An -tu2 | tr -d ' ')
	[ "${word:-0}" = 0 ] || n=$((n + 1))
done
echo $n
