#!/bin/bash
# Runs in the guest. The host's C tests against the kernel's target: I/O in every form, sizes of one block to 32 MiB, random I/O against a copy, many qpairs
# and controllers at once, aborts, poll groups, resets under load, any memory as a buffer, and what keeps others out; then the namespace
# goes and comes back, and so does the way to it, and the host hears of it; then the target ends and comes back, at the same place or another, and
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
for program in vectors sizes shadow groups crowd abort reset memory exclusive; do
  run_program "$program" "/share/bin/$program" -r "$(nvmet_trid 1)"
  wait $!
  show_log "$program"
  ended "$program" 0
  released "$program"
done

# hand down|up [PORT]: the subsystem goes from that port, or comes back. hand expired: until the target ends an association by its timer.
# hand namespace off|on: the namespace goes or comes back. hand access STATE: of the namespace's group, for who came by the first port.
hand() {
  case $1 in
    down) nvmet_unlink 1 "${2:-1}" ;;
    up) nvmet_link 1 "${2:-1}" ;;
    namespace) nvmet_namespace 1 "$([ "$2" = on ] && echo 1 || echo 0)" ;;
    access) echo "$2" >"$NVMET/ports/1/ana_groups/1/ana_state" ;;
    expired) kernel_heard && wait_for timer_ran_out ;;
    *) return 1 ;;
  esac
}
port_of_ipv6() { ADDR=fd77::1 ADRFAM=ipv6 nvmet_port 4420 3; }
timer_ran_out() { kernel_says | grep -q 'keep-alive timer .* expired'; }
export RESTARTS=4 FAILOVERS=4 KATO_MS=3000 PEER_PORT=4421
for program in events restarts failover keep-alive; do
  with_a_hand "$program" "/share/bin/$program" -r "$(nvmet_trid 1)"
  show_log "$program"
  ended "$program" 0
  released "$program"
done
# IPv6. Both ends have the one address, so that no packet leaves the device.
must "an address of the other family" ip -6 addr add fd77::1/64 dev vt0 nodad
must "a port there" port_of_ipv6
must "and the subsystem is there too" nvmet_link 1 3
for program in readwrite reset; do
  run_program "$program-6" "/share/bin/$program" -r "trtype:RDMA adrfam:IPv6 traddr:fd77::1 trsvcid:4420 subnqn:${NQN_PREFIX}1"
  wait $!
  show_log "$program-6"
  ended "$program-6" 0
  released "$program-6"
done
check "target removed" nvmet_down
finish
