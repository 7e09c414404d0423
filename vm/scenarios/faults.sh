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
connect() { timeout 20 nvme connect -t rdma -a "$ADDR" -s "${1:-4420}" -n "$NQN" -i 1 -c 1 -l 600 && wait_for 5 disk; }
refused() { ! connect "$@"; }
disconnect() { timeout 20 nvme disconnect -n "$NQN"; }
disk() { compgen -G '/dev/nvme?n1'; }
# controller STATE: live, connecting, ...
controller() { wait_for 15 grep -qx "$1" /sys/class/nvme/nvme*/state; }
reads() { timeout 20 dd if="$(disk)" of=/dev/null bs=4k count=1 skip="${1:-0}" iflag=direct; }
fails_to_read() { ! reads "$@"; }

# ping ROUNDS: of 4 KiB, checked byte by byte.
ping() {
  local server status=0
  rping -s -a "$ADDR" -V >/tmp/server.log 2>&1 &
  server=$!
  sleep 0.3
  timeout 60 rping -c -a "$ADDR" -V -C "$1" -S 4096 || status=$?
  wait "$server"
  return "$status"
}
# long_ping: one that goes on for ever between the two, in the background; `server` and `client` are their logs.
long_ping() {
  run_program server 300 rping -s -a "$ADDR" -V
  server=$!
  sleep 0.3
  on_a_terminal client rping -c -a "$ADDR" -V -v
  client=$!
  prints client 10 'ping data'
}
# A program's output is held back unless it goes to a terminal.
on_a_terminal() {
  local name=$1
  shift
  run_program "$name" 300 script -q -e -c "$*" /dev/null
}
ends() { wait_for 15 test -e "/tmp/$1.status"; }
# stops PROCESS NAME: it is told to end.
stops() {
  kill "$1" 2>/dev/null
  ends "$2"
}
rounds() { grep -c 'ping data' /tmp/client.log; }
goes_on() {
  local before
  before=$(rounds)
  wait_for 40 more_than $((before + 5))
}
more_than() { [ "$(rounds)" -gt "$1" ]; }
stands_still() {
  local before
  sleep 0.5
  before=$(rounds)
  sleep 3
  [ "$(rounds)" = "$before" ] && [ ! -e /tmp/client.status ]
}

must "rxe over veth" rxe_up veth
modprobe nvme-rdma

echo "  -- the target lets go"
must "a subsystem" nvmet_up null 16
check "nvme connect" connect
check "nvmet_unlink 1" nvmet_unlink 1
check "the controller loses its queues" controller connecting
check "a new connection is refused" refused
check "nvmet_link 1" nvmet_link 1
check "the controller comes back" controller live
check "and reads" reads
check "nvmet_namespace 1 0" nvmet_namespace 1 0
check "commands fail" fails_to_read
check "nvmet_namespace 1 1" nvmet_namespace 1 1
check "and go well again" wait_for 10 reads
check "nvme disconnect" disconnect
check "nobody listens at another port" refused 4421
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
check "connect is refused" refused
check "nvmet_down" nvmet_down

echo "  -- a device goes away"
must "a connection" long_ping
check "remove_device rxeh" timeout 20 bash -c '. /share/rxe.sh; remove_device rxeh'
check "its program is told" prints client 1 'device removal'
check "and ends" ends client
# Whether the other side is told depends on whether that still went over the device.
check "the target's is stopped" stops "$server" server
check "add_device rxeh" add_device rxeh
check "and connections work" ping 2
must "a connection" long_ping
check "remove_device rxe0" timeout 20 bash -c '. /share/rxe.sh; remove_device rxe0'
check "the host is disconnected" prints client 5 'DISCONNECT EVENT'
check "the host's program ends" ends client
check "the target's too" ends server
check "add_device rxe0" add_device rxe0
check "and connections work" ping 2

echo "  -- the wire"
must "a connection" long_ping
for fault in 'delay 60ms 59ms' 'loss 5%' 'duplicate 5%' 'reorder 25% 50% delay 10ms' 'corrupt 1%'; do
  # shellcheck disable=SC2086 # several words
  check "wire $fault" wire $fault
  check "it goes on" goes_on
done
check "wire_from_host loss 5%" wire_from_host loss 5%
check "it goes on" goes_on
check "wire_ok" wire_ok
check "wire_down_for 1" wire_down_for 1
check "it goes on" goes_on
check "wire loss 100%" wire loss 100%
check "it stands still, without an error" stands_still
check "wire_ok" wire_ok
check "it goes on" goes_on
# A program that does not wait for ever: see the case in crates/softverbs/tests/c/compare/cases.c.
gives_up() {
  VERBS_OUTSIDE="bash -c '. /share/rxe.sh; \"\$@\"' -" timeout 60 /share/bin/verbs-compare "$ADDR" wire-cut | tee /tmp/cut.log
  grep -q 'wc 1 RETRY_EXC_ERR' /tmp/cut.log
}
check "wire loss 100%, retry count 6, ACK timeout 12: RETRY_EXC_ERR" gives_up
check "wire_ok" wire_ok
check "the client is stopped" stops "$client" client
check "the server hears of it" ends server
on_a_terminal watch ibv_asyncwatch -d rxeh
watch=$!
check "the port is watched" prints watch 5 'async event FD'
check "link_down vh0" link_down vh0
check "the port's events are told: error" prints watch 5 PORT_ERR
check "link_up vh0" link_up vh0
check "and active" prints watch 10 PORT_ACTIVE
check "the watch is stopped" stops "$watch" watch
show_log watch
check "and connections work" ping 2
finish
