#!/bin/bash
# c-tests.sh [--valgrind] [NAME...]: runs the C tests on softverbs, each with a target of its own and a deadline.
#
# A test passes when the program ends with the status that it should, the target then ends with 0 after SIGTERM, and
# the ledger of softverbs is empty for both (it is part of the exit status). --valgrind runs the programs, not their
# target, under memcheck: an error or a definite leak fails the test.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

VALGRIND=()
SLOWNESS=1
if [ "${1:-}" = --valgrind ]; then
	shift
	# Without --fair-sched a thread that polls never lets the others run.
	VALGRIND=(valgrind --quiet --fair-sched=yes --error-exitcode=99 --leak-check=full --errors-for-leak-kinds=definite
		--show-leak-kinds=definite --num-callers=25)
	[ ! -f "$ROOT/c-tests/valgrind.supp" ] || VALGRIND+=("--suppressions=$ROOT/c-tests/valgrind.supp")
	SLOWNESS=10
	# Enough of them for a leak to be one.
	export RESTARTS=${RESTARTS:-4} FAILOVERS=${FAILOVERS:-4}
fi
ONLY=("$@")

passed=0 failed=0

# wanted NAME: was it asked for?
wanted() {
	local name
	[ ${#ONLY[@]} -gt 0 ] || return 0
	for name in "${ONLY[@]}"; do
		[ "$name" != "$1" ] || return 0
	done
	return 1
}

# verdict NAME OK(0 or 1) MILLISECONDS REASON
verdict() {
	if [ "$2" = 1 ]; then
		passed=$((passed + 1))
		printf 'PASS  %-28s %6d ms\n' "$1" "$3"
	else
		failed=$((failed + 1))
		printf 'FAIL  %-28s %6d ms  %s\n' "$1" "$3" "$4"
	fi
}

# finish NAME BEGIN EXPECTED SECONDS HAS_TARGET [REASON]: waits for the program, then for its target, and says how it went. With a REASON
# it went wrong already.
finish() {
	local status reason=''
	wait_end "$PROGRAM" "$4"
	status=$STATUS
	case $status in
	"$3") ;;
	hang) reason="still there after $4 s" ;;
	99) reason='valgrind found something' ;;
	*) if [ "$status" -gt 128 ]; then reason="died of signal $((status - 128))"; else reason="status $status, not $3"; fi ;;
	esac
	reason=${6:-$reason}
	if [ "$5" = yes ]; then
		kill -TERM "$TARGET" 2>/dev/null || true
		wait_end "$TARGET" "$PATIENCE"
		[ -n "$reason" ] || [ "$STATUS" = 0 ] || reason="its target ended with $STATUS"
	fi
	verdict "$1" "$([ -z "$reason" ] && echo 1 || echo 0)" $((($(microseconds) - $2) / 1000)) "$reason"
	if [ -n "$reason" ]; then
		sed 's/^/    /' "$WORK/program.out" | tail -n 60
		if [ "$5" = yes ]; then
			echo '    --- target'
			sed 's/^/    /' "$WORK/target.out" | tail -n 20
		fi
	fi
}

# alone NAME SECONDS COMMAND...: a program that brings all it needs; must end with 0.
alone() {
	local name=$1 seconds=$2 begin
	shift 2
	wanted "$name" || return 0
	begin=$(microseconds)
	start program "${VALGRIND[@]}" "$@"
	PROGRAM=$PID
	finish "$name" "$begin" 0 $((seconds * SLOWNESS)) no
}

# with_target NAME SECONDS SIZE COMMAND...: a program that gets -r TRID of a target with one namespace; must end with
# 0. If HAND is set, what the program asks for is done to the target meanwhile.
with_target() {
	local name=$1 seconds=$2 size=$3 begin
	shift 3
	wanted "$name" || return 0
	begin=$(microseconds)
	start_target 1 "$size"
	[ -z "${HAND:-}" ] || make_hands
	PEER_PORT=${PORTS[1]:-} start program "${VALGRIND[@]}" "$@" -r "$(trid 1)"
	PROGRAM=$PID
	[ -z "${HAND:-}" ] || lend_a_hand 1 "$size" $((seconds * SLOWNESS))
	finish "$name" "$begin" 0 $((seconds * SLOWNESS)) yes
}

