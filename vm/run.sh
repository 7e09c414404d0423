#!/bin/bash
# run.sh [-t SECONDS] [-s SHARE] [-c CPUS] [-m MEMORY] [-k KERNEL_ARGS] [-v] -- COMMAND...
#
# Boots the guest under QEMU's software emulation (TCG; KVM is neither needed nor used), runs COMMAND in it with the directory SHARE
# mounted on /share, prints the command's output, and exits with the command's exit code. One argument is shell text; several are
# one command with its arguments, passed on as they are. Default SHARE: a new directory under $VM_WORK, which is removed
# again after exit code 0.
#
# -t is how long the command may take, from its own beginning (default 300): the guest may boot as slowly as the machine lets it, up to
# BOOT_SECONDS, and gets BOOTS attempts. All are for failures alone; what is waited for is the command's end.
#
# Exit code 124: the command did not end in time. 125: the guest died, or did not come up. 2: the bed itself could not start. The last line
# on stderr says which of these it was, since a command may use these numbers itself.
#
# In SHARE afterwards: job.log (output of COMMAND), dmesg.log, console.log, rc, and after a time-out hang.log.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

BOOT_SECONDS=${BOOT_SECONDS:-180} BOOTS=${BOOTS:-3}
seconds=300 share='' own_share='' cpus=2 memory=512M kernel_arguments='' verbose=''
while getopts t:s:c:m:k:v option; do
  case $option in
    t) seconds=$OPTARG ;;
    s) share=$OPTARG ;;
    c) cpus=$OPTARG ;;
    m) memory=$OPTARG ;;
    k) kernel_arguments=$OPTARG ;;
    v) verbose=1 ;;
    *) die "usage: run.sh [-t SECONDS] [-s SHARE] [-c CPUS] [-m MEMORY] [-k KERNEL_ARGS] [-v] -- COMMAND..." ;;
  esac
done
shift $((OPTIND - 1))
[ $# -gt 0 ] || die "no command given"
[[ $seconds =~ ^[1-9][0-9]*$ ]] || die "-t takes whole seconds, not '$seconds'"
if [ ! -s "$VM_KERNEL" ] || [ ! -s "$VM_INITRAMFS" ]; then die "the bed is not built: run $VM_DIR/build.sh"; fi

if [ -z "$share" ]; then share=$(mktemp -d "$VM_WORK/share.XXXXXX") && own_share=$share; fi
mkdir -p "$share/scenarios"
share=$(cd "$share" && pwd)
# QEMU splits its option at commas; there is no point in supporting such paths.
[[ $share != *,* ]] || die "the share's path must not contain a comma: $share"
cp "$VM_DIR"/guest/*.sh "$share/"
cp "$VM_DIR"/scenarios/*.sh "$share/scenarios/"
if [ $# -eq 1 ]; then printf '%s\n' "$1"; else printf '%q ' "$@"; fi >"$share/job.sh"

# no_timer_check: at boot the kernel counts timer interrupts for a moment, and gives up if a busy machine lets too few of them through.
# oops=panic: a kernel bug ends the guest at once instead of leaving the job hanging until the deadline.
# The kernel says what it does, so that a guest that does not come up leaves how far it came.
# The guest's own deadline comes first; what is killed here is a guest that does not answer any more.
#
# start: QEMU's exit status, whether the guest came up, and whether it had to be killed, in qemu_status, booted and silent.
start() {
  rm -f "$share"/{rc,times,timedout,job.log,console.log,dmesg.log,hang.log,qemu.log}
  qemu-system-x86_64 \
    -accel tcg,thread=multi -cpu max -smp "$cpus" -m "$memory" \
    -nodefaults -display none -no-reboot -serial "file:$share/console.log" \
    -kernel "$VM_KERNEL" -initrd "$VM_INITRAMFS" \
    -append "console=ttyS0 panic=-1 oops=panic mitigations=off tsc=reliable no_timer_check random.trust_cpu=on vm.deadline=$seconds $kernel_arguments" \
    -virtfs "local,path=$share,mount_tag=share,security_model=none,multidevs=remap" \
    </dev/null >"$share/qemu.log" 2>&1 &
  qemu=$!
  # Without this an interrupted run.sh would leave QEMU running.
  trap 'kill "$qemu" 2>/dev/null' EXIT
  # The guest makes job.log when it begins with the command. init has set its own deadline by then.
  silent='' booted=''
  local deadline=$((SECONDS + BOOT_SECONDS))
  while kill -0 "$qemu" 2>/dev/null; do
    if [ -z "$booted" ] && [ -e "$share/job.log" ]; then booted=1 deadline=$((SECONDS + seconds + 120)); fi
    if [ "$SECONDS" -ge "$deadline" ]; then
      silent=1
      kill -KILL "$qemu"
      break
    fi
    sleep 0.1
  done
  qemu_status=0
  wait "$qemu" 2>/dev/null || qemu_status=$?
  trap - EXIT
}

tail_of() { if [ -s "$share/$1" ]; then sed "s/^/[vm] $1: /" "$share/$1" | tail -n "$2" >&2; fi; }

# Of some hundred guests one was seen not to come up, and nobody knows why: the same kernel and init came up all the other times. COMMAND
# has not begun by then, so it says nothing of that. It is told, and tried again.
begin=$EPOCHREALTIME
for attempt in $(seq "$BOOTS"); do
  start
  if [ -z "$silent" ] || [ -n "$booted" ] || [ "$attempt" -eq "$BOOTS" ]; then break; fi
  tail_of console.log 5
  say "the guest had not come up after $BOOT_SECONDS s, and was killed; attempt $((attempt + 1)) of $BOOTS follows"
done
took=$(awk -v a="$begin" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.1f s", b - a }')

if [ -e "$share/job.log" ]; then cat "$share/job.log"; fi
if [ -e "$share/timedout" ]; then
  tail_of hang.log 60
  say "TIMED OUT: the command had not ended after $seconds s; logs in $share"
  exit 124
elif [ -n "$silent" ] && [ -n "$booted" ]; then
  tail_of console.log 40
  say "TIMED OUT: the guest did not answer any more $seconds s after the command's beginning, and was killed; logs in $share"
  exit 124
elif [ -n "$silent" ]; then
  tail_of console.log 40
  say "GUEST DIED: it had not come up after $BOOT_SECONDS s, and was killed; logs in $share"
  exit 125
elif [ ! -s "$share/rc" ]; then
  tail_of qemu.log 10
  tail_of console.log 60
  say "GUEST DIED after $took (QEMU's exit status $qemu_status) without the command's exit code; logs in $share"
  exit 125
fi
if [ -n "$verbose" ]; then tail_of dmesg.log 40; fi
# A kernel warning is worth a line even when the command did not notice it.
if grep -qE 'WARNING: CPU|BUG:|blocked for more than' "$share/dmesg.log"; then
  grep -m3 -E 'WARNING: CPU|BUG:|blocked for more than' "$share/dmesg.log" | sed 's/^/[vm] guest kernel: /' >&2
fi
code=$(cat "$share/rc")
say "exit code $code after $took ($(cat "$share/times")); logs in $share"
# Nobody asked for this directory, and there is nothing to look up in it.
if [ "$code" -eq 0 ] && [ -n "$own_share" ]; then rm -rf "$own_share"; fi
exit "$code"
