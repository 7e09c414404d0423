#!/bin/bash
# Runs in the guest. The host's C tests against the kernel's target: I/O in every form, sizes of one block to 32 MiB, random I/O against a copy, many qpairs
# and controllers at once, aborts, poll groups, and resets under load.
#
# Wants those of /share/bin that are named below: -r TRID; exit status 0 if all is as it should be.
#
# shellcheck disable=SC2317 # functions are called by `check`
# shellcheck source-path=SCRIPTDIR/../guest source=rxe.sh
. /share/rxe.sh
# shellcheck source=nvmet.sh
. /share/nvmet.sh
# shellcheck source=checks.sh
. /share/checks.sh

must "rxe over veth" rxe_up veth
must "a subsystem of the kernel's target" nvmet_up null 64

# An emulated machine copies slowly.
export SHADOW_BYTES=8M SIZES_MOST=256K
for program in vectors sizes shadow groups crowd abort reset; do
  run_program "$program" "/share/bin/$program" -r "$(nvmet_trid 1)"
  wait $!
  show_log "$program"
  ended "$program" 0
  released "$program"
done
check "target removed" nvmet_down
finish
