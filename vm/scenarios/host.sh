#!/bin/bash
# Runs in the guest. The host's C tests against the kernel's target: I/O in every form, sizes of one block to 32 MiB, random I/O against a copy, many qpairs
# and controllers at once, aborts, poll groups, and resets under load; then the target ends and comes back, at the same place or another, and
# is left without a sign of life.
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
must "a second port for it" nvmet_port 4421 2
must "and it is there too" nvmet_link 1 2

# An emulated machine copies slowly. SHADOW_BYTES=1G takes minutes, see vm/README.md.
export SHADOW_BYTES=${SHADOW_BYTES:-8M} SIZES_MOST=256K
for program in vectors sizes shadow groups crowd abort reset; do
  run_program "$program" "/share/bin/$program" -r "$(nvmet_trid 1)"
  wait $!
  show_log "$program"
  ended "$program" 0
  released "$program"
done

# hand down|up [PORT]: the subsystem goes from that port, or comes back. hand expired: until the target ends an association by its timer.
hand() {
  case $1 in
    down) nvmet_unlink 1 "${2:-1}" ;;
    up) nvmet_link 1 "${2:-1}" ;;
    expired) kernel_heard && wait_for timer_ran_out ;;
    *) return 1 ;;
  esac
}
timer_ran_out() { kernel_says | grep -q 'keep-alive timer .* expired'; }
export RESTARTS=4 FAILOVERS=4 KATO_MS=3000 PEER_PORT=4421
for program in restarts failover keep-alive; do
  with_a_hand "$program" "/share/bin/$program" -r "$(nvmet_trid 1)"
  show_log "$program"
  ended "$program" 0
  released "$program"
done
check "target removed" nvmet_down
finish
