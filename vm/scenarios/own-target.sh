#!/bin/bash
# Runs in the guest. Our own target on the kernel's RDMA stack, with a host that is not ours, the kernel's, and then with our own.
#
# Wants /share/bin/nvme-rdma-target: --listen ADDR:PORT, --subsystem NQN,ns=SIZE; prints "listening" when hosts can connect; SIGTERM ends it with
# exit status 0. And /share/bin/nvme-rdma-perf, see first-light.sh.
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

connect() { in_time nvme connect -t rdma -a "$ADDR" -s 4420 -n "$NQN" -i 2 -l 1 -c 1 && wait_for ls "$DISK"; }
write_and_verify() {
  dd if=/dev/urandom of=/tmp/pattern bs=64k count=32 2>/dev/null &&
    in_time dd if=/tmp/pattern of="$DISK" bs=64k oflag=direct 2>/dev/null &&
    in_time dd if="$DISK" of=/tmp/read-back bs=64k count=32 iflag=direct 2>/dev/null &&
    cmp /tmp/pattern /tmp/read-back
}
# The disk's reads and writes that are done; see Documentation/block/stat.rst of the kernel. The path counts, the disk over it does not.
done_so_far() { awk '{ print $1, $5; exit }' /sys/block/nvme0c*n1/stat; }
# both_grow READS WRITES: by a hundred each, since then.
both_grow() {
  local reads writes
  read -r reads writes <<<"$(done_so_far)" && [ "$reads" -ge $(($1 + 100)) ] && [ "$writes" -ge $(($2 + 100)) ]
}
keep_busy() { while in_time dd "$@" 2>/dev/null; do :; done; }

must "rxe over veth" rxe_up veth
modprobe nvme-rdma
run_program target /share/bin/nvme-rdma-target --listen "$ADDR:4420" --subsystem "$NQN,ns=64M"
target=$!
must "it listens" prints target '^listening'
check "the kernel's host connects" connect
check "2 MiB written and read back" write_and_verify
check "and disconnects" in_time nvme disconnect -n "$NQN"

run_program pattern /share/bin/nvme-rdma-perf -r "trtype:RDMA adrfam:IPv4 traddr:$ADDR trsvcid:4420 subnqn:$NQN" -w verify -q 32 -n 8M
wait $!
show_log pattern
ended pattern 0

must "the kernel's host connects again" connect
keep_busy if=/dev/zero of="$DISK" bs=44k count=1000 oflag=direct conv=nocreat &
writer=$!
keep_busy if="$DISK" of=/dev/null bs=4k iflag=direct &
reader=$!
# shellcheck disable=SC2046 # two words
check "it reads and writes" wait_for both_grow $(done_so_far)
kill "$target"
wait "$target"
show_log target
ended target 0
released target
# Its host gives up after a second, and their commands fail.
wait "$writer" "$reader"
finish
