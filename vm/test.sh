#!/bin/bash
# test.sh [SCENARIO...]: what `make test-vm` calls. Builds the bed if needed, runs the scenarios (default: stack, verbs, first-light, host,
# zones, queue-ids, seed-bug) in the guest with the project's own programs, prints a PASS or FAIL line for each, and `N passed, N failed` as the
# last line. Exit status 1 if one failed. Each scenario runs once.
#
#   ARTIFACTS  directory with bin/nvme-rdma-perf, bin/facts, bin/admin, bin/discovery, bin/blocks, bin/queue-ids, bin/t43-seed, bin/verbs-compare, lib/libspdk_nvme_rdma.so, lib/libspdk_env_rdma.so,
#              lib/libsoftverbs.so; all of it may also lie in the directory itself. Default: $DIST, or dist/ in cargo's target directory,
#              which is where `make` puts them
#   RUNS       how often seed-bug is repeated, default 2
#   QUEUES     how many queues end and begin in queue-ids, default 60
#   SHADOW_BYTES  how much random I/O `host` compares with a copy, default 8M; with 1G give RUN_SECONDS too, which is how long a program of a
#              scenario may take, default 400
#
# The logs of each boot stay in $VM_WORK/test/.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

ARTIFACTS=${ARTIFACTS:-${DIST:-$(dirname "$VM_WORK")/dist}}
RUNS=${RUNS:-2}
[[ $RUNS =~ ^[1-9][0-9]*$ ]] || die "RUNS must be a number from 1, not '$RUNS'"
QUEUES=${QUEUES:-60}
[[ $QUEUES =~ ^[1-9][0-9]*$ ]] || die "QUEUES must be a number from 1, not '$QUEUES'"
[ $# -gt 0 ] || set -- stack verbs first-light host zones queue-ids seed-bug
for scenario; do [ -e "$VM_DIR/scenarios/$scenario.sh" ] || die "there is no scenario '$scenario'"; done

"$VM_DIR/build.sh"

# programs_of SCENARIO: which of the project's programs it runs.
programs_of() {
  case $1 in
    first-light) echo nvme-rdma-perf facts admin discovery blocks ;;
    host) echo vectors sizes shadow groups crowd abort reset memory exclusive events restarts failover keep-alive readwrite ;;
    zones) echo zones ;;
    queue-ids) echo queue-ids ;;
    seed-bug) echo t43-seed ;;
    verbs | faults) echo verbs-compare ;;
    own-target) echo nvme-rdma-target nvme-rdma-perf ;;
  esac
}

# artifact NAME: its path.
artifact() {
  local place
  for place in "$ARTIFACTS/bin" "$ARTIFACTS"; do
    if [ -x "$place/$1" ]; then echo "$place/$1" && return; fi
  done
  die "no $1 in $ARTIFACTS; run: make"
}

COMPARE=$VM_DIR/../crates/softverbs/tests/c/compare
# prepare_verbs SHARE: what the kernel's device has to print is made of what softverbs prints and the list of differences. The very program
# that runs in the guest runs on softverbs meanwhile, in the background, and has to print what the tests of softverbs expect too.
prepare_verbs() {
  local library=$ARTIFACTS/lib/libsoftverbs.so
  [ -e "$library" ] || library=$ARTIFACTS/libsoftverbs.so
  [ -e "$library" ] || die "no libsoftverbs.so in $ARTIFACTS; run: make"
  awk -f "$COMPARE/apply.awk" "$COMPARE/differences.txt" "$COMPARE/expected.txt" >"$1/verbs.expected"
  LD_PRELOAD=$library timeout 900 "$1/bin/verbs-compare" 127.0.0.1 >"$1/verbs.softverbs" 2>"$1/verbs.softverbs.log" &
  on_softverbs=$!
}
# same_on_softverbs SHARE: once the guest is done.
same_on_softverbs() {
  if ! wait "$on_softverbs" || ! diff -U 1 "$COMPARE/expected.txt" "$1/verbs.softverbs"; then
    echo "  not ok: verbs-compare on softverbs does not print what is expected; see $1/verbs.softverbs.log"
    return 1
  fi
}

passed=0 failed=0
# boot NAME SECONDS SCENARIO...: these scenarios in one boot of the guest.
boot() {
  local share=$VM_WORK/test/$1 seconds=$2 code=0 scenario program path
  shift 2
  rm -rf "$share"
  mkdir -p "$share"
  for scenario; do
    for program in $(programs_of "$scenario"); do
      path=$(artifact "$program")
      LD_LIBRARY_PATH=$ARTIFACTS/lib:$ARTIFACTS "$VM_DIR/pack.sh" "$share" "$path"
    done
    if [ "$scenario" = verbs ]; then prepare_verbs "$share"; fi
  done
  "$VM_DIR/run.sh" -t "$seconds" -s "$share" -m 1G -- "RUNS=$RUNS QUEUES=$QUEUES ${SHADOW_BYTES:+SHADOW_BYTES=$SHADOW_BYTES} ${RUN_SECONDS:+RUN_SECONDS=$RUN_SECONDS} bash /share/scenarios.sh $*" || code=$?
  for scenario; do
    if [ "$scenario" = verbs ] && ! same_on_softverbs "$share"; then
      failed=$((failed + 1))
      echo "FAIL verbs (softverbs)"
    elif [ "$code" -ne 0 ] && ! grep -q "^PASS $scenario " "$share/job.log"; then
      failed=$((failed + 1))
      grep -q "^FAIL $scenario " "$share/job.log" || echo "FAIL $scenario (the guest did not come to its end: $code)"
    elif grep -q "^PASS $scenario " "$share/job.log"; then
      passed=$((passed + 1))
    else
      failed=$((failed + 1))
      echo "FAIL $scenario (no verdict)"
    fi
  done
}

# Few boots: each costs some seconds. seed-bug and faults have their own, since what a kernel goes through there should not touch the
# others.
quick=() slow=() faults=()
for scenario; do
  case $scenario in
    seed-bug) slow+=("$scenario") ;;
    faults) faults+=("$scenario") ;;
    *) quick+=("$scenario") ;;
  esac
done
begin=$SECONDS
# Deadlines for a guest that hangs, some ten times what an idle machine takes.
[ ${#quick[@]} -eq 0 ] || boot quick $((1000 + QUEUES * 5 + ${RUN_SECONDS:-0})) "${quick[@]}"
[ ${#slow[@]} -eq 0 ] || boot seed-bug $((300 + 200 * RUNS)) "${slow[@]}"
[ ${#faults[@]} -eq 0 ] || boot faults 1000 "${faults[@]}"
say "took $((SECONDS - begin)) s without building"
echo "$passed passed, $failed failed"
exit $((failed > 0))
