#!/bin/bash
# bench-softverbs.sh [N]: what a message costs on softverbs.
#
# Instructions are those of libsoftverbs and of libc on its behalf, by callgrind with N and 2N messages (see bench.sh); they
# are the same in each run, and more than LIMIT of them for a message and its receive is a failure. Times and bandwidths are
# this machine's at this moment; the goals beside them are for an idle one, and missing them is no failure. LIMITS=1 is for what can
# fail alone: the instructions.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

N=${1:-10000}
LIMIT=${LIMIT-1000}

# total MESSAGES CONNECTIONS: instructions in bench_pair().
total() {
	LD_BIND_NOW=1 LD_PRELOAD=$DIST/lib/libsoftverbs.so timeout -k 5 300 valgrind --tool=callgrind --fair-sched=yes \
		"--callgrind-out-file=$WORK/callgrind.out" --toggle-collect=bench_pair \
		"$DIST/bin/verbs-bench" pair "$1" "$2" >"$WORK/bench.out" 2>&1 ||
		{ cat "$WORK/bench.out" >&2; die "verbs-bench failed"; }
	awk -v host='/libsoftverbs[.]so' -f "$ROOT/scripts/callgrind.awk" "$WORK/callgrind.out" | awk '$1 == "total" { print $2 }'
}

# nanoseconds CONNECTIONS: of a message between two processes, one at a time, going round; the best of five runs, since
# two processes that poll disturb each other by chance.
nanoseconds() {
	local run
	for run in 1 2 3 4 5; do
		(on_softverbs timeout -k 5 120 "$DIST/bin/verbs-bench" messages 10000 "$1" 1) || die "verbs-bench failed in run $run"
	done | sort -n | sed -n 1p
}

# perftest PROGRAM OPTIONS...: its line of results, without what it leaves behind at its end.
perftest() {
	local server
	(LD_PRELOAD=$DIST/lib/libsoftverbs.so exec "$@") >"$WORK/server.out" 2>&1 &
	server=$!
	STARTED+=("$server")
	# The port that perftest takes by itself: for its own exchange over TCP, or for librdmacm with -R.
	if ! wait_until_listens "$server" 18515 ||
		! LD_PRELOAD=$DIST/lib/libsoftverbs.so timeout -k 5 300 "$@" 127.0.0.1 >"$WORK/client.out" 2>&1; then
		cat "$WORK/server.out" "$WORK/client.out" >&2
		die "$* did not run"
	fi
	wait_end "$server" "$PATIENCE"
	awk '/^ *[0-9]+ +[0-9]+ /' "$WORK/client.out"
}

bad=0
echo 'one process: SEND and RECV of 64 bytes, both completions polled'
for connections in 1 1000; do
	cost=$((($(total $((2 * N)) "$connections") - $(total "$N" "$connections")) / N))
	printf '  %4d connections: %5d instructions a pair%s\n' "$connections" "$cost" "${LIMIT:+ (at most $LIMIT)}"
	[ -z "$LIMIT" ] || [ "$cost" -le "$LIMIT" ] || bad=1
done
verdict() {
	[ "$bad" = 0 ] || die "over the limit of $LIMIT instructions"
}
if [ "${LIMITS:-0}" != 0 ]; then
	verdict
	exit 0
fi
echo 'two processes: SEND of 64 bytes and its acknowledgement, one at a time'
one=$(nanoseconds 1)
thousand=$(nanoseconds 1000)
printf '  over    1 connection:  %6d ns a message\n  over 1000 connections: %6d ns a message, %s times as much\n' \
	"$one" "$thousand" "$(awk -v a="$thousand" -v b="$one" 'BEGIN { printf "%.1f", a / b }')"
echo 'perftest between two processes on loopback'
printf '  ib_write_bw, 64 KiB: %s MB/s (goal 1000)\n' "$(perftest ib_write_bw -R -s 65536 -n 20000 | awk '{ print $4 }')"
printf '  ib_send_lat, 64 B: median %s us (goal 40)\n' "$(perftest ib_send_lat -R -s 64 -n 5000 | awk '{ print $5 }')"
echo 'simulation, order drawn from a seed (goal 200000)'
(cd "$ROOT" && "${CARGO:-cargo}" bench --locked --quiet -p softverbs --bench simulation) | sed 's/^/  /'
verdict
