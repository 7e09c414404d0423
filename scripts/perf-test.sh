#!/bin/bash
# perf-test.sh: runs nvme-rdma-perf with each of its options against our target, on softverbs, and checks the numbers that it reports, what it refuses, and
# the exit status of each way to end.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

PERF=$DIST/bin/nvme-rdma-perf
checks=0
# Preloaded, it takes from the program what AROUND names.
"${CC:-gcc}" -O2 -D_GNU_SOURCE -I"$ROOT/include" -shared -fPIC "$ROOT/c-tests/lib/around_perf.c" -o "$WORK/around.so" -ldl

# ok: one more check was passed.
ok() {
	checks=$((checks + 1))
}

# fails TEXT: shows what the program said last, and ends the script.
fails() {
	echo "--- standard output" >&2
	cut -c1-2000 "$WORK/report" >&2
	echo "--- standard error" >&2
	tail -n 20 "$WORK/words" >&2
	die "$LAST: $*"
}

# perf EXPECTED ARGUMENTS...: runs it to its end; its output is then in $WORK/report, what it says besides in $WORK/words.
perf() {
	local expected=$1 status=0
	shift
	LAST="nvme-rdma-perf $*"
	(on_softverbs timeout -k 5 "$PATIENCE" "$PERF" "$@") >"$WORK/report" 2>"$WORK/words" || status=$?
	[ "$status" = "$expected" ] || fails "exit status $status, not $expected"
	ok
}

# without WHAT EXPECTED ARGUMENTS...: the same where WHAT is missing, or with a clock that jumps (c-tests/lib/around_perf.c).
without() {
	local status=0 around=$1 expected=$2
	shift 2
	LAST="with AROUND=$around: nvme-rdma-perf $*"
	(AROUND=$around LD_PRELOAD="$WORK/around.so $DIST/lib/libsoftverbs.so" SOFTVERBS_STRICT=1 exec timeout -k 5 "$PATIENCE" "$PERF" "$@") \
		>"$WORK/report" 2>"$WORK/words" || status=$?
	[ "$status" = "$expected" ] || fails "exit status $status, not $expected"
	ok
}

# printed EXPECTED FILE ARGUMENTS...: the same, with its standard output in FILE, or closed if that is -.
printed() {
	local status=0 expected=$1 file=$2
	shift 2
	LAST="nvme-rdma-perf $* >$file"
	: >"$WORK/report"
	if [ "$file" = - ]; then
		(on_softverbs timeout -k 5 "$PATIENCE" "$PERF" "$@") >&- 2>"$WORK/words" || status=$?
	else
		(on_softverbs timeout -k 5 "$PATIENCE" "$PERF" "$@") >"$file" 2>"$WORK/words" || status=$?
	fi
	[ "$status" = "$expected" ] || fails "exit status $status, not $expected"
	ok
}

# tells STATUS ENDED WORDS: the document has how it ended, and why, in words of which these are some.
tells() {
	is '$1 == '"$1"' && $2 == "'"$2"'" && index($3, "'"$3"'") != 0' exit_status ended error
}

# values PATH...: of the JSON document in $WORK/report, which has to be one.
values() {
	"$DIST/bin/json-value" "$@" <"$WORK/report" || fails "the report is no JSON document, or has no '$*'"
}

# is EXPRESSION PATH...: an awk expression over the values at these paths: $1, $2, ...
is() {
	local expression=$1 found
	shift
	found=$(values "$@" | tr '\n' '\t') || exit 1
	# A value may be a word: awk tells it from a number by itself.
	printf '%s\n' "$found" | awk -F '\t' "{ exit !($expression) }" || fails "not so: $expression, where $* are $found"
	ok
}

# balanced: each request came back once, and the histogram has them all.
balanced() {
	is '$1 == $2 && $3 == 0 && $4 == 0 && $5 == 0 && $6 == 0' total.submitted total.completed total.aborted total.failed total.lost total.came_twice
	is '$1 + $2 == $3' total.read.requests total.write.requests total.completed
}

# refused WORDS ARGUMENTS...: a wrong use, which is said on the standard error.
refused() {
	local words=$1
	shift
	perf 1 "$@"
	[ ! -s "$WORK/report" ] || fails 'it wrote to the standard output'
	grep -q -- "$words" "$WORK/words" || fails "it did not say '$words'"
	ok
}

# misfits WORDS ARGUMENTS...: what turns out to be wrong when the target is known.
misfits() {
	local words=$1
	shift
	perf 1 "$@"
	grep -q -- "$words" "$WORK/words" || fails "it did not say '$words'"
}

