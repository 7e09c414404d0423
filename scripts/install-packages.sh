#!/bin/bash
# install-packages.sh SECTION...: installs the Debian packages of these sections of packages.txt that are missing.
#
# As root, or through sudo. With NO_INSTALL=1 nothing is installed: it prints the line that would do it and ends with
# 1. On a system without dpkg it can only hope, and says so.
set -euo pipefail
cd "$(dirname "$0")"

if [ $# -eq 0 ]; then
	echo "usage: install-packages.sh SECTION... (one of: $(sed -n 's/^\[\(.*\)\]$/\1/p' packages.txt | xargs))" >&2
	exit 1
fi

wanted=()
for section in "$@"; do
	names=$(awk -v section="[$section]" '
		/^\[/ { inside = $0 == section; next }
		inside && /^[a-z0-9]/ { print $1 }' packages.txt)
	if [ -z "$names" ]; then
		echo "install-packages.sh: packages.txt has no section [$section]" >&2
		exit 1
	fi
	mapfile -t -O ${#wanted[@]} wanted <<<"$names"
done

if ! command -v dpkg-query >/dev/null; then
	echo "No dpkg here. Make sure that you have what these Debian packages hold: ${wanted[*]}" >&2
	exit 0
fi

mapfile -t missing < <(
	comm -23 <(printf '%s\n' "${wanted[@]}" | sort -u) \
		<(dpkg-query -W -f '${db:Status-Status} ${Package}\n' "${wanted[@]}" 2>/dev/null |
			awk '$1 == "installed" { print $2 }' | sort -u)
)
[ ${#missing[@]} -gt 0 ] || exit 0

install=(apt-get install -y --no-install-recommends "${missing[@]}")
if [ "${NO_INSTALL:-0}" != 0 ]; then
	echo "Some packages are missing. This installs them:" >&2
	echo "  sudo ${install[*]}" >&2
	exit 1
fi

as_root=()
if [ "$(id -u)" != 0 ]; then
	if ! command -v sudo >/dev/null; then
		echo "Some packages are missing, and this is neither root nor is there sudo. As root:" >&2
		echo "  ${install[*]}" >&2
		exit 1
	fi
	as_root=(sudo)
fi
as_root+=(env DEBIAN_FRONTEND=noninteractive)

echo "Installing ${missing[*]}"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# A machine that has never heard of a package, or has an outdated list of them, needs the list first.
if ! "${as_root[@]}" "${install[@]}" >"$log" 2>&1; then
	if ! { "${as_root[@]}" apt-get update && "${as_root[@]}" "${install[@]}"; } >"$log" 2>&1; then
		cat "$log" >&2
		echo "install-packages.sh: this did not work: ${install[*]}" >&2
		exit 1
	fi
fi
