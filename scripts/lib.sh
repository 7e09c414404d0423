# shellcheck shell=bash disable=SC2034 # what is set here is for the scripts that source it
# Shell functions of the scripts here: processes on softverbs, each with a deadline, none left behind. To be sourced.
#
# Nothing is waited for by time: each wait is for a condition, and its deadline is one that only a failure reaches, PATIENCE where nothing
# else is said. A machine that is busy with other things may take many times what an idle one does.
#
# Every process that is started is remembered by its id, and whatever is still there when the script ends is killed.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
DIST=${DIST:-${CARGO_TARGET_DIR:-$ROOT/target}/dist}
SOFTVERBS=${SOFTVERBS:-$DIST/lib/libsoftverbs.so}
NQN=nqn.2016-06.io.spdk:cnode

PATIENCE=${PATIENCE:-120}
# Where targets listen: an IPv4 or IPv6 address.
ADDRESS=127.0.0.1

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
	LD_PRELOAD=$SOFTVERBS SOFTVERBS_STRICT=1 exec "$@"
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

# start_target SUBSYSTEMS SIZE [PORT]: a target with so many subsystems of one namespace each, on a free port if none is given; its
# id goes to $TARGET and its port to $PORT. It takes commands on $WORK/target.sock. LISTENERS=n for more of them, each on a free port;
# $PORTS has all. TARGET_OPTIONS are added to the target's own.
LISTENERS=1
TARGET_OPTIONS=()
start_target() {
	local index arguments=() listen=$ADDRESS
	[[ $listen != *:* ]] || listen=[$listen]
	for ((index = 1; index <= $1; index++)); do
		arguments+=(--subsystem "$NQN$index,ns=$2")
	done
	for ((index = 1; index < LISTENERS; index++)); do arguments+=(--listen "$listen:0"); done
	rm -f "$WORK/target.sock"
	# A queue of 128 entries would hold only 127 commands.
	start target "$DIST/bin/nvme-rdma-target" --listen "$listen:${3:-0}" --queue-entries 256 --control "$WORK/target.sock" \
		"${arguments[@]}" "${TARGET_OPTIONS[@]}"
	TARGET=$PID
	wait_for_line target ^listening "$PATIENCE" "$TARGET"
	mapfile -t PORTS < <(grep ^listening "$WORK/target.out" | grep -oE ':[0-9]+(,|$)' | tr -dc '0-9\n')
	PORT=${PORTS[0]}
}

# lend_a_hand SUBSYSTEMS SIZE SECONDS: what $PROGRAM asks for by $WORK/asks is done, until it ends or time is up (c-tests/lib/peer.h): `down` kills the target, `up`
# starts it again, without its data.
make_hands() {
	rm -f "$WORK/asks" "$WORK/answers"
	mkfifo "$WORK/asks" "$WORK/answers"
	# Opened for both, so that no side waits for the other to open it.
	exec {ASKS}<>"$WORK/asks" {ANSWERS}<>"$WORK/answers"
}
lend_a_hand() {
	local question='' part deadline=$(($(microseconds) + $3 * 1000000))
	while alive "$PROGRAM" && [ "$(microseconds)" -lt "$deadline" ]; do
		# Time may be up in the midst of a line; the next turn reads on.
		if ! read -r -t 0.2 -u "$ASKS" part; then
			question+=$part
			continue
		fi
		question+=$part
		case $question in
		down)
			{
				kill -KILL "$TARGET"
				wait_end "$TARGET" "$PATIENCE"
			} 2>/dev/null
			echo done >&"$ANSWERS"
			;;
		up)
			start_target "$1" "$2" "$PORT"
			echo done empty >&"$ANSWERS"
			;;
		*) echo "nobody here knows '$question'" >&"$ANSWERS" ;;
		esac
		question=''
	done
	exec {ASKS}>&- {ANSWERS}>&-
}

# listens PID PORT...: whether the process itself listens on one of these TCP ports. In the kernel's tables an address is followed by the port
# in hexadecimal, 0A is TCP_LISTEN, and the tenth word is the inode of the socket.
listens() {
	local pid=$1 port inode
	shift
	for port; do
		port=$(printf '%04X' "$port")
		for inode in $(awk -v port=":$port" '$4 == "0A" && substr($2, length($2) - 4) == port { print $10 }' \
			"/proc/$pid/net/tcp" "/proc/$pid/net/tcp6" 2>/dev/null); do
			if find "/proc/$pid/fd" -lname "socket:\[$inode\]" 2>/dev/null | grep -q .; then return 0; fi
		done
	done
	return 1
}

# wait_until_listens PID PORT: for a TCP exchange of its own, or on a TCP port that stands for the RDMA port (crates/softverbs/README.md). False
# if it ends or time is up before.
wait_until_listens() {
	local deadline=$(($(microseconds) + PATIENCE * 1000000)) number ports=("$2")
	for number in 0 1 2 3; do ports+=($((20000 + ($2 * 7 + number * 3571) % 12000))); done
	until listens "$1" "${ports[@]}"; do
		if ! alive "$1" || [ "$(microseconds)" -gt "$deadline" ]; then return 1; fi
		sleep 0.02
	done
}

# trid NUMBER: the transport id of that target's subsystem.
trid() {
	local family=IPv4
	[[ $ADDRESS != *:* ]] || family=IPv6
	echo "trtype:RDMA adrfam:$family traddr:$ADDRESS trsvcid:$PORT subnqn:$NQN$1"
}
