#!/bin/bash
# t43.sh [RUNS]: the regression test of the seed bug (T43-T45) on softverbs; 20 runs unless told otherwise.
#
# Each run: a target with 10 subsystems in its own process, a host with 8 qpairs and 4 requests for each of them.
# While it writes, whatever reaches the host is delayed by 600 ms give or take 590, data and CM events each on their
# own, so that some qpairs hear of the end long before others; then the target goes away: killed, dropping its
# subsystems, or terminated, in turn. The host must end with status 2 (see t43-seed --help): no signal, no hang, and
# nothing on softverbs' ledger.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

RUNS=${1:-${RUNS:-20}}
DELAY=${DELAY:-600ms 590ms}
SUBSYSTEMS=10

drops=()
for ((index = 1; index <= SUBSYSTEMS; index++)); do
	drops+=("drop $NQN$index")
done

bad=0
early=0
for ((run = 1; run <= RUNS; run++)); do
	begin=$(microseconds)
	start_target "$SUBSYSTEMS" 16M

	options=()
	# Every other pair of runs frees the way that spdk_nvme_perf does.
	[ $((run / 2 % 2)) = 0 ] || options=(--at-end)
	rm -f "$WORK/host.sock"
	export SOFTVERBS_CONTROL_SOCKET=$WORK/host.sock
	start host "$DIST/bin/t43-seed" -r "$(trid %d)" --subsystems "$SUBSYSTEMS" --qpairs 8 --depth 4 --time 36000 \
		"${options[@]}"
	unset SOFTVERBS_CONTROL_SOCKET
	HOST=$PID
	wait_for_line host '^running' "$PATIENCE" "$HOST"

	# Carried out in this order, and the last one says so.
	"$DIST/bin/send-command" "$WORK/host.sock" "delay data rx $DELAY" "delay cm rx $DELAY" faults
	wait_for_line host 'faults armed' "$PATIENCE" "$HOST"
	ways=(kill drop terminate)
	way=${ways[run % 3]}
	case $way in
	kill) kill -KILL "$TARGET" ;;
	drop) "$DIST/bin/send-command" "$WORK/target.sock" "${drops[@]}" ;;
	terminate) kill -TERM "$TARGET" ;;
	esac
	wait_end "$HOST" "$PATIENCE"
	status=$STATUS
	[ "$way" != drop ] || kill -TERM "$TARGET"
	wait_end "$TARGET" "$PATIENCE"

	verdict=good
	expected=0
	[ "$way" != kill ] || expected=137
	if [ "$status" != 2 ] || [ "$STATUS" != "$expected" ]; then
		verdict=BAD
		bad=$((bad + 1))
	fi
	# How many qpairs were freed before they were disconnected: what the test is about.
	counts=$(sed -n 's/.*; \([0-9]*\) of \([0-9]*\) qpairs .*/\2 - \1/p' "$WORK/host.out")
	early=$((early + ${counts:-0}))
	printf 'run %2d: %s  %-9s host %s, target %s, %d ms  %s\n' "$run" "$verdict" "$way" "$status" "$STATUS" \
		$((($(microseconds) - begin) / 1000)) "$(grep '^submitted' "$WORK/host.out" || true)"
	if [ "$verdict" = BAD ]; then
		tail -n 40 "$WORK/host.out" >&2
		echo '--- target' >&2
		tail -n 20 "$WORK/target.out" >&2
	fi
done
echo "t43: $RUNS runs, $bad of them bad; $early qpairs were freed before they were disconnected"
[ "$early" -gt 0 ] || die 'no qpair was: this was not the scenario'
[ "$bad" = 0 ]
