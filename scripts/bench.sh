#!/bin/bash
# bench.sh [N]: what one 4 KiB I/O at queue depth 32 costs the host, in instructions and allocations.
#
# The host's share is what runs in libspdk_nvme_rdma and libspdk_env_rdma, and in libc on their behalf; provider
# (softverbs), target and program do not count. Each case runs twice under callgrind, which counts while bench_loop()
# runs, with N and 2N I/Os, and the difference is divided by N: filling and emptying the queue cancel out.
#
# PROFILE=1: also prints the host's functions and source files that take most, in instructions per I/O (own ones,
# without callees).
# LIMIT=n: fails if a case of the table needs more instructions than that; 718 is what SPDK v26.05 needs, LIMIT= is no
# limit. Any allocation in the I/O path fails.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

N=${1:-2000}
LIMIT=${LIMIT-718}
HOST='/(libspdk_nvme_rdma|libspdk_env_rdma)[.]so'

# count FILE NAME: one value of a measurement.
count() {
	awk -v name="$2" '$1 == name { print $2; found = 1 } END { if (!found) print 0 }' "$1"
}

# run FILE I/OS OPTIONS...: one run under callgrind.
run() {
	local file=$1 ios=$2
	shift 2
	if ! (LD_BIND_NOW=1 on_softverbs timeout -k 5 300 valgrind --tool=callgrind --fair-sched=yes \
		"--callgrind-out-file=$WORK/callgrind.out" --toggle-collect=bench_loop \
		"$DIST/bin/bench" -n "$ios" "$@") >"$WORK/bench.out" 2>&1; then
		cat "$WORK/bench.out" >&2
		die "bench $* failed"
	fi
	awk -v host="$HOST" -f "$ROOT/scripts/callgrind.awk" "$WORK/callgrind.out" >"$file"
}

# profile: of the last run, whose I/Os were 2N.
profile() {
	local kind
	for kind in function file; do
		echo "    by $kind:"
		awk -v profile=1 -v host="$HOST" -f "$ROOT/scripts/callgrind.awk" "$WORK/callgrind.out" |
			awk -v n=$((2 * N)) -v kind="$kind" '$1 == kind && $2 >= n {
				cost = $2 / n
				sub(/^[a-z]+ [0-9]+ /, "")
				sub(/.*\/(library|src|registry\/src)\//, "")
				printf "    %8.1f  %s\n", cost, $0
			}' | sort -rn | sed -n 1,25p
	done
}

bad=0
printf '%-34s %9s %9s %9s %9s %12s\n' "4 KiB, queue depth 32, per I/O" host nvme_rdma env_rdma libc allocations
measure() {
	local name=$1
	shift
	run "$WORK/one" "$N" "$@"
	run "$WORK/two" $((2 * N)) "$@"
	local line
	line=$(for value in total self:libspdk_nvme_rdma.so self:libspdk_env_rdma.so libc allocations; do
		echo "$(count "$WORK/one" "$value") $(count "$WORK/two" "$value")"
	done | awk -v n="$N" '{ printf "%s%.1f", (NR == 1 ? "" : " "), ($2 - $1) / n }')
	# shellcheck disable=SC2086 # these are five numbers
	printf '%-34s %9s %9s %9s %9s %12s\n' "$name" $line
	[ "${PROFILE:-0}" = 0 ] || profile
	awk -v limit="$LIMIT" '(limit != "" && $1 > limit) || $5 > 0 { exit 1 }' <<<"$line" || bad=1
}

measure 'read' -m read
measure 'write' -m write
measure 'read, poll group' -m read -g
measure 'write, poll group' -m write -g
measure 'read, delayed submit' -m read -d
measure 'read, poll group, delayed submit' -m read -g -d
echo "the same without callgrind:"
for options in '-m read' '-m write' '-m read -g -d'; do
	# shellcheck disable=SC2086 # options
	(on_softverbs timeout -k 5 60 "$DIST/bin/bench" -n 200000 $options) | sed 's/^/  /'
done
[ "$bad" = 0 ] || die "over the limit${LIMIT:+ of $LIMIT instructions}, or something is allocated for each I/O"
