# shellcheck shell=bash disable=SC2034 # used by those who source this
# Sourced by build.sh, run.sh, pack.sh and test.sh: where things are, and how errors look.
#
# Everything that the bed makes lives in one cache directory, VM_WORK; nothing is written into the repository.

# ip, tc, modprobe and depmod live in sbin, which a user who is not root does not have on the path.
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

VM_DIR=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
VM_WORK=${VM_WORK:-${CARGO_TARGET_DIR:-$(dirname "$VM_DIR")/target}/vm}
# The three products of build.sh that the other scripts use.
VM_KERNEL=$VM_WORK/vmlinux
VM_INITRAMFS=$VM_WORK/base.cpio
VM_ROOT=$VM_WORK/root

# say TEXT...: one line about what the bed itself does, on stderr so that a command's own output stays clean.
say() { printf '[vm] %s\n' "$*" >&2; }

# die TEXT...: an error of the bed itself. Exit code 2, which no guest command's timeout or death is mapped to.
die() {
  printf '[vm] error: %s\n' "$*" >&2
  exit 2
}

# A script that ends because of a command that nobody expected to fail would end in silence.
set -E
trap 'say "$0 failed at line $LINENO: $BASH_COMMAND"' ERR

# libraries_of FILE...: the shared libraries that the files load at start, one absolute path per line, without repeats.
libraries_of() {
  local file
  for file; do ldd "$file" 2>/dev/null | grep -oE '/[^ ]+' || true; done | sort -u
}
