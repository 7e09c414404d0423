#!/bin/bash
# Each program of cargo fuzz for SECONDS_EACH (60), over the committed corpus; KINDS chooses some. What is found stays in
# TARGET_DIR/fuzz/findings, and what is new in TARGET_DIR/fuzz/corpus. Skipped where there is no nightly toolchain or no cargo fuzz.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=${SECONDS_EACH:-60}
folder=${TARGET_DIR:-target}/fuzz
export PATH=$PATH:$folder/tools/bin

skip() {
	echo "make fuzz: skipped: $1"
	exit 0
}
command -v rustup >/dev/null && rustup run nightly rustc --version >/dev/null 2>&1 || skip 'there is no nightly toolchain'
rustup run nightly cargo fuzz --version >/dev/null 2>&1 ||
	skip "there is no cargo fuzz: cargo install --locked --root $folder/tools cargo-fuzz"

# What the workspace's release profile asks for takes long and tells the fuzzer less.
export CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16
# A finding is a panic; it ends the process, so that nobody catches it. Objects of the library that live for ever are no leaks.
export ASAN_OPTIONS=detect_leaks=0:detect_odr_violation=0
options=(--features libfuzzer --target-dir "$folder/build")
rustup run nightly cargo fuzz build "${options[@]}"
failed=()
for kind in ${KINDS:-$(cd fuzz/fuzz_targets && ls *.rs | sed 's/\.rs$//')}; do
	mkdir -p "$folder/corpus/$kind" "$folder/findings/$kind"
	echo "=== $kind: $seconds s"
	rustup run nightly cargo fuzz run "${options[@]}" "$kind" "$folder/corpus/$kind" "fuzz/corpus/$kind" -- \
		-max_total_time="$seconds" -max_len=4096 -timeout=120 -report_slow_units=100 -rss_limit_mb=4096 -print_final_stats=1 \
		-artifact_prefix="$folder/findings/$kind/" >"$folder/$kind.log" 2>&1 || failed+=("$kind")
	grep -E '^(stat::number_of_executed_units|stat::new_units_added)|SUMMARY|panicked' "$folder/$kind.log" || true
done
if [ ${#failed[@]} -gt 0 ]; then
	echo "make fuzz: findings in ${failed[*]}; see $folder/findings and $folder/KIND.log"
	echo "again, on any toolchain: FUZZ_KIND=KIND FUZZ_FILE=FILE cargo test -p nvme-rdma-fuzz --test stable"
	exit 1
fi
