#!/bin/bash
# make demo, and nvme-rdma-demo where it is installed: a target and a host on this machine, over RDMA in user space.
#
# First the host writes and verifies. Then it is put under load, the target is killed with SIGKILL and started again: the load goes on.
# Then it is killed for good. The host has to end by itself: a bad exit status, no signal, every request called back once, every RDMA
# object released.
set -euo pipefail

case ${1:-} in
'') ;;
-h | --help)
	cat <<-'END_OF_HELP'
		Usage: nvme-rdma-demo
		Shows nvme-rdma-target and nvme-rdma-perf on this machine, over RDMA in user space: the target is killed under load and started
		again, and then killed for good.

		  -h, --help   shows this

		SIZE in the environment is that of the namespace (64M), LOAD how many requests come back before the target is killed (100000).
	END_OF_HELP
	exit 0
	;;
*)
	echo "nvme-rdma-demo: '$1': it takes no arguments; try --help" >&2
	exit 1
	;;
esac

# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

SIZE=${SIZE:-64M}
# How many requests of the load come back before the target is killed.
LOAD=${LOAD:-100000}
[[ $LOAD =~ ^[1-9][0-9]*$ ]] || die "LOAD must be a number from 1, not '$LOAD'"

headline() {
	printf '\n\033[1m%s\033[0m\n' "$*" | if [ -t 1 ]; then cat; else sed 's/\x1b\[[0-9]*m//g'; fi
}

headline "1. A target with one namespace of $SIZE in memory, on softverbs, in a process of its own"
start_target 1 "$SIZE"
echo "nvme-rdma-target runs as process $TARGET and listens on 127.0.0.1 port $PORT"

headline '2. A C program writes a pattern over the namespace, reads it back and compares'
status=0
(on_softverbs timeout -k 5 600 "$DIST/bin/nvme-rdma-perf" -r "$(trid 1)" -w verify) || status=$?
[ "$status" = 0 ] || die "nvme-rdma-perf ended with $status"

# load NAME OPTIONS...: under random load; returns when the target was killed, after $LOAD requests.
load() {
	local name=$1
	shift
	start "$name" "$DIST/bin/nvme-rdma-perf" -r "$(trid 1)" -w randrw -P 4 --announce "$LOAD" "$@"
	PROGRAM=$PID
	wait_for_line "$name" "^$LOAD requests came back" 300 "$PROGRAM"
	kill -KILL "$TARGET"
	wait_end "$TARGET" "$PATIENCE"
	[ "$STATUS" = 137 ] || die "the target was not killed, but ended with $STATUS"
}

headline "3. Random load; after $LOAD requests the target is killed with SIGKILL, and started again: the load goes on"
load again -d $((3 * LOAD)) --reconnect "$PATIENCE"
wait_for_line again '^The connection to .* was lost' "$PATIENCE" "$PROGRAM"
start_target 1 "$SIZE" "$PORT"
wait_end "$PROGRAM" 300
sed -n '/^Load:/,$p' "$WORK/again.out"
[ "$STATUS" = 0 ] || die "the program ended with $STATUS"
grep -q '^Connected again' "$WORK/again.out" || die 'the program did not say that it was connected again'

headline "4. The same once more, and now the target does not come back"
load load -t 36000
wait_end "$PROGRAM" "$PATIENCE"
sed -n '/^Load:/,$p' "$WORK/load.out"

case $STATUS in
3) ;;
hang) die 'the program hangs' ;;
0) die 'the program did not notice that its target is gone' ;;
*) [ "$STATUS" -lt 128 ] || die "the program died of signal $((STATUS - 128))"
	die "the program ended with $STATUS: something was lost or is still there" ;;
esac
echo
echo "The program ended by itself with exit status 3: each request came back once, and all its RDMA objects are released."
