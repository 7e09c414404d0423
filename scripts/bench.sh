#!/bin/bash
# bench.sh [N] [PATTERN...]: what the host costs: for each I/O, for a poll that finds nothing, and for a qpair's life. Prints Markdown tables.
#
# The host's share is what runs in libspdk_nvme_rdma and libspdk_env_rdma, and in libc on their behalf; provider
# (softverbs), target and program do not count. callgrind counts while one of the functions of c-tests/lib/load.h runs. A case of the
# I/O table runs with N and 2N I/Os (default 1024), and the difference is divided by N: filling and emptying the queue cancel out.
#
# PATTERN: only the cases of the I/O table whose names match, such as 'read/32/*' (see c-tests/bench.c), and nothing else.
# PROFILE=1: also prints the host's functions and source files that take most, in instructions per I/O (own ones,
# without callees), for each case of the I/O table.
# LIMITS=1: fails if a result is above its limit in scripts/bench/limits.txt. LIMITS=FILE: in another one, such as
# scripts/bench/marks.txt, the marks to beat.
# RESULTS=FILE: keeps the numbers, as "case name number" lines.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

N=1024
if [[ ${1:-} =~ ^[1-9][0-9]*$ ]]; then
	N=$1
	shift
fi
PATTERNS=("$@")
HOST='/(libspdk_nvme_rdma|libspdk_env_rdma)[.]so'
BENCH=$ROOT/scripts/bench
# For a run that hangs; under callgrind on a busy machine one may take minutes.
DEADLINE=900

# begin NAME OPTIONS -- COMMAND...: under callgrind with these options, in the background.
begin() {
	local name=$1 options=() function
	shift
	while [ "$1" != -- ]; do
		options+=("$1")
		shift
	done
	shift
	for function in loop polls allocate connect disconnect free reset; do
		options+=("--toggle-collect=bench_$function")
	done
	mkdir "$WORK/$name"
	LD_BIND_NOW=1 start "$name" timeout -k 5 "$DEADLINE" valgrind --quiet --tool=callgrind --fair-sched=yes --collect-atstart=no \
		--dump-after=bench_section "--callgrind-out-file=$WORK/$name/callgrind.out" "${options[@]}" "$@"
}

# counted NAME PID: not in a pipe, for only the shell that started it may wait; waits for it, and prints "CASE COUNT POLLS NAME VALUE" lines.
counted() {
	local name=$1 files
	wait_end "$2" "$DEADLINE"
	if [ "$STATUS" != 0 ]; then
		head -n 40 "$WORK/$name.out" >&2
		die "$name failed ($STATUS)"
	fi
	# One for each section, in their order, and a last one without a number for what comes after them.
	mapfile -t files < <(find "$WORK/$name" -name 'callgrind.out.*' | sort -V)
	[ "${#files[@]}" -gt 0 ] || die "$name: nothing was measured; is there such a case?"
	[ "${#files[@]}" = "$(grep -c '^section ' "$WORK/$name.out")" ] || die "$name: not one file for each section"
	awk -v host="$HOST" -v sections="$WORK/$name.out" -v profile="${PROFILE:-0}" -f "$ROOT/scripts/callgrind.awk" "${files[@]}"
}

# profile: of the run with 2N I/Os.
profile() {
	local case kind
	for case in $(awk '$4 == "total" && !seen[$1]++ { print $1 }' "$WORK/ios.counted"); do
		for kind in function file; do
			echo "$case, by $kind:"
			awk -v n=$((2 * N)) -v name="$case" -v kind="$kind" '$1 == name && $2 == n && $4 == kind && $5 >= n / 2 {
					cost = $5 / n
					sub(/^[^ ]+ [0-9]+ [0-9]+ [a-z]+ [0-9]+ /, "")
					sub(/.*\/(library|src|registry\/src)\//, "")
					printf "    %8.1f  %s\n", cost, $0
				}' "$WORK/ios.counted" | sort -rn | sed -n 1,25p
		done
	done
}

# Two at a time: they count instructions, so they do not disturb each other.
begin ios --cache-sim=yes -- "$DIST/bin/bench" -a -n "$N" "${PATTERNS[@]}"
ios=$PID
if [ ${#PATTERNS[@]} = 0 ]; then
	begin qpairs -- "$DIST/bin/bench-qpairs"
	qpairs=$PID
fi
counted ios "$ios" >"$WORK/ios.counted"
awk -f "$BENCH/results.awk" "$WORK/ios.counted" >"$WORK/results"
if [ ${#PATTERNS[@]} = 0 ]; then
	counted qpairs "$qpairs" >"$WORK/qpairs.counted"
	awk -f "$BENCH/results.awk" "$WORK/qpairs.counted" >>"$WORK/results"
	(on_softverbs timeout -k 5 "$PATIENCE" "$DIST/bin/bench-memory") >>"$WORK/results"
fi
# Nothing else of this script runs now.
(on_softverbs timeout -k 5 "$PATIENCE" "$DIST/bin/bench" -c "${PATTERNS[@]}") >>"$WORK/results"

[ -z "${RESULTS:-}" ] || cp "$WORK/results" "$RESULTS"
awk -f "$BENCH/tables.awk" "$WORK/results"
[ "${PROFILE:-0}" = 0 ] || profile
case ${LIMITS:-0} in
0) exit 0 ;;
1) limits=$BENCH/limits.txt ;;
*) limits=$LIMITS ;;
esac
awk -v partial=$((${#PATTERNS[@]} > 0)) -f "$BENCH/limits.awk" "$limits" "$WORK/results" || die "not within the limits of $limits"
echo "all that was measured is within the limits of $limits"
