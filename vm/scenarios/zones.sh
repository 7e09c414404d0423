#!/bin/bash
# Runs in the guest. Zoned namespaces of the kernel's target, over null_blk with zones: reports, writes at the write pointer and elsewhere,
# appends, and what is done to zones.
#
# Wants /share/bin/zones: -r TRID; exit status 0 if all is as it should be.
#
# shellcheck disable=SC2317 # functions are called by `check`
# shellcheck source-path=SCRIPTDIR/../guest source=rxe.sh
. /share/rxe.sh
# shellcheck source=nvmet.sh
. /share/nvmet.sh
# shellcheck source=checks.sh
. /share/checks.sh

must "rxe over veth" rxe_up veth
# As large as this host's own target has it in its tests.
ZONE_MB=4
must "a subsystem of the kernel's target with zones" nvmet_up null 64
ZONE_MB=
run_program zones /share/bin/zones -r "$(nvmet_trid 1)"
wait $!
show_log zones
ended zones 0
released zones
check "target removed" nvmet_down
finish
