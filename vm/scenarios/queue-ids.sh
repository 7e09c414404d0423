#!/bin/bash
# Runs in the guest. The kernel's target keeps a queue's id for a while after its host has let go of it, and refuses a new queue of that id.
# A host that frees a queue and allocates one at once must not be refused all the same, and nobody has to complain. QUEUES queues (60), and a few
# of a target that is surely late.
#
# Wants /share/bin/queue-ids: -n COUNT, -r TRID; exit status 0 if each queue was accepted and worked, without an error line.
#
# shellcheck disable=SC2317 # functions are called by `check`
# shellcheck source-path=SCRIPTDIR/../guest source=rxe.sh
. /share/rxe.sh
# shellcheck source=nvmet.sh
. /share/nvmet.sh
# shellcheck source=checks.sh
. /share/checks.sh

# How often the target refused an id that was taken. The host may have asked for it: then it has asked again, without a word.
refusals() { kernel_says | grep -c 'has already been created'; }

# turn NAME COUNT: so many queues.
turn() {
  kernel_heard
  run_program "$1" /share/bin/queue-ids -n "$2" -r "$(nvmet_trid 1)"
  wait $!
  show_log "$1"
  ended "$1" 0
  released "$1"
  echo "  the target refused $(refusals) of these queues at first"
}

must "rxe over veth" rxe_up veth
must "a subsystem of the kernel's target" nvmet_up brd 16
turn quick "${QUEUES:-60}"
check "target removed" nvmet_down

# Whether a new queue comes before the old one is gone is a race above, which a busy machine always loses. Not with a device that takes a second
# for each command: that long the target keeps a queue that ended with commands in flight.
LATENCY_NS=1000000000
must "a subsystem whose device takes a second for each command" nvmet_up null 16
LATENCY_NS=
turn slow 6
check "target removed" nvmet_down
finish
