#!/bin/bash
# Mutation testing of the I/O path: each mutant is one small change of the code (a function that returns at once, a `<` that became
# `<=`) which some test has to notice. What is changed and which tests run stands in .cargo/mutants.toml; arguments are those of
# cargo mutants, to run some of them:
#
#	scripts/mutants.sh --re src/transport/slots.rs
#	scripts/mutants.sh --shard 1/20 --sharding round-robin
#	scripts/mutants.sh --list
#
# JOBS mutants at a time (1), each with a copy of the tree in TMPDIR (--in-place has none, and must not be killed by force).
# MUTANT_TIMEOUT seconds for the tests of one (120): a mutant that waits for ever is caught by that. BASELINE=skip leaves out that the
# tests are seen to pass first, without any change: tests that fail would catch everything.
#
# What was missed stays in TARGET_DIR/mutants.out/missed.txt, each mutant's change and output beside it. Fails if less than CAUGHT
# percent (95) of those that compile were caught.
set -euo pipefail
cd "$(dirname "$0")/.."

folder=${TARGET_DIR:-target}
caught_at_least=${CAUGHT:-95}
export PATH=$PATH:$folder/tools/bin
if ! cargo mutants --version >/dev/null 2>&1; then
	echo 'make mutants: there is no cargo mutants. Install it with: cargo install --locked cargo-mutants' >&2
	exit 1
fi

mkdir -p "$folder"
arguments=(--workspace --baseline="${BASELINE:-run}" --timeout="${MUTANT_TIMEOUT:-120}" --build-timeout=900 --output="$folder")
case " $* " in
*' --in-place '*) ;; # one at a time, of itself
*) arguments+=(--jobs="${JOBS:-1}") ;;
esac
case " $* " in
*' --list '*) exec cargo mutants --workspace "$@" ;;
esac
status=0
cargo mutants --no-shuffle "${arguments[@]}" "$@" || status=$?
# 2: some were missed. 3: some took too long, which is being caught. Anything else is a failure of another kind.
case $status in 0 | 2 | 3) ;; *) exit "$status" ;; esac

lines() { cat "$@" 2>/dev/null | wc -l; }
results=$folder/mutants.out
missed=$(lines "$results/missed.txt")
caught=$(lines "$results/caught.txt" "$results/timeout.txt")
viable=$((missed + caught))
[ "$viable" -gt 0 ] || { echo 'make mutants: no mutant compiled'; exit 0; }
echo "make mutants: $caught of $viable caught, $((caught * 100 / viable)) %; missed: $results/missed.txt"
[ $((caught * 100)) -ge $((caught_at_least * viable)) ]