# with_commands NAME SECONDS SIZE COMMAND...: the same, and the program gives the target commands (PEER_CONTROL); it has two ports.
with_commands() {
	wanted "$1" || return 0
	LISTENERS=2
	PEER_CONTROL=$WORK/target.sock with_target "$@"
	LISTENERS=1
}

# with_a_hand NAME SECONDS SIZE COMMAND...: the same, and what the program asks for is done to the target (c-tests/lib/peer.h).
with_a_hand() {
	HAND=yes PEER_ASKS=$WORK/asks PEER_ANSWERS=$WORK/answers with_target "$@"
}

# target_dies NAME SECONDS LINE SUBSYSTEM EXPECTED COMMAND...: a program that gets -r TRID of a target with two subsystems, of
# which SUBSYSTEM is 1, 2 or %d; when the program says LINE, the target is killed. It must say that, and end with EXPECTED.
target_dies() {
	local name=$1 seconds=$2 line=$3 subsystem=$4 expected=$5 begin reason=''
	shift 5
	wanted "$name" || return 0
	begin=$(microseconds)
	start_target 2 16M
	start program "${VALGRIND[@]}" "$@" -r "$(trid "$subsystem")"
	PROGRAM=$PID
	reached program "$line" $((PATIENCE * SLOWNESS)) "$PROGRAM" || reason="did not get as far as '$line'"
	kill -KILL "$TARGET"
	wait_end "$TARGET" "$PATIENCE"
	[ "$STATUS" = 137 ] || reason="its target was not killed, but ended with $STATUS"
	finish "$name" "$begin" "$expected" $((seconds * SLOWNESS)) no "$reason"
}

# target_returns NAME SECONDS LINE LOST COMMAND...: a program that gets -r TRID; when it says LINE, its target is killed, and started again when it has
# said LOST. It must end with 0.
target_returns() {
	local name=$1 seconds=$2 line=$3 lost=$4 begin reason=''
	shift 4
	wanted "$name" || return 0
	begin=$(microseconds)
	start_target 1 16M
	start program "${VALGRIND[@]}" "$@" -r "$(trid 1)"
	PROGRAM=$PID
	reached program "$line" $((PATIENCE * SLOWNESS)) "$PROGRAM" || reason="did not get as far as '$line'"
	kill -KILL "$TARGET"
	wait_end "$TARGET" "$PATIENCE"
	reached program "$lost" $((PATIENCE * SLOWNESS)) "$PROGRAM" || reason=${reason:-"did not get as far as '$lost'"}
	start_target 1 16M "$PORT"
	finish "$name" "$begin" 0 $((seconds * SLOWNESS)) yes "$reason"
}

bin=$DIST/bin

