#!/bin/bash
# Runs in the guest. Each fault of vm/README.md, one call each: that it does what the table says, and that the bed is well again after it.
# Not in `make test-vm`, for the sake of time: vm/test.sh faults.
#
# Wants /share/bin/verbs-compare, see verbs.sh.
#
# shellcheck disable=SC2317 # functions are called by `check`
# shellcheck source-path=SCRIPTDIR/../guest source=rxe.sh
. /share/rxe.sh
# shellcheck source=nvmet.sh
. /share/nvmet.sh
# shellcheck source=checks.sh
. /share/checks.sh

NQN=${NQN_PREFIX}1
# Reconnects each second, and never gives up by itself.
connect() { in_time nvme connect -t rdma -a "$ADDR" -s 4420 -n "$NQN" -i 1 -c 1 -l 600 && wait_for disk; }
# refused PATTERN [PORT]: there is no connection, and the kernel's host says why. -D: it would not even try where it has one already.
refused() {
  kernel_heard
  ! in_time nvme connect -D -t rdma -a "$ADDR" -s "${2:-4420}" -n "$NQN" -i 1 && kernel_says | grep -E "nvme nvme[0-9]+: .*$1"
}
disconnect() { in_time nvme disconnect -n "$NQN"; }
disk() { compgen -G '/dev/nvme?n1'; }
# controller STATE: live, connecting, ...
controller() { wait_for grep -qx "$1" /sys/class/nvme/nvme*/state; }
reads() { in_time dd if="$(disk)" of=/dev/null bs=4k count=1 skip="${1:-0}" iflag=direct; }
# An error, not a command that hangs.
fails_to_read() {
  local status=0
  reads "$@" || status=$?
  [ "$status" -eq 1 ]
}

# ping ROUNDS: of 4 KiB, checked byte by byte.
ping() {
  run_program pinged rping -s -a "$ADDR" -V
  listens pinged && in_time rping -c -a "$ADDR" -V -C "$1" -S 4096 && wait_for over pinged
}
# long_ping: one that goes on for ever between the two, in the background; `server` and `client` are their logs.
long_ping() {
  run_program server rping -s -a "$ADDR" -V
  server=$!
  listens server || return 1
  on_a_terminal client rping -c -a "$ADDR" -V -v
  client=$!
  prints client 'ping data'
}
# A program's output is held back unless it goes to a terminal.
on_a_terminal() {
  local name=$1
  shift
  run_program "$name" script -q -e -c "$*" /dev/null
}
ends() { wait_for over "$1"; }
# stops PROCESS NAME: it is told to end.
stops() {
  kill "$1" 2>/dev/null
  ends "$2"
}
rounds() { grep -c 'ping data' /tmp/client.log; }
goes_on() { wait_for more_than $(($(rounds) + 5)); }
more_than() { [ "$(rounds)" -gt "$1" ]; }
# Both lose what they send, again and again; meanwhile no round ends, and no program. A round that was under way when the first packet was lost
# may still be told, so it is counted from the third on.
stands_still() {
  local before
  wait_for lost_at_least 3 || return 1
  before=$(rounds)
  wait_for lost_at_least 8 || return 1
  echo "$(wire_lost) packets were lost; $before rounds before, $(rounds) since"
  [ "$(rounds)" = "$before" ] && ! over client
}
# goes_on_with FAULT: what netem did it to went through, and it goes on.
goes_on_with() {
  # shellcheck disable=SC2086 # several words
  wire $1 && wait_for carried_at_least $(($(wire_carried) + 50)) && goes_on
}
loses_and_goes_on() { goes_on_with "$1" && wait_for lost_at_least $(($(wire_lost) + 1)); }

must "rxe over veth" rxe_up veth
modprobe nvme-rdma

echo "  -- the target lets go"
must "a subsystem" nvmet_up null 16
check "nvme connect" connect
check "nvmet_unlink 1" nvmet_unlink 1
check "the controller loses its queues" controller connecting
check "a new connection is refused" refused 'rejected'
check "nvmet_link 1" nvmet_link 1
check "the controller comes back" controller live
check "and reads" reads
check "nvmet_namespace 1 0" nvmet_namespace 1 0
check "commands fail" fails_to_read
check "nvmet_namespace 1 1" nvmet_namespace 1 1
check "and go well again" wait_for reads
check "nvme disconnect" disconnect
check "nobody listens at another port" refused 'rejected' 4421
check "nvmet_down" nvmet_down
# `check` runs in this shell: what is set here lasts.
BAD_SECTORS=+800-807
check "BAD_SECTORS=$BAD_SECTORS nvmet_up null 16" nvmet_up null 16
BAD_SECTORS=
check "nvme connect" connect
check "these sectors are bad" fails_to_read 100
check "others are good" reads 99
check "nvme disconnect" disconnect
check "nvmet_down" nvmet_down
ALLOW_ANY_HOST=0
check "ALLOW_ANY_HOST=0 nvmet_up null 16" nvmet_up null 16
ALLOW_ANY_HOST=1
check "connect is refused" refused 'not allowed|invalid|failed'
check "nvmet_down" nvmet_down

echo "  -- a device goes away"
must "a connection" long_ping
check "remove_device rxeh" remove_device rxeh
check "its program is told" prints client 'device removal'
check "and ends" ends client
# Whether the other side is told depends on whether that still went over the device.
check "the target's is stopped" stops "$server" server
check "add_device rxeh" add_device rxeh
check "and connections work" ping 2
must "a connection" long_ping
check "remove_device rxe0" remove_device rxe0
check "the host is disconnected" prints client 'DISCONNECT EVENT'
check "the host's program ends" ends client
check "the target's too" ends server
check "add_device rxe0" add_device rxe0
check "and connections work" ping 2

echo "  -- the wire"
must "a connection" long_ping
for fault in 'delay 60ms 59ms' 'duplicate 5%' 'reorder 25% 50% delay 10ms' 'corrupt 1%'; do
  check "wire $fault: it goes on" goes_on_with "$fault"
done
check "wire loss 5%: it goes on" loses_and_goes_on 'loss 5%'
check "wire_ok" wire_ok
check "wire_from_host loss 5%" wire_from_host loss 5%
check "packets are lost" wait_for lost_at_least 1
check "it goes on" goes_on
check "wire_ok" wire_ok
check "wire_loses 5" wire_loses 5
check "it goes on" goes_on
check "wire loss 100%" wire loss 100%
check "it stands still, without an error" stands_still
check "wire_ok" wire_ok
check "it goes on" goes_on
# A program that does not wait for ever: see the case in crates/softverbs/tests/c/compare/cases.c.
gives_up() {
  VERBS_OUTSIDE="bash -c '. /share/rxe.sh; \"\$@\"' -" in_time /share/bin/verbs-compare "$ADDR" wire-cut | tee /tmp/cut.log
  grep -q 'wc 1 RETRY_EXC_ERR' /tmp/cut.log
}
check "wire loss 100%, retry count 6, ACK timeout 12: RETRY_EXC_ERR" gives_up
check "wire_ok" wire_ok
check "the client is stopped" stops "$client" client
check "the server hears of it" ends server
on_a_terminal watch ibv_asyncwatch -d rxeh
watch=$!
check "the port is watched" prints watch 'async event FD'
check "link_down vh0" link_down vh0
check "the port's events are told: error" prints watch PORT_ERR
check "link_up vh0" link_up vh0
check "and active" prints watch PORT_ACTIVE
check "the watch is stopped" stops "$watch" watch
show_log watch
check "and connections work" ping 2
finish