# in_background ARGUMENTS...: starts it, with the report in $WORK/report.
in_background() {
	LAST="nvme-rdma-perf $*"
	: >"$WORK/words"
	(on_softverbs "$PERF" "$@") >"$WORK/report" 2>>"$WORK/words" &
	PROGRAM=$!
	STARTED+=("$PROGRAM")
}

# says PATTERN: waits until it has.
says() {
	local deadline=$(($(microseconds) + PATIENCE * 1000000))
	until grep -q "$1" "$WORK/words"; do
		alive "$PROGRAM" && [ "$(microseconds)" -lt "$deadline" ] || fails "did not get as far as '$1'"
		sleep 0.02
	done
}

# ends EXPECTED: waits for the end of the one in the background.
ends() {
	wait_end "$PROGRAM" "$PATIENCE"
	[ "$STATUS" = "$1" ] || fails "exit status $STATUS, not $1"
	ok
}

# ask_target TEXT: prints its answer.
ask_target() {
	"$DIST/bin/send-command" --ask "$WORK/target.sock" "$1" || fails "the target does not answer to '$1'"
}

# tell_target COMMAND: has carried it out when this returns.
tell_target() {
	local answer
	answer=$(ask_target "$1") || exit 1
	[ "$answer" = done ] || fails "the target says '$answer' to '$1'"
}

# until_so WHAT COMMAND...: waits until the command says so.
until_so() {
	local what=$1 deadline=$(($(microseconds) + PATIENCE * 1000000))
	shift
	until "$@"; do
		alive "$PROGRAM" && [ "$(microseconds)" -lt "$deadline" ] || fails "it did not come to it that $what"
		sleep 0.02
	done
}

# owes ANSWERS: does the target owe so many?
owes() {
	local numbers
	numbers=$(ask_target counters | sed 's/.* commands=\([0-9]*\) responses=\([0-9]*\) .*/\1 - \2/') && [ $((numbers)) -ge "$1" ]
}

# counted NAME: what the target counted of that.
counted() {
	ask_target counters | grep -o "$1=[0-9]*"
}

# changed NAME BEFORE: is it another number?
changed() {
	[ "$(counted "$1")" != "$2" ]
}

# unhandled: has the program no handler for SIGINT any more?
unhandled() {
	! (($(awk '/^SigCgt:/ { print "0x" $2 }' "/proc/$PROGRAM/status") & 2))
}

# kill_target REQUESTS: kills it when it owes the program the answers to so many.
kill_target() {
	tell_target 'stall io:any'
	until_so "the target owes it $1 answers" owes "$1"
	# The shell has a word to say about that.
	{
		kill -KILL "$TARGET"
		wait_end "$TARGET" "$PATIENCE"
	} 2>/dev/null
}

echo 'What needs no target'
perf 0 --help
grep -q '^usage: nvme-rdma-perf' "$WORK/report" || fails 'no usage'
version=$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' "$ROOT/Cargo.toml")
perf 0 --version
[ "$(cat "$WORK/report")" = "nvme-rdma-perf $version" ] || fails 'the wrong version'
nowhere='trtype:RDMA adrfam:IPv4 traddr:127.0.0.1 trsvcid:1 subnqn:nqn.2016-06.io.spdk:none'
refused 'TRID is needed' -q 4
refused 'is no transport id' -r 'nonsense'
refused 'only trtype:RDMA' -r 'trtype:TCP adrfam:IPv4 traddr:127.0.0.1 trsvcid:1 subnqn:nqn.2016-06.io.spdk:none'
refused 'are needed' -r 'trtype:RDMA traddr:127.0.0.1'
refused 'given twice' -r "$nowhere" -r "$nowhere"
refused 'randrw or verify is needed' -r "$nowhere" -w backwards
refused '-M is for' -r "$nowhere" -w randread -M 50
refused '-w verify goes over' -r "$nowhere" -w verify -t 5
refused 'what is' -r "$nowhere" something
refused 'unrecognized' -r "$nowhere" --something
for wrong in '-q 0' '-q 4097' '-o 511' '-o 4k5' '-M 101' '-P 0' '-P 65' '-t 0' '-t -1' '-d 0' '-n 1' '--announce x' '--reconnect 0'; do
	# shellcheck disable=SC2086 # an option and its argument
	refused 'a number from' -r "$nowhere" -w rw $wrong
