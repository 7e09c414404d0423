#!/bin/bash
# shellcheck disable=SC2317 # functions are called by `check`
#
# Runs in the guest. Is the bed itself sound: rxe, the wire and its faults, the kernel's target with the kernel's own host?
# shellcheck source-path=SCRIPTDIR/../guest source=rxe.sh
. /share/rxe.sh
# shellcheck source=nvmet.sh
. /share/nvmet.sh
# shellcheck source=checks.sh
. /share/checks.sh

# rping checks the data that it gets back (-V). The client counts: a server that counts too may hang up before the client's last turn.
rping_once() { rping_server && rping_client "$1"; }
rping_server() {
  run_program rping rping -s -a "$ADDR" -V
  listens rping
}
# The server ends by itself when the client has gone, and calls that an error.
rping_client() { in_time rping -c -a "$ADDR" -V -C "$1" -S 4096 && wait_for over rping; }

milliseconds() { echo $((${EPOCHREALTIME//[!0-9]/} / 1000)); }

# The wire carries the packets, so a delay of the target's side must show: connect, 4 messages, disconnect. That it took long may have other
# reasons on a busy machine, so what went through is counted too.
delay_bites() {
  local begin took
  rping_server || return 1
  wire delay 100ms
  begin=$(milliseconds)
  rping_client 1 || return 1
  took=$(($(milliseconds) - begin))
  echo "took $took ms, $(wire_carried vt0) packets were late"
  [ "$took" -ge 300 ] && [ "$(wire_carried vt0)" -ge 4 ] && wire_ok
}

# Nothing gets through for a while, and what was lost is sent again. The client begins while nothing does.
outage() {
  local client
  rping_server || return 1
  wire loss 100%
  wire_from_host loss 100%
  rping_client 2 &
  client=$!
  wait_for lost_at_least 1 || return 1
  ! over rping || return 1
  wire_ok
  wait "$client"
}

# The host's device goes away and comes back; what is there afterwards works.
device_replaced() { remove_device rxeh && ! ibv_devinfo -d rxeh && add_device rxeh && rping_once 2; }

discovers() {
  in_time nvme discover -t rdma -a "$ADDR" -s 4420 | tee /tmp/discovered
  [ "$(grep -c "subnqn:.*$NQN_PREFIX" /tmp/discovered)" = "$1" ]
}

kernel_host_disk() { ls /dev/nvme?n1; }

write_and_verify() {
  dd if=/dev/urandom of=/tmp/pattern bs=64k count=32 2>/dev/null &&
    in_time dd if=/tmp/pattern of="$1" bs=64k oflag=direct 2>/dev/null &&
    in_time dd if="$1" of=/tmp/read-back bs=64k count=32 iflag=direct 2>/dev/null &&
    cmp /tmp/pattern /tmp/read-back
}

must "rxe over veth" rxe_up veth
check "rping -V, 20 rounds of 4 KiB" rping_once 20
check "netem delay holds up RDMA" delay_bites
check "an outage of the wire" outage
check "an RDMA device that is replaced" device_replaced
check "ten subsystems at one address" nvmet_up_many 10 16
modprobe nvme-rdma
check "nvme discover lists ten subsystems" discovers 10
check "nvme connect" in_time nvme connect -t rdma -a "$ADDR" -s 4420 -n "${NQN_PREFIX}1" -i 1
if check "its disk appears" wait_for kernel_host_disk; then
  check "2 MiB written and read back" write_and_verify "$(kernel_host_disk)"
fi
check "nvme disconnect" in_time nvme disconnect -n "${NQN_PREFIX}1"
check "all unlinked at once" nvmet_unlink_all
check "and no longer discovered" discovers 0
check "target removed" nvmet_down

# The judge of the other scenarios must be able to say no.
run_program leaver rping -s -a "$ADDR" -C 1
leaver=$!
check "a program that holds something" listens leaver
kill "$leaver"
wait "$leaver"
check "witness sees how a program was killed" grep -qx 'signal 15' /tmp/leaver.status
check "witness sees what a killed program held" grep -q '^cm_id: .*comm rping' /tmp/leaver.left
check "nothing left of any program" wait_for nothing_left
finish
