#!/bin/bash
# build.sh [--list-packages]: makes the guest's kernel and initramfs in $VM_WORK (default: target/vm) from Debian packages.
#
# The kernel is Debian's stock one (package taken from apt's configured mirrors and checked by apt); the guest's programs and
# libraries are copied from this machine, so that what is built here runs there. Three stages, each skipped while its inputs are
# unchanged: download, modules and vmlinux out of the package, initramfs. With nothing to do it takes a fraction of a second.
#
# VM_KERNEL_PACKAGE picks another kernel package; default: what linux-image-amd64 stands for when it is first downloaded.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

# What modprobe loads in the guest; dependencies follow by themselves.
MODULES="rdma_rxe ib_uverbs rdma_ucm rdma_cm ib_umad nvmet nvmet-rdma nvme-rdma nvme-core null_blk brd
  9p 9pnet_virtio virtio_pci virtio_console virtio-rng dummy veth sch_netem
  crc32c_generic crc32_generic crc32_pclmul"
# Debian package : commands that must be there. Those after a + go into the guest.
NEEDED=(
  "qemu-system-x86: qemu-system-x86_64"
  "busybox-static: busybox"
  "cpio: cpio"
  "xz-utils: xz"
  "kmod: modprobe depmod +kmod"
  "bash: +bash"
  "coreutils: +timeout +dd"
  "bsdutils: +script"
  "gcc: gcc"
  "iproute2: +rdma +ip +tc"
  "nvme-cli: +nvme"
  "rdmacm-utils: +rping +ucmatose +rdma_server +rdma_client +rdma_xserver +rdma_xclient +cmtime"
  "ibverbs-utils: +ibv_devices +ibv_devinfo +ibv_asyncwatch +ibv_rc_pingpong +ibv_srq_pingpong"
  "perftest: +ib_send_lat +ib_send_bw +ib_write_lat +ib_write_bw +ib_read_lat +ib_read_bw"
)
LIBDIR=/usr/lib/x86_64-linux-gnu
RXE_PROVIDER= # rdma-core's library for rxe, of ibverbs-providers; its name ends in the number of the provider ABI
# Libraries that programs built outside commonly load and that none of the guest's own programs may bring along.
EXTRA_LIBRARIES="libgcc_s.so.1 libstdc++.so.6 libm.so.6 librt.so.1 libpthread.so.0 libdl.so.2 libibverbs.so.1 librdmacm.so.1 libnuma.so.1"

if [ "${1:-}" = --list-packages ]; then
  printf '%s\n' "${NEEDED[@]%%:*}" ibverbs-providers | grep -vxE 'bash|coreutils|bsdutils'
  exit 0