done
for wrong in 0 0x x 1g '[' '[]' '[0' '[0-' '[1-0]' '[0,]' '[0]1' '[0,0]' '[99999]'; do
	refused "-c" -r "$nowhere" -c "$wrong"
done
refused "-q needs an argument" -r "$nowhere" -Lq
refused "--io-depth needs an argument" -r "$nowhere" --io-depth
refused "--histogram=yes: no argument" -r "$nowhere" --histogram=yes
refused "unrecognized option '-x'" -r "$nowhere" --histogram -xL
perf 2 -r "$nowhere"
grep -q 'cannot connect' "$WORK/words" || fails 'it did not say that it cannot connect'

echo 'One document, however it ends'
perf 2 -r "$nowhere" --json
tells 2 connect 'cannot connect to nqn.2016-06.io.spdk:none'
is '$1 == "false"' targets.0.connected
# A wrong use, too, wherever the option stands.
for wrong in '--json -q 0' '-q 0 --json' '--something --json' '-q 1 --json -q' '-w x --json=yes'; do
	# shellcheck disable=SC2086 # options and their arguments
	perf 1 -r "$nowhere" $wrong
	tells 1 usage -
done
grep -q 'Try .*--help' "$WORK/words" || fails 'it did not say where to look'
perf 0 --json --help
grep -q '^usage: nvme-rdma-perf' "$WORK/report" || fails 'no usage'
without environment 6 -r "$nowhere" --json
tells 6 machine 'the environment did not start: Cannot allocate memory'
is '$1 == "randread" && $2 == "false" && $3 == 0' options.io_pattern targets.0.connected total.submitted
SOFTVERBS_NO_DEVICE=1 perf 6 -r "$nowhere" --json
tells 6 machine 'there is no RDMA device'
printed 6 /dev/full --help
printed 6 - --version

