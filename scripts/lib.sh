# shellcheck shell=bash disable=SC2034 # what is set here is for the scripts that source it
# Shell functions of the scripts here: processes on softverbs, each with a deadline, none left behind. To be sourced.
#
# Every process that is started is remembered by its id, and whatever is still there when the script ends is killed.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
DIST=${DIST:-${CARGO_TARGET_DIR:-$ROOT/target}/dist}
NQN=nqn.2016-06.io.spdk:cnode

WORK=$(mktemp -d)
STARTED=()

cleanup() {
	local pid
	for pid in "${STARTED[@]}"; do
		kill -KILL "$pid" 2>/dev/null || true
	done
	rm -rf "$WORK"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# die TEXT...
die() {
	echo "$(basename "$0"): $*" >&2
	exit 1
}

[ -x "$DIST/bin/nvme-rdma-target" ] || die "nothing is built in $DIST; run make first"

# on_softverbs COMMAND...: runs it in place of the shell that calls, so that the caller's $! is its id.
on_softverbs() {
	LD_PRELOAD=$DIST/lib/libsoftverbs.so SOFTVERBS_STRICT=1 exec "$@"
}

# start NAME COMMAND...: starts it on softverbs in the background; its output goes to $WORK/NAME.out, its id to $PID.
start() {
	local name=$1
	shift
	# Here, not in the background: whoever waits for a line must not find one of the process before.
	: >"$WORK/$name.out"
	(on_softverbs "$@") >>"$WORK/$name.out" 2>&1 &
	PID=$!
	STARTED+=("$PID")
}

alive() {
	kill -0 "$1" 2>/dev/null
}

# The time of day in microseconds.
microseconds() {
	echo "${EPOCHREALTIME/[.,]/}"
}

# reached NAME PATTERN SECONDS PID: waits until a line of the output of NAME matches; false if it ends or time is up
# before.
reached() {
	local deadline=$(($(microseconds) + $3 * 1000000))
	until grep -q "$2" "$WORK/$1.out"; do
		if ! alive "$4" || [ "$(microseconds)" -gt "$deadline" ]; then
			grep -q "$2" "$WORK/$1.out"
			return
		fi
		sleep 0.02
	done
}

# wait_for_line NAME PATTERN SECONDS PID: the same, and the script ends if it is false.
wait_for_line() {
	reached "$@" || {
		cat "$WORK/$1.out" >&2
		die "$1 did not get as far as '$2'"
	}
}

# wait_end PID SECONDS: sets STATUS to the exit status, or to "hang" after killing it.
wait_end() {
	local deadline=$(($(microseconds) + $2 * 1000000)) pid=$1 index hang=no
	# The shell has a word to say about each child that was killed; here that is no news.
	{
		while alive "$pid"; do
			if [ "$(microseconds)" -gt "$deadline" ]; then
				kill -KILL "$pid" || true
				hang=yes
				break
			fi
			sleep 0.02
		done
		STATUS=0
		wait "$pid" || STATUS=$?
	} 2>/dev/null
	[ "$hang" = no ] || STATUS=hang
	for index in "${!STARTED[@]}"; do
		[ "${STARTED[index]}" != "$pid" ] || unset "STARTED[index]"
	done
}

# start_target SUBSYSTEMS SIZE: a target with so many subsystems of one namespace each, on a free port; its id goes to
# $TARGET and its port to $PORT. It takes commands on $WORK/target.sock.
start_target() {
	local index arguments=()
	for ((index = 1; index <= $1; index++)); do
		arguments+=(--subsystem "$NQN$index,ns=$2")
	done
	rm -f "$WORK/target.sock"
	# A queue of 128 entries would hold only 127 commands.
	start target "$DIST/bin/nvme-rdma-target" --listen 127.0.0.1:0 --queue-entries 256 --control "$WORK/target.sock" \
		"${arguments[@]}"
	TARGET=$PID
	wait_for_line target ^listening 20 "$TARGET"
	PORT=$(sed -n 's/^listening on 127[.]0[.]0[.]1:\([0-9]*\).*/\1/p' "$WORK/target.out")
}

# trid NUMBER: the transport id of that target's subsystem.
trid() {
	echo "trtype:RDMA adrfam:IPv4 traddr:127.0.0.1 trsvcid:$PORT subnqn:$NQN$1"
}
