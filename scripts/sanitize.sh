#!/bin/bash
# The tests of crates/verbs, which has the hot unsafe code, under AddressSanitizer and ThreadSanitizer. Skipped where there is no
# nightly toolchain, since rustc has sanitizers only there. SANITIZERS=address chooses one.
set -euo pipefail
cd "$(dirname "$0")/.."

target=$(uname -m)-unknown-linux-gnu
folder=${TARGET_DIR:-target}/sanitize

skip() {
	echo "make sanitize: skipped: $1"
	exit 0
}
command -v rustup >/dev/null && rustup run nightly rustc --version >/dev/null 2>&1 || skip 'there is no nightly toolchain'
libraries=$(rustup run nightly rustc --print sysroot)/lib/rustlib/$target/lib

# Of what is kept for good nothing is a leak, and tests keep things on purpose; softverbs' ledger counts what is alive.
export ASAN_OPTIONS=detect_leaks=0:detect_odr_violation=0
export TSAN_OPTIONS=halt_on_error=1:suppressions=$PWD/scripts/sanitize.txt
# The standard library comes as it is, without instrumentation; of the thread sanitizer rustc wants to be told that this is meant.
declare -A flags=([address]='-Zsanitizer=address' [thread]='-Zsanitizer=thread -Cunsafe-allow-abi-mismatch=sanitizer')

for sanitizer in ${SANITIZERS:-address thread}; do
	short=${sanitizer/address/asan}
	short=${short/thread/tsan}
	ls "$libraries"/librustc*_rt."$short".a >/dev/null 2>&1 || skip "the nightly toolchain has no runtime of the $sanitizer sanitizer"
	run() {
		echo "=== $sanitizer sanitizer: $*"
		CARGO_TARGET_DIR=$folder/$sanitizer RUSTFLAGS=${flags[$sanitizer]} \
			rustup run nightly cargo test --locked --target "$target" "$@"
	}
	run -p nvme-rdma-verbs --lib
done
