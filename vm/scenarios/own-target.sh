#!/bin/bash
# Runs in the guest. Our own target on the kernel's RDMA stack, with a host that is not ours, the kernel's, and then with our own.
#
# Wants /share/bin/nvme-rdma-target: --listen ADDR:PORT, --subsystem NQN,ns=SIZE; prints "listening" when hosts can connect; SIGTERM ends it with
# exit status 0. And /share/bin/nvme-rdma-demo, see first-light.sh.
#
# shellcheck disable=SC2317 # functions are called by `check`
# shellcheck source-path=SCRIPTDIR/../guest source=rxe.sh
. /share/rxe.sh
# shellcheck source=nvmet.sh
. /share/nvmet.sh
# shellcheck source=checks.sh
. /share/checks.sh

NQN=${NQN_PREFIX}1
DISK=/dev/nvme0n1

connect() { timeout 20 nvme connect -t rdma -a "$ADDR" -s 4420 -n "$NQN" -i 2 -l 1 -c 1 && wait_for 5 ls "$DISK"; }
write_and_verify() {
  dd if=/dev/urandom of=/tmp/pattern bs=64k count=32 2>/dev/null &&
    dd if=/tmp/pattern of="$DISK" bs=64k oflag=direct 2>/dev/null &&
    dd if="$DISK" of=/tmp/read-back bs=64k count=32 iflag=direct 2>/dev/null &&
    cmp /tmp/pattern /tmp/read-back
}

must "rxe over veth" rxe_up veth
modprobe nvme-rdma
run_program target 100 /share/bin/nvme-rdma-target --listen "$ADDR:4420" --subsystem "$NQN,ns=64M"
target=$!
must "it listens" prints target 20 '^listening'
check "the kernel's host connects" connect
check "2 MiB written and read back" write_and_verify
check "and disconnects" timeout 20 nvme disconnect -n "$NQN"

run_program pattern 60 /share/bin/nvme-rdma-demo -r "trtype:RDMA adrfam:IPv4 traddr:$ADDR trsvcid:4420 subnqn:$NQN" -q 32 -n 8M
wait $!
show_log pattern
ended pattern 0

check "the kernel's host connects again" connect
timeout 30 dd if=/dev/zero of="$DISK" bs=44k oflag=direct 2>/dev/null &
timeout 30 dd if="$DISK" of=/dev/null bs=4k iflag=direct 2>/dev/null &
sleep 2
kill "$target"
wait "$target"
show_log target
ended target 0
released target
wait
finish