echo 'Patterns and sizes'
start_target 2 16M
quick=(--json -q 8 -d 2000)
for pattern in read randread write randwrite; do
	perf 0 -r "$(trid 1)" "${quick[@]}" -w "$pattern"
	balanced
	direction=${pattern#rand}
	is '$1 == 2000 && $2 == 2000 * 4096 && $3 == 2000' "total.$direction.requests" "total.$direction.bytes" total.completed
	is '0 < $1 && $1 <= $2 && $2 <= $3 && $3 <= $4 && $4 <= $5 && $5 <= $6' "total.$direction.latency_us.p50" \
		"total.$direction.latency_us.p90" "total.$direction.latency_us.p99" "total.$direction.latency_us.p99.9" \
		"total.$direction.latency_us.p99.99" "total.$direction.latency_us.max"
	is '$1 > 0 && $1 <= $2 && $3 > 0' "total.$direction.latency_us.mean" "total.$direction.latency_us.max" "total.$direction.histogram_us"
	# The rates are the counts over the time.
	is '($1 * $2 - $3) ^ 2 < 1 && ($4 * $2 * 1048576 / 4096 - $3) ^ 2 < 1' "total.$direction.iops" seconds \
		"total.$direction.requests" "total.$direction.mib_per_second"
	is '$1 == 0 && $2 == "well" && $3 == "'$pattern'"' exit_status ended options.io_pattern
done
for pattern in rw randrw; do
	perf 0 -r "$(trid 1)" "${quick[@]}" -w "$pattern"
	balanced
	is '$1 > 800 && $1 < 1200 && $2 > 800' total.read.requests total.write.requests
	perf 0 -r "$(trid 1)" "${quick[@]}" -w "$pattern" -M 100
	is '$1 == 2000 && $2 == 0' total.read.requests total.write.requests
	perf 0 -r "$(trid 1)" "${quick[@]}" -w "$pattern" -M 0
	is '$1 == 0 && $2 == 2000' total.read.requests total.write.requests
	perf 0 -r "$(trid 1)" "${quick[@]}" -w "$pattern" -M 20
	is '$1 > 300 && $1 < 500' total.read.requests
done
perf 0 -r "$(trid 1)" "${quick[@]}" -w rw -o 8K -n 64K
is '$1 + $2 == 2000 * 8192' total.read.bytes total.write.bytes
perf 0 -r "$(trid 1)" --json -t 1 -q 1
balanced
is '$1 >= 1 && $1 < 60 && $2 > 0' seconds total.completed
is '$1 == "null" && $2 == "well"' error ended
without memory 6 -r "$(trid 1)" --json
tells 6 machine 'no memory for 128 requests of 4096 bytes'
printed 6 /dev/full -r "$(trid 1)" -d 100
printed 6 - -r "$(trid 1)" -d 100
printed 6 /dev/full -r "$(trid 1)" -d 100 --json
printed 6 - -r "$(trid 1)" -d 100 --json
grep -q 'the standard output cannot be written to' "$WORK/words" || fails 'it did not say why'
perf 1 -r "$(trid 1)" -o 1000 --json
tells 1 usage 'do not fit sectors of 512'
misfits 'do not fit sectors' -r "$(trid 1)" -o 1000
misfits 'smaller than one request' -r "$(trid 1)" -o 8K -n 4K
misfits 'smaller than one request' -r "$(trid 1)" -o 32M

# What a target says about itself may be anything, and goes neither to a terminal nor into the document as it is.
tell_target 'lie control-characters'
perf 0 -r "$(trid 1)" "${quick[@]}" -L
is '$1 ~ /u00/' targets.0.model targets.0.serial_number
! grep -q '[[:cntrl:]]' "$WORK/report" || fails 'a control character in the document'
! tr -d '\n\t' <"$WORK/words" | grep -q '[[:cntrl:]]' || fails 'a control character for the terminal'
tell_target 'truth all'

echo 'Verification'
perf 0 -r "$(trid 1)" --json -w verify -n 1000K -o 16K
balanced
# 62 whole requests and one of 8 KiB, each way.
is '$1 == 63 && $2 == 63 && $3 == 1024000 && $4 == 1024000' total.write.requests total.read.requests total.write.bytes total.read.bytes
# All was written, and another one's data are there when it is read back. Four requests fill the queue and are held, of 256.
tell_target 'stall read'
in_background -r "$(trid 1)" -w verify -n 1M -q 4 --announce 256 --json
says '^256 requests came back'
(on_softverbs timeout -k 5 "$PATIENCE" "$PERF" -r "$(trid 1)" -w write -n 1M -d 16) >/dev/null 2>"$WORK/other" || die 'the other program failed'
tell_target 'resume all'
ends 5
is '$1 == 5 && $2 == "broken" && $3 > 0' exit_status ended total.wrong_words
tells 5 broken 'wrong data: namespace 1'
grep -q ': wrong data: namespace 1' "$WORK/words" || fails 'it did not say which data are wrong'
# What the program does with its buffers is in no latency, as the clock tells that jumps with it; and with many requests there is no more of it between two
# polls than with one. Each way 256K are 64 pieces.
without clock 0 -r "$(trid 1)" --json -w verify -n 256K -o 64K -q 1
is '$1 < 3.6e9 && $2 < 3.6e9 && $3 == 4 && $4 == 4' total.write.latency_us.max total.read.latency_us.max total.write.requests total.read.requests
grep -q '^pieces: 192, at most 1 between polls' "$WORK/words" || fails 'the clock did not see each piece'
without clock 0 -r "$(trid 1)" --json -w verify -n 256K -o 8K -q 16
grep -q '^pieces: 192, at most 1 between polls' "$WORK/words" || fails 'the clock did not see each piece, one between two polls'

echo 'Targets, qpairs and threads'
perf 0 -r "$(trid 1)" -r "$(trid 2)" "${quick[@]}" -P 3
balanced
is '$1 == 2000 && $2 == 2000 && $3 == 4000 && $4 == 2' targets.0.completed targets.1.completed total.completed targets
is '$1 == "'"${NQN}2"'"' targets.1.subnqn
# Nine are held; the tenth of two times five goes on alone, until all others have come back.
tell_target 'stall read 9'
in_background -r "$(trid 1)" -q 5 -P 2 -d 50 --announce 41 --json
says '^41 requests came back'
tell_target 'resume all'
ends 0
balanced
mapfile -t cores < <(awk '/^Cpus_allowed_list:/ { count = split($2, parts, ","); for (i = 1; i <= count; i++) { split(parts[i], ends, "-");
	for (core = ends[1]; core <= (ends[2] == "" ? ends[1] : ends[2]); core++) print core } }' /proc/self/status)
