# shellcheck shell=bash
# Sourced in the guest: RDMA over Ethernet in software, and the faults of its wire.
#
# Waits with checks.sh. rxe_up sets ADDR (the target's address), IF (its network device) and, with veth, HADDR (the host's address).

TARGET_MAC=02:00:00:00:00:01
HOST_MAC=02:00:00:00:00:02

# rxe_up dummy|veth: makes the network and the rxe devices on it, once a boot; again is no error.
#   dummy  one device, packets to oneself. The fastest, but packets are short-circuited: netem has no effect.
#   veth   two devices joined by a wire, host on vh0 (rxeh), target on vt0 (rxe0): loss, delay and a pulled cable really happen.
# lo is not offered: rdma_cm finds no device for 127.0.0.1.
rxe_up() {
  ADDR=10.77.0.1
  HADDR=10.77.0.2
  case $1 in
    dummy) IF=dum0 ;;
    veth) IF=vt0 ;;
    *) echo "rxe_up: no network '$1'" >&2 && return 1 ;;
  esac
  [ ! -e "/sys/class/net/$IF" ] || return 0
  # rxe asks for crc32 by an alias that finds no module by itself; without this `rdma link add` fails.
  modprobe -a crc32_generic crc32_pclmul rdma_rxe rdma_ucm ib_uverbs dummy veth || return 1
  case $1 in
    dummy)
      ip link add dum0 type dummy
      ip addr add "$ADDR/24" dev dum0
      ip link set dum0 mtu "${MTU:-9000}" up
      ;;
    veth)
      veth_up && add_device rxeh || return 1
      ;;
  esac
  add_device rxe0
}

# Both ends are in one network namespace, since rxe's devices of 6.1 live in the first one only. The kernel would deliver packets between
# two of its own addresses at once; so the `local` table is asked last, and packets to either address leave by the other one's device.
# One `ip` for all of it: starting a program is what costs time here.
veth_up() {
  local device mtu=${MTU:-9000}
  ip -batch - <<END || return 1
link add vh0 address $HOST_MAC type veth peer name vt0 address $TARGET_MAC
addr add $HADDR/24 dev vh0
addr add $ADDR/24 dev vt0
link set vh0 mtu $mtu up
link set vt0 mtu $mtu up
END
  for device in vh0 vt0; do
    echo 1 >"/proc/sys/net/ipv4/conf/$device/accept_local"
    echo 0 >"/proc/sys/net/ipv4/conf/$device/rp_filter"
  done
  echo 0 >/proc/sys/net/ipv4/conf/all/rp_filter
  veth_routes || return 1
  # Rules 10 and 11 are for packets made here, 12 and 13 for the way back that rdma_cm looks up for a request that came in.
  ip -batch - <<END
rule add pref 100 lookup local
rule del pref 0
rule add pref 10 iif lo to $ADDR lookup 201
rule add pref 11 iif lo to $HADDR lookup 202
rule add pref 12 iif vt0 to $HADDR lookup 202
rule add pref 13 iif vh0 to $ADDR lookup 201
END
}

# What a link that goes down loses, and so has to be put back after it: neighbours and routes.
veth_routes() {
  ip -batch - <<END
neigh replace $ADDR lladdr $TARGET_MAC dev vh0 nud permanent
neigh replace $HADDR lladdr $HOST_MAC dev vt0 nud permanent
route replace $ADDR dev vh0 src $HADDR table 201
route replace $HADDR dev vt0 src $ADDR table 202
END
}

# Faults, one call each. What a host then sees is in vm/README.md.

# wire delay 600ms 590ms | wire loss 100% | wire corrupt 1% ...: what happens to packets that the target sends (netem's words).
wire() { tc qdisc replace dev vt0 root netem limit 100000 "$@"; }
# The same for packets that the host sends.
wire_from_host() { tc qdisc replace dev vh0 root netem limit 100000 "$@"; }
wire_ok() {
  tc qdisc del dev vt0 root 2>/dev/null
  tc qdisc del dev vh0 root 2>/dev/null
  return 0
}
# wire_lost [vt0|vh0]...: how many packets netem threw away there since wire_ok; both ends unless told otherwise.
wire_lost() { wire_count '(dropped ' "$@"; }
# wire_carried [vt0|vh0]...: how many it let through.
wire_carried() { wire_count ' bytes ' "$@"; }
# In netem's words: `Sent 5684 bytes 42 pkt (dropped 3, overlimits 0 requeues 0)`.
wire_count() {
  local device sum=0 number before=$1
  shift
  [ $# -gt 0 ] || set -- vt0 vh0
  for device; do
    number=$(tc -s qdisc show dev "$device" root | sed -n "s/.*$before\([0-9]*\).*/\1/p" | head -n 1)
    sum=$((sum + ${number:-0}))
  done
  echo "$sum"
}
# wire_loses N: an outage: everything is lost both ways until N more packets were, then all is well again. Somebody has to send. Prefer it to
# link_down, see vm/README.md.
wire_loses() {
  wire loss 100%
  wire_from_host loss 100%
  wait_for lost_at_least $(($(wire_lost) + $1)) || return 1
  wire_ok
}
lost_at_least() { [ "$(wire_lost)" -ge "$1" ]; }
carried_at_least() { [ "$(wire_carried)" -ge "$1" ]; }
# Both return when the RDMA device has heard of it. Not while a program has a QP there, see vm/README.md.
link_down() { ip link set "${1:-vt0}" down && wait_for rdma_state "${1:-vt0}" DOWN; }
link_up() { ip link set "${1:-vt0}" up && veth_routes && wait_for rdma_state "${1:-vt0}" ACTIVE; }
rdma_state() { rdma link show | grep -q " state $2 .*netdev $1 *$"; }
# remove_device rxeh|rxe0: the RDMA device goes away. For the host's it does not return before the program let go of it.
remove_device() { in_time rdma link delete "$1"; }
# add_device rxeh|rxe0: and comes back.
add_device() {
  case $1 in
    rxeh) rdma link add rxeh type rxe netdev vh0 ;;
    *) rdma link add rxe0 type rxe netdev "$IF" ;;
  esac
}
