#!/bin/bash
# Runs in the guest. nvme-rdma-perf against the kernel's target: what it writes it reads back, a second time too and at once, and when the
# subsystem is taken away under load it ends by itself, with everything given back. What the host says of the kernel's controller and namespace is
# what these say of themselves.
#
# Wants /share/bin/nvme-rdma-perf: -r TRID, -w pattern, -q depth, -n bytes, -t seconds, --announce N; exit status 0 all well, 3 the target went
# away and all ended as it should; prints a line "N requests came back" when it is so. And /share/bin/facts, admin, discovery and blocks: -r TRID.
#
# shellcheck disable=SC2317 # functions are called by `check`
# shellcheck source-path=SCRIPTDIR/../guest source=rxe.sh
. /share/rxe.sh
# shellcheck source=nvmet.sh
. /share/nvmet.sh
# shellcheck source=checks.sh
. /share/checks.sh

PERF=/share/bin/nvme-rdma-perf
# A part of the namespace, for the sake of time: a thousand I/Os each way.
BYTES=$((4 << 20))
# So many requests make a load.
ENOUGH=500

# The program's own word is not the only one: the device that the target keeps has the pattern. It looks like random bytes, of which one in
# 256 is zero, give or take some hundred; a 4 KiB block that was never written would add 4,080.
all_blocks_written() {
  local zeros
  zeros=$((BYTES - $(dd if="$1" bs=1M count=$((BYTES >> 20)) iflag=direct 2>/dev/null | tr -d '\000' | wc -c)))
  echo "$zeros bytes are zero"
  [ "$zeros" -lt $((BYTES / 256 + 2000)) ]
}

must "nvme-rdma-perf is there" test -x "$PERF"
must "rxe over veth" rxe_up veth
must "a subsystem of the kernel's target" nvmet_up null 64

for turn in first second; do
  run_program "$turn" "$PERF" -r "$(nvmet_trid 1)" -w verify -q 32 -n "$BYTES"
  wait $!
  show_log "$turn"
  ended "$turn" 0
  check "$turn run: no error line" no_errors "$turn"
  released "$turn"
done
check "the kernel's side has the data" all_blocks_written "$(cat "$NVMET/subsystems/${NQN_PREFIX}1/namespaces/1/device_path")"

for program in facts admin discovery blocks; do
  run_program "$program" "/share/bin/$program" -r "$(nvmet_trid 1)"
  wait $!
  show_log "$program"
  ended "$program" 0
  released "$program"
done

run_program load "$PERF" -r "$(nvmet_trid 1)" -q 32 -w randrw -P 4 -t 3600 --announce "$ENOUGH"
load=$!
check "the load runs" prints load "^$ENOUGH requests came back"
check "the subsystem is unlinked under load" nvmet_unlink 1
wait "$load"
show_log load
ended load 3
released load
check "target removed" nvmet_down
finish
