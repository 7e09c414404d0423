# shellcheck shell=bash
# Sourced in the guest: the Linux NVMe-oF target over RDMA, through configfs. Needs ADDR (see rxe.sh).
#
# Subsystems are numbered from 1 and named $NQN_PREFIX1, $NQN_PREFIX2, ...; each has one namespace, id 1. There is one port, id 1,
# unless nvmet_port makes another.

NQN_PREFIX=${NQN_PREFIX:-nqn.2024-01.org.example:sub}
NVMET=/sys/kernel/config/nvmet
NULLB=/sys/kernel/config/nullb

# nvmet_up_many N MB [PORT]: N subsystems at one address, each with a namespace of MB megabytes in memory, and links them all.
# Memory is taken as it is written.
nvmet_up_many() {
  local number device
  modprobe -a nvmet nvmet-rdma || return 1
  nvmet_port "${3:-4420}" || return 1
  for ((number = 1; number <= $1; number++)); do
    device=$(null_device "$number" "$2") && nvmet_subsystem "$number" "$device" || return 1
  done
  nvmet_link_all
}

# nvmet_up null|brd|FILE MB [PORT]: one subsystem, on null_blk, a RAM disk, or a file (made if it is not there).
nvmet_up() {
  local device
  modprobe -a nvmet nvmet-rdma || return 1
  case $1 in
    null) device=$(null_device 1 "$2") || return 1 ;;
    brd)
      modprobe brd rd_nr=1 rd_size=$(($2 * 1024)) || return 1
      device=/dev/ram0
      ;;
    *)
      device=$1
      [ -e "$device" ] || truncate -s "$2M" "$device" || return 1
      ;;
  esac
  nvmet_port "${3:-4420}" && nvmet_subsystem 1 "$device" && nvmet_link_all
}

# null_device NUMBER MB: prints the name of a new memory-backed null_blk device. Options, as environment variables: BLOCK_SIZE (512),
# ZONE_MB (it has zones of so many megabytes), LATENCY_NS (each command takes that long), BAD_SECTORS ("+800-807": medium errors on these sectors).
null_device() {
  local config=$NULLB/nb$1
  # nr_devices=0: none that are not asked for. Asking for the module once is enough; each time is slow.
  if [ ! -d "$NULLB" ]; then modprobe null_blk nr_devices=0 || return 1; fi
  mkdir "$config" || return 1
  echo "$2" >"$config/size"
  echo 1 >"$config/memory_backed"
  if [ -n "${ZONE_MB:-}" ]; then
    echo 1 >"$config/zoned" && echo "$ZONE_MB" >"$config/zone_size" && echo 0 >"$config/zone_nr_conv" || return 1
  else
    echo 1 >"$config/discard"
  fi
  echo "${BLOCK_SIZE:-512}" >"$config/blocksize"
  echo 2 >"$config/queue_mode"
  if [ -n "${LATENCY_NS:-}" ]; then
    echo 2 >"$config/irqmode"
    echo "$LATENCY_NS" >"$config/completion_nsec"
  fi
  if [ -n "${BAD_SECTORS:-}" ]; then echo "$BAD_SECTORS" >"$config/badblocks"; fi
  echo 1 >"$config/power" || return 1
  # Newer kernels name the device after the directory, older ones count.
  if [ -e "/dev/nb$1" ]; then echo "/dev/nb$1"; else echo "/dev/nullb$(cat "$config/index")"; fi
}

# nvmet_subsystem NUMBER DEVICE: not linked yet, so nobody can connect.
nvmet_subsystem() {
  local subsystem=$NVMET/subsystems/$NQN_PREFIX$1
  mkdir "$subsystem" "$subsystem/namespaces/1" || return 1
  echo "${ALLOW_ANY_HOST:-1}" >"$subsystem/attr_allow_any_host"
  printf 'TEST%06d\n' "$1" >"$subsystem/attr_serial"
  echo 'VM test target' >"$subsystem/attr_model"
  printf '%s' "$2" >"$subsystem/namespaces/1/device_path"
  echo 1 >"$subsystem/namespaces/1/enable"
}

# nvmet_port SERVICE [ID]: at ADDR, of the family ADRFAM (ipv4). INLINE_DATA_SIZE, if set, bounds the data that a command capsule may carry.
nvmet_port() {
  local port=$NVMET/ports/${2:-1}
  mkdir "$port" || return 1
  echo rdma >"$port/addr_trtype"
  echo "${ADRFAM:-ipv4}" >"$port/addr_adrfam"
  echo "$ADDR" >"$port/addr_traddr"
  echo "$1" >"$port/addr_trsvcid"
  if [ -n "${INLINE_DATA_SIZE:-}" ]; then echo "$INLINE_DATA_SIZE" >"$port/param_inline_data_size"; fi
}

# kernel_says: what the kernel has to say, the target above all, since kernel_heard.
kernel_heard() { KERNEL_LINES=$(dmesg | wc -l); }
kernel_says() { dmesg | tail -n "+$((KERNEL_LINES + 1))"; }

# nvmet_trid NUMBER: the transport id string of a subsystem, as the programs take it.
nvmet_trid() {
  echo "trtype:RDMA adrfam:IPv4 traddr:$ADDR trsvcid:$(cat $NVMET/ports/1/addr_trsvcid) subnqn:$NQN_PREFIX$1"
}

# nvmet_link NUMBER [PORT]
nvmet_link() { ln -s "$NVMET/subsystems/$NQN_PREFIX$1" "$NVMET/ports/${2:-1}/subsystems/"; }
nvmet_link_all() {
  local subsystem
  for subsystem in "$NVMET"/subsystems/*; do ln -s "$subsystem" "$NVMET/ports/1/subsystems/" || return 1; done
}

# Faults. nvmet_unlink NUMBER [PORT]: the subsystem goes away under its hosts; every queue of that port is disconnected.
nvmet_unlink() { rm "$NVMET/ports/${2:-1}/subsystems/$NQN_PREFIX$1"; }
nvmet_unlink_all() { rm -f "$NVMET"/ports/*/subsystems/*; }
# nvmet_namespace NUMBER 0|1: off or on.
nvmet_namespace() { echo "$2" >"$NVMET/subsystems/$NQN_PREFIX$1/namespaces/1/enable"; }

# nvmet_down: everything that was set up above, gone. Blocks until the target let go of its last connection.
nvmet_down() {
  local directory
  nvmet_unlink_all
  for directory in "$NVMET"/ports/*/; do [ ! -d "$directory" ] || rmdir "$directory"; done
  for directory in "$NVMET"/subsystems/*/; do
    [ -d "$directory" ] || continue
    echo 0 >"$directory/namespaces/1/enable"
    rmdir "$directory/namespaces/1" "$directory"
  done
  for directory in "$NULLB"/nb*/; do
    [ -d "$directory" ] || continue
    echo 0 >"$directory/power"
    rmdir "$directory"
  done
  return 0
}