fi
[ $# -eq 0 ] || die "usage: build.sh [--list-packages]"
[ "$(uname -m)" = x86_64 ] || die "the guest runs this machine's programs and is x86-64; this machine is $(uname -m)"

# first_file PATTERN: the first file that matches, or nothing.
first_file() { compgen -G "$1" | sed -n 1p || true; }

TOOLS=()
find_tools() {
  local entry package command missing=()
  for entry in "${NEEDED[@]}"; do
    package=${entry%%:*}
    for command in ${entry#*:}; do
      if ! command -v "${command#+}" >/dev/null; then
        missing+=("$package")
      elif [[ $command = +* ]]; then
        TOOLS+=("$(readlink -f "$(command -v "${command#+}")"):${command#+}")
      fi
    done
  done
  RXE_PROVIDER=$(first_file "$LIBDIR/libibverbs/librxe-rdmav*.so")
  [ -n "$RXE_PROVIDER" ] || missing+=(ibverbs-providers)
  if [ ${#missing[@]} -gt 0 ]; then
    die "missing Debian packages; run: apt-get install $(printf '%s\n' "${missing[@]}" | sort -u | tr '\n' ' ')"
  fi
  if ldd "$(command -v busybox)" >/dev/null 2>&1; then die "busybox is not static; run: apt-get install busybox-static"; fi
}

# ---- stage 1: the kernel's package

# Nothing, if apt has no lists yet.
kernel_package() {
  { apt-cache depends "${VM_KERNEL_PACKAGE:-linux-image-amd64}" 2>/dev/null || true; } |
    awk '/Depends: linux-image-/ && !found { print $2; found = 1 }'
}

# The package is pinned in the cache: a new kernel on the mirror alone does not rebuild the bed.
fetch_kernel() {
  local wanted=${VM_KERNEL_PACKAGE:-linux-image-amd64} package
  if [ "$(cat kernel.wanted 2>/dev/null)" = "$wanted" ] && [ -n "$(first_file 'linux-image-*.deb')" ]; then return; fi
  rm -f linux-image-*.deb kernel.wanted
  package=$(kernel_package)
  if ! apt-cache show "${package:-$wanted}" >/dev/null 2>&1; then
    refresh_package_lists
    package=$(kernel_package)
  fi
  package=${package:-$wanted} # a package without such a dependency is the image itself
  say "downloading $package"
  download "$package" || { refresh_package_lists && download "$package"; } ||
    die "cannot download the Debian package $package (apt-get download $package, in $VM_WORK)"
  echo "$wanted" >kernel.wanted
}

download() {
  # apt's download user cannot write into the cache directory; as root, apt would warn about that each time.
  apt-get download -qq -o APT::Sandbox::User="$(id -un)" "$1" && [ -n "$(first_file "$1_*.deb")" ]
}

# A fresh container has no package lists at all, and old lists name packages that the mirror no longer has.
refresh_package_lists() {
  say "refreshing apt's package lists"
  if [ "$(id -u)" = 0 ]; then
    apt-get update -qq || true
  elif sudo -n true 2>/dev/null; then
    sudo -n apt-get update -qq || true
  else
    die "apt does not know the kernel's package; run: apt-get update (as root)"
  fi
}

# ---- stage 2: vmlinux and the pruned module tree, out of the package

unpack_kernel() {
  local deb key version module
  deb=$(first_file 'linux-image-*.deb')
  key="$deb $(stat -c '%s %Y' "$deb") $(sha256sum "$VM_DIR/build.sh")"
  if [ "$(cat kernel.key 2>/dev/null)" = "$key" ]; then return; fi
  rm -rf kernel.key kernel modules vmlinux
  say "unpacking ${deb%%_*}"
  mkdir kernel
  dpkg -x "$deb" kernel
  version=$(cd kernel/lib/modules && echo *)
  depmod -b kernel "$version"
  for module in $MODULES; do
    modprobe -d "$PWD/kernel" -S "$version" --show-depends "$module" >modprobe.out || die "$deb has no module $module"
    awk '$1 == "insmod" { print $2 }' modprobe.out
  done | sort -u >modules.list
  rm -f modprobe.out
  mkdir -p "modules/lib/modules/$version"
  sed "s|^$PWD/kernel/||" modules.list | (cd kernel && xargs cp --parents -t ../modules)
  cp kernel/lib/modules/"$version"/modules.{order,builtin,builtin.modinfo} "modules/lib/modules/$version/"
  depmod -b modules "$version"
  unpack_vmlinux "kernel/boot/vmlinuz-$version"
  rm -rf kernel # 400 MB
  echo "$key" >kernel.key
}

# Debian packs the kernel with XZ, whose unpacking takes 4 s of guest time under TCG. QEMU boots the ELF inside directly.
unpack_vmlinux() {
  local offset
  while IFS=: read -r offset _; do
    # A match of six bytes may be a coincidence; the trailer behind the stream makes xz's own exit status useless here.
    tail -c "+$((offset + 1))" "$1" | xz -dc --single-stream >vmlinux 2>/dev/null || true
    if [ "$(head -c 4 vmlinux | tail -c 3)" = ELF ]; then return; fi
  done < <(LC_ALL=C grep -obUaP '\xfd7zXZ\x00' "$1")
  say "no XZ-packed kernel in $1: booting it packed, some seconds slower"
  cp "$1" vmlinux
}

# ---- stage 3: the initramfs

# Everything of this machine that went into the initramfs, with size and time, so that an upgraded package rebuilds it.
manifest() { xargs -r stat -L -c '%n %s %Y' <"$1" 2>/dev/null || true; }

scripts_key() { cat "$VM_DIR/build.sh" "$VM_DIR/lib.sh" "$VM_DIR"/guest/{init,witness.c} kernel.key | sha256sum; }

initramfs_is_current() {
  [ -s "$VM_INITRAMFS" ] && [ -d "$VM_ROOT" ] && [ "$(cat initramfs.key 2>/dev/null)" = "$(scripts_key)" ] &&
    cmp -s initramfs.manifest <(manifest initramfs.files)
}

build_initramfs() {
  local tool path applet
  rm -rf "$VM_ROOT" initramfs.key
  mkdir -p "$VM_ROOT"/{bin,sbin,etc/nvme,etc/libibverbs.d,proc,sys,dev,run,tmp,mnt,share,usr/bin,usr/sbin,lib,lib64,root,var/run}
  : >initramfs.files

  install_file "$(readlink -f "$(command -v busybox)")" /bin/busybox
  for applet in $(busybox --list); do
    [ "$applet" = busybox ] || ln -sf busybox "$VM_ROOT/bin/$applet"
  done
  for tool in "${TOOLS[@]}"; do
    path=${tool%%:*}
    install_file "$path" "/bin/${tool##*:}"
    install_libraries "$path"
  done
  for applet in modprobe insmod rmmod lsmod depmod modinfo; do ln -sf kmod "$VM_ROOT/bin/$applet"; done
  ln -sf /bin/modprobe "$VM_ROOT/sbin/modprobe" # where the kernel itself looks for it

  install_file "$RXE_PROVIDER" "$RXE_PROVIDER"
  install_libraries "$RXE_PROVIDER"
  install_file /etc/libibverbs.d/rxe.driver /etc/libibverbs.d/rxe.driver
  for tool in $EXTRA_LIBRARIES; do
    path=$(ldconfig -p | awk -v name="$tool" '$1 == name && /x86-64/ && !found { print $NF; found = 1 }')
    [ -n "$path" ] || continue
    install_file "$path" "$path"
    install_libraries "$path"
  done
  # Tells what RDMA objects a program still had when it ended; the scenarios run programs under it.
  gcc -O1 -Wall -Wextra -Werror -o "$VM_ROOT/bin/witness" "$VM_DIR/guest/witness.c" || die "cannot compile vm/guest/witness.c"

  cp -r modules/lib/. "$VM_ROOT/lib/"
  echo 'root:x:0:0:root:/root:/bin/sh' >"$VM_ROOT/etc/passwd"
  echo 'root:x:0:' >"$VM_ROOT/etc/group"
  echo '127.0.0.1 localhost' >"$VM_ROOT/etc/hosts"
  echo nqn.2014-08.org.nvmexpress:uuid:11111111-2222-3333-4444-555555555555 >"$VM_ROOT/etc/nvme/hostnqn"
  echo 11111111-2222-3333-4444-555555555555 >"$VM_ROOT/etc/nvme/hostid"
  install -m 755 "$VM_DIR/guest/init" "$VM_ROOT/init"

  # Not compressed: the guest would have to unpack it under TCG. Owner root, whoever builds.
  (cd "$VM_ROOT" && find . | cpio -o -H newc -R 0:0 --quiet) >"$VM_INITRAMFS.new"
  mv "$VM_INITRAMFS.new" "$VM_INITRAMFS"
  manifest initramfs.files >initramfs.manifest
  scripts_key >initramfs.key
}

# install_file FROM TO: a copy of a file of this machine, noted for the manifest. An applet's symlink gives way.
install_file() {
  mkdir -p "$VM_ROOT$(dirname "$2")"
  rm -f "$VM_ROOT$2"
  cp -L "$1" "$VM_ROOT$2"
  echo "$1" >>initramfs.files
}

install_libraries() {
  local library
  while read -r library; do
    [ -e "$VM_ROOT$library" ] || install_file "$library" "$library"
  done < <(libraries_of "$1")
}

find_tools
mkdir -p "$VM_WORK"
cd "$VM_WORK"
# Two builds at once (make -j, two terminals) would delete each other's files.
exec 9>lock
flock 9
fetch_kernel
unpack_kernel
if initramfs_is_current; then exit 0; fi
build_initramfs
say "built $VM_INITRAMFS ($(du -h "$VM_INITRAMFS" | cut -f1)), kernel $(cd modules/lib/modules && echo *)"
