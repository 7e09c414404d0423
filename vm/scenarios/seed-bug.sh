#!/bin/bash
# Runs in the guest. SPDK issue 3569 as it really happens: 10 subsystems, 8 qpairs on each, 4 requests among them; the target's packets get
# slow, all subsystems go at once, and the program frees qpairs that are still disconnecting. RUNS times (default 2).
#
# Wants /share/bin/t43-seed: -r TRID with %d in it, -s subsystems, -P qpairs, -q depth, -o bytes, -t seconds; prints "running" when all
# qpairs are connected and each of them has written; exit status 2 the target went away and all ended as it should.
#
# shellcheck disable=SC2317 # functions are called by `check`
# shellcheck source-path=SCRIPTDIR/../guest source=rxe.sh
. /share/rxe.sh
# shellcheck source=nvmet.sh
. /share/nvmet.sh
# shellcheck source=checks.sh
. /share/checks.sh

SEED=/share/bin/t43-seed
SUBSYSTEMS=10

# Qpairs of the last run that were freed before they were disconnected: what all this is about.
early() { sed -n 's/.*; \([0-9]*\) of \([0-9]*\) qpairs .*/\2 - \1/p' /tmp/seed.log; }

must "the program is there" test -x "$SEED"
must "rxe over veth" rxe_up veth
must "$SUBSYSTEMS subsystems at one address" nvmet_up_many "$SUBSYSTEMS" 16

freed_early=0
for ((run = 1; run <= ${RUNS:-2}; run++)); do
  begin=$SECONDS
  before=$failures
  # In the first run they are linked already.
  if [ "$run" -gt 1 ]; then must "run $run: subsystems linked again" nvmet_link_all; fi
  run_program seed "$SEED" -r "$(nvmet_trid %d)" -s "$SUBSYSTEMS" -P 8 -q 4 -o 45056 -t 3600
  program=$!
  check "run $run: all qpairs write" prints seed "^running"
  check "run $run: slow answers" wire delay 600ms 590ms
  check "run $run: all subsystems unlinked" nvmet_unlink_all
  wait "$program"
  ended seed 2
  released seed
  check "run $run: answers were slow" carried_at_least 1
  wire_ok
  count=$(early)
  freed_early=$((freed_early + ${count:-0}))
  if [ "$failures" -gt "$before" ]; then show_log seed 60; else show_log seed 3; fi
  echo "  run $run of ${RUNS:-2}: $([ "$failures" -gt "$before" ] && echo failed || echo good), $((SECONDS - begin)) s"
done
echo "  $freed_early qpairs were freed before they were disconnected"
# Chance decides in each run; over many, none would mean that this was not the scenario.
[ "${RUNS:-2}" -lt 10 ] || check "there were some: this was the scenario" test "$freed_early" -gt 0
check "target removed" nvmet_down
finish