# Host and target in one process and thread: each run is the same, and the program sees each step of both.
# The deadlines are for failures: a program that hangs.
alone readwrite-in-process 180 "$bin/readwrite" --in-process
alone lifecycle-in-process 180 "$bin/lifecycle" --in-process
alone async-detach-in-process 180 "$bin/async-detach" --in-process
alone queue-ids-in-process 180 "$bin/queue-ids" --in-process
alone bad-input-in-process 180 "$bin/bad-input" --in-process
alone facts-in-process 180 "$bin/facts" --in-process
alone admin-in-process 180 "$bin/admin" --in-process
alone discovery-in-process 180 "$bin/discovery" --in-process
alone text-in-process 180 "$bin/text" --in-process
alone blocks-in-process 180 "$bin/blocks" --in-process
alone exclusive-in-process 180 "$bin/exclusive" --in-process
alone vectors-in-process 180 "$bin/vectors" --in-process
alone memory-in-process 180 "$bin/memory" --in-process
alone reset-in-process 180 "$bin/reset" --in-process
alone abort-in-process 180 "$bin/abort" --in-process
alone groups-in-process 180 "$bin/groups" --in-process
alone manage-in-process 180 "$bin/manage" --in-process
alone opal-in-process 180 "$bin/opal" --in-process
alone boot-in-process 180 "$bin/boot" --in-process
alone zones-in-process 180 "$bin/zones" --in-process
alone events-in-process 180 "$bin/events" --in-process
alone keep-alive-in-process 180 "$bin/keep-alive" --in-process
alone restarts-in-process 180 "$bin/restarts" --in-process
alone failover-in-process 180 "$bin/failover" --in-process
alone timeouts-in-process 180 "$bin/timeouts" --in-process
alone hostile 180 "$bin/hostile"
alone bench-runs 180 "$bin/bench" -n 5000 -g
alone bench-table-runs 180 "$bin/bench" -a -n 256 '*/32/group+delay'
alone bench-qpairs-runs 180 "$bin/bench-qpairs" -m 65
# It has a malloc of its own, which is not memcheck's.
[ ${#VALGRIND[@]} -gt 0 ] || alone bench-memory-runs 180 "$bin/bench-memory"

with_target readwrite 180 16M "$bin/readwrite"
with_target lifecycle 180 16M "$bin/lifecycle"
with_target async-detach 180 16M "$bin/async-detach"
with_target queue-ids 180 16M "$bin/queue-ids"
with_target bad-input 180 16M "$bin/bad-input"
with_target admin 180 16M "$bin/admin"
with_target discovery 180 16M "$bin/discovery"
with_target blocks 180 16M "$bin/blocks"
with_target exclusive 180 16M "$bin/exclusive"
with_target vectors 180 16M "$bin/vectors"
TARGET_OPTIONS=(--descriptors 4)
with_target vectors-4-descriptors 180 16M "$bin/vectors"
TARGET_OPTIONS=()
with_target memory 180 16M "$bin/memory"
with_target reset 180 16M "$bin/reset"
with_target abort 180 16M "$bin/abort"
with_target groups 180 16M "$bin/groups"
with_target manage 180 16M "$bin/manage"
with_target opal 180 16M,opal "$bin/opal"
with_target no-opal 180 16M "$bin/opal"
with_target boot 180 16M,boot=128K "$bin/boot"
with_target no-boot 180 16M "$bin/boot"
with_target zones 180 16M:512:z1M/768K/4/6 "$bin/zones"
with_target zones-of-4K 180 16M:4K:z1M "$bin/zones"
with_commands events 180 16M "$bin/events"
with_commands keep-alive 180 16M "$bin/keep-alive"
with_commands failover 180 16M "$bin/failover"
with_commands timeouts 180 16M "$bin/timeouts"
with_commands namespace-goes 180 16M "$bin/namespace-goes"
with_a_hand restarts 180 16M "$bin/restarts"
with_target sizes 180 64M "$bin/sizes"
with_target shadow 180 64M "$bin/shadow"
with_target crowd 180 16M "$bin/crowd"
ADDRESS=::1
with_target readwrite-ipv6 180 16M "$bin/readwrite"
with_target reset-ipv6 180 16M "$bin/reset"
ADDRESS=127.0.0.1
with_target facts 180 16M "$bin/facts"
SOFTVERBS_NO_DEVICE=1 alone no-device 60 "$bin/bad-input" --no-device -r "traddr:127.0.0.1 trsvcid:4420 subnqn:${NQN}1"
with_target text 180 16M "$bin/text"
SOFTVERBS_NO_DEVICE=1 alone text-no-device 60 "$bin/text"
with_target perf-verify 180 16M "$bin/nvme-rdma-perf" -w verify -n 8M
with_target perf-load 180 16M "$bin/nvme-rdma-perf" -w randrw -d 10000 -q 16 -P 4
target_dies perf-target-killed 180 '^2000 requests came back' 1 3 "$bin/nvme-rdma-perf" -w randrw -t 36000 -q 32 -P 4 --announce 2000
target_returns perf-target-returns 180 '^2000 requests came back' 'was lost' \
	"$bin/nvme-rdma-perf" -w randrw -d 20000 -q 32 -P 4 --announce 2000 --reconnect "$((PATIENCE * SLOWNESS))"
with_target example-first-io 60 16M "$bin/example-first-io"
with_target example-poll-group 60 16M "$bin/example-poll-group"
with_target example-discovery 60 16M "$bin/example-discovery"
target_returns example-reconnect 180 '^running' '^lost' "$bin/example-reconnect"
target_dies t43-target-killed 180 '^running' %d 2 "$bin/t43-seed" -t 36000 --subsystems 2

echo "$passed passed, $failed failed"
[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