perf 0 -r "$(trid 1)" "${quick[@]}" -c "[${cores[0]}]"
is '$1 == 1 && $2 == 2000' options.threads total.completed
if [ "${#cores[@]}" -gt 1 ]; then
	perf 0 -r "$(trid 1)" -r "$(trid 2)" "${quick[@]}" -P 2 -c "[${cores[0]},${cores[1]}]" -w randrw
	balanced
	is '$1 == 2 && $2 == 8000 && $3 == 4000' options.threads total.completed targets.1.completed
	perf 0 -r "$(trid 1)" "${quick[@]}" -c "$(printf '0x%x' $((1 << cores[0] | 1 << cores[1])))"
	is '$1 == 2 && $2 == 4000' options.threads total.completed
	perf 0 -r "$(trid 1)" --json -w verify -n 1000K -o 16K -c "[${cores[0]},${cores[1]}]"
	is '$1 == 1024000 && $2 == 1024000' total.write.bytes total.read.bytes
	without thread 6 -r "$(trid 1)" --json -c "[${cores[0]},${cores[1]}]"
	tells 6 machine 'no thread 2 of 2'
fi
misfits 'no thread on core' -r "$(trid 1)" -c '[1023]'

echo 'For people'
perf 0 -r "$(trid 1)" -q 8 -d 2000 -L
grep -q '^  read   2,000 requests, 7.8 MiB in' "$WORK/report" || fails 'no line about the reads'
grep -q 'requests: submitted 2,000, completed 2,000, aborted 0, failed 0, lost 0, came twice 0' "$WORK/report" || fails 'no accounts'
! grep -q '^  both' "$WORK/report" || fails 'a line for both without writes'
drawn=$(awk '/^  up to/ { rows = 1; next } rows { gsub(",", "", $3); sum += $3; if ($NF !~ /^#+$/ && $3 > 0) exit 1 } END { print sum }' "$WORK/report") ||
	fails 'a row without its bar'
[ "$drawn" = 2000 ] || fails "the histogram has $drawn requests, not 2000"
! grep -q 'wait in this host' "$WORK/report" || fails 'a queue of 256 does not hold 8'
perf 0 -r "$(trid 1)" -q 300 -d 2000
grep -q 'holds 255 requests: the others wait in this host' "$WORK/report" || fails 'it did not say what its queue holds'
perf 0 -r "$(trid 1)" -q 8 -d 2000 -w randrw
grep -q '^  both   2,000 requests, 7.8 MiB in' "$WORK/report" || fails 'no line about both'
! grep -q 'up to' "$WORK/report" || fails 'a histogram that nobody asked for'
if command -v script >/dev/null; then
	LAST='nvme-rdma-perf on a terminal'
	(on_softverbs timeout -k 5 "$PATIENCE" script -qec "'$PERF' -r '$(trid 1)' -t 1" /dev/null) >"$WORK/report" 2>"$WORK/words" </dev/null || fails 'it failed'
	grep -q $'\r  [#.]* *[0-9]* %.*IOPS' "$WORK/report" || fails 'no progress'
	grep -q 'up to' "$WORK/report" || fails 'no histogram'
	ok
fi

echo 'Errors of the target'
tell_target 'fail read 0x281 1'
perf 3 -r "$(trid 1)" "${quick[@]}"
is '$1 == "errors" && $2 == 1 && $3 < 2000 && $4 == 0 && $5 == 0' ended total.failed total.completed total.lost total.aborted
grep -q '(02/81); no more requests' "$WORK/words" || fails 'it did not say which error'
tell_target 'fail read 0x281 5'
perf 3 -r "$(trid 1)" "${quick[@]}" -Q
is '$1 == 5 && $2 == 1995 && $3 == 2000' total.failed total.completed total.submitted
tells 3 errors '(02/81); further ones are only counted'

echo 'Signals'
for signal in INT TERM; do
	in_background -r "$(trid 1)" -t 36000 --announce 1000 --json
	says '^1000 requests came back'
	kill -s "$signal" "$PROGRAM"
	ends 4
	balanced
	is '$1 >= 1000' total.completed
	tells 4 interrupted 'by a signal'
done
# The first one waits for what is in flight, the second one for nothing.
tell_target 'stall read'
in_background -r "$(trid 1)" -t 36000 -q 4 --json
says '^Load:'
kill -s INT "$PROGRAM"
# It has arrived when there is no handler any more.
until_so 'the signal has arrived' unhandled
kill -s INT "$PROGRAM"
ends 130
tell_target 'resume all'
# An attempt to connect ends in its own time, and the program says so.
tell_target 'misbehave silent'
before=$(counted accepted)
in_background -r "$(trid 1)" -t 36000 --json
until_so 'the target has a connection more' changed accepted "$before"
kill -s INT "$PROGRAM"
says 'once more ends it at once'
tell_target 'behave silent'
ends 4
tells 4 interrupted 'before the load began'
kill -TERM "$TARGET"
wait_end "$TARGET" "$PATIENCE"
[ "$STATUS" = 0 ] || die "the target ended with $STATUS"

