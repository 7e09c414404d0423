#!/bin/bash
# check-bench.sh: whether the benchmark's own sums and limits can be trusted: nothing is built or measured, all numbers are made up.
set -euo pipefail
cd "$(dirname "$0")"

WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT
die() {
	echo "check-bench.sh: $*" >&2
	exit 1
}

# within LIMITS RESULTS: what limits.awk says goes to $WORK/said.
within() {
	awk -f bench/limits.awk "$1" "$2" >"$WORK/said"
}

# Each limit that is reached is kept, each that is passed by a little is not, and neither is one without a number.
sed 's/#.*//' bench/limits.txt | awk 'NF { sub(/[*]/, "any"); gsub(/[*]/, "1"); print }' >"$WORK/reached"
within bench/limits.txt "$WORK/reached" || die "results that reach their limits are refused: $(cat "$WORK/said")"
count=$(wc -l <"$WORK/reached")
[ "$count" -gt 0 ] || die 'no limits'
for ((line = 1; line <= count; line++)); do
	case=$(sed -n "${line}p" "$WORK/reached")
	awk -v line="$line" 'NR == line { $3 = sprintf("%.3f", $3 + 0.001) } { print }' "$WORK/reached" >"$WORK/changed"
	! within bench/limits.txt "$WORK/changed" || die "a result above its limit passes: $case"
	grep -qF "${case%% *} " "$WORK/said" || die "nothing is said of $case"
	echo "${case%% *} something-else 1" >"$WORK/changed"
	! within bench/limits.txt "$WORK/changed" || die "limits without results pass"
done
: >"$WORK/empty"
! within bench/limits.txt "$WORK/empty" || die 'no results at all pass'
! within "$WORK/empty" "$WORK/reached" || die 'no limits at all pass'
echo 'read/1/plain instructions many' >"$WORK/changed"
! within "$WORK/changed" "$WORK/reached" || die 'a limit that is no number passes'

# What counts as the host's: itself and libc on its behalf, but not the provider. Zeros at the end of a line are left out.
part() {
	cat <<-END
		events: Ir Dr Dw
		ob=(1) /lib/host.so
		fl=(1) a.rs
		fn=(1) submit
		1 $1 $2 $3
		+1 1
		cob=(2) /lib/libsoftverbs.so
		cfn=(2) softverbs::capi::data::post_send
		calls=$4 0
		2 1000 1000 1000
		cob=(3) /lib/x86_64-linux-gnu/libc.so.6
		cfn=(3) malloc
		calls=$5 0
		2 $6 10
		cfn=(4) deliver
		calls=7 0
		2 5000 5000 5000
		fn=(4)
		5 2
		ob=(2)
		fn=(2)
		1 9999 9999 9999
	END
}
# Host: 100 + 1 + 2, libc 30; then 100 more for each of 10 I/Os.
part 100 20 4 10 0 30 >"$WORK/part.1"
part 1100 40 14 20 5 30 >"$WORK/part.2"
part 500 0 0 0 2 0 >"$WORK/part.3"
part 400 0 0 0 1 0 >"$WORK/part.4"
cat >"$WORK/sections" <<-END
	section io/a 10 10
	words of another kind
	section io/a 20 15
	section once 4 0
	section once 4 0
END
awk -v host='/host[.]so' -v sections="$WORK/sections" -f callgrind.awk "$WORK"/part.? | awk -f bench/results.awk >"$WORK/results"
expect() {
	grep -qx "$1" "$WORK/results" || die "'$1' is not among: $(cat "$WORK/results")"
}
expect 'io/a instructions 100[.]000'
expect 'io/a libc 0[.]000'
expect 'io/a loads 2[.]000'
expect 'io/a stores 1[.]000'
expect 'io/a sends 1[.]000'
expect 'io/a polls 0[.]500'
expect 'io/a sends/poll 2[.]000'
expect 'io/a receives 0[.]000'
expect 'io/a allocations 0[.]500'
expect 'once instructions 100[.]750'
expect 'once allocations 0[.]250'
echo "check-bench.sh: $count limits, each kept and each missed once"
