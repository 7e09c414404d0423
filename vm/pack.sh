#!/bin/bash
# pack.sh SHARE FILE...: copies programs into SHARE/bin, shared libraries (lib*.so*) into SHARE/lib, and the shared libraries that
# they load and that the guest does not have into SHARE/lib. In the guest: LD_LIBRARY_PATH=/share/lib /share/bin/PROGRAM.
#
# A library is looked up as on this machine, LD_LIBRARY_PATH and the directories of the given files included. A library that cannot
# be found is an error here, not a riddle in the guest.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

[ $# -ge 2 ] || die "usage: pack.sh SHARE FILE..."
share=$1
shift
mkdir -p "$share/bin" "$share/lib"
for file; do
  [ -r "$file" ] || die "pack.sh: cannot read $file"
  LD_LIBRARY_PATH=$(cd "$(dirname "$file")" && pwd)${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
done
export LD_LIBRARY_PATH

for file; do
  # A script has no libraries; ldd calls that an error.
  missing=$({ ldd "$file" 2>/dev/null || true; } | awk '/not found/ { print $1 }' | tr '\n' ' ')
  [ -z "$missing" ] || die "pack.sh: $file needs $missing, which is not found on this machine"
  case ${file##*/} in
    lib*.so*) cp -L "$file" "$share/lib/" ;;
    *) cp -L "$file" "$share/bin/" ;;
  esac
  while read -r library; do
    # The guest's own copy wins: its C library has to match its loader.
    if ! cmp -s "$library" "$VM_ROOT$library"; then cp -L "$library" "$share/lib/"; fi
  done < <(libraries_of "$file")
done