echo 'As whom, and to how many queues'
host=nqn.2016-06.io.spdk:somebody
start perf-host "$DIST/bin/nvme-rdma-target" --listen 127.0.0.1:0 --io-queues 3 --subsystem "${NQN}1,ns=1M,host=$host,host=${host}2"
TARGET=$PID
wait_for_line perf-host ^listening "$PATIENCE" "$TARGET"
PORT=$(grep ^listening "$WORK/perf-host.out" | grep -oE ':[0-9]+(,|$)' | tr -dc 0-9)
perf 2 -r "$(trid 1)" -d 10
perf 0 -r "$(trid 1) hostnqn:$host" -d 10 -P 3
perf 2 -r "$(trid 1) hostnqn:$host" -d 10 -P 4
if [ "${#cores[@]}" -gt 1 ]; then
	# One thread has its two queues, the other one not: no load begins, and both end.
	perf 2 -r "$(trid 1) hostnqn:$host" -t 36000 -P 2 -c "[${cores[0]},${cores[1]}]" --json
	tells 2 connect 'refused'
	is '$1 == 0' total.submitted
fi
# As two hosts at once it is two controllers.
perf 0 -r "$(trid 1) hostnqn:$host" -r "$(trid 1) hostnqn:${host}2" -d 10 --json
refused 'hostnqn has 1 to' -r "$(trid 1) hostnqn:$(printf 'x%.0s' {1..300})"
kill -TERM "$TARGET"
wait_end "$TARGET" "$PATIENCE"
[ "$STATUS" = 0 ] || die "the target ended with $STATUS"

echo 'Targets that go away'
# Another target, which stays.
start_target 1 16M
staying=$TARGET stays=$(trid 1)
start_target 1 16M
in_background -r "$stays" -r "$(trid 1)" -t 36000 -P 2 --announce 5000 --json -w randrw
says '^5000 requests came back'
kill_target 256
says '^The connection to .* was lost'
kill -INT "$PROGRAM"
ends 3
is '$1 == "true" && $2 == 0 && $3 == "false" && $4 > 0' targets.0.connected targets.0.aborted targets.1.connected targets.1.aborted
is '$1 == 0 && $2 == 0 && $3 == 0' total.failed total.lost total.came_twice
tells 3 errors 'the connection to nqn'
is '$1 == $2 + $3 && $4 == 1' targets.1.submitted targets.1.completed targets.1.aborted targets.1.outages
# The same, and it comes back, long before all is done; on two threads.
start_target 1 16M
cores_option=()
[ "${#cores[@]}" -lt 2 ] || cores_option=(-c "[${cores[0]},${cores[1]}]")
in_background -r "$stays" -r "$(trid 1)" -d 120000 -P 2 --announce 5000 --json -w randrw --reconnect "$PATIENCE" "${cores_option[@]}"
says '^5000 requests came back'
kill_target 256
says 'was lost'
start_target 1 16M "$PORT"
ends 0
is '$1 == 0 && $2 == 1 && $3 == 1 && $4 > 0 && $5 > 0' targets.0.reconnects targets.1.reconnects targets.1.outages targets.1.aborted targets.1.seconds_away
is '$1 == 120000 * $3 && $2 == $1 && $4 == 0 && $5 == 0' targets.0.completed targets.1.completed options.threads total.lost total.came_twice
grep -q '^Connected again to' "$WORK/words" || fails 'it did not say that it is connected again'
# One that does not, in its time.
in_background -r "$(trid 1)" -t 36000 --announce 1000 --json --reconnect 1
says '^1000 requests came back'
kill_target 128
ends 3
is '$1 == "errors" && $2 == 0 && $3 > 0 && $4 == 0' ended targets.0.reconnects total.aborted total.lost
grep -q 'did not come back' "$WORK/words" || fails 'it did not say that it is gone'
# Ctrl-C while it is away.
start_target 1 16M "$PORT"
in_background -r "$(trid 1)" -t 36000 --announce 1000 --json --reconnect 36000
says '^1000 requests came back'
kill_target 128
says 'was lost'
kill -INT "$PROGRAM"
ends 3
is '$1 == "errors" && $2 == 0' ended total.lost
kill -TERM "$staying"
wait_end "$staying" "$PATIENCE"
[ "$STATUS" = 0 ] || die "the target that stays ended with $STATUS"

echo "perf-test.sh: $checks checks passed"
