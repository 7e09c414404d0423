#!/bin/bash
# Mutation testing of the I/O path: each mutant is one small change of the code (a function that returns at once, a `<` that became
# `<=`) which some test has to notice. What is changed and which tests run stands in .cargo/mutants.toml; arguments are those of
# cargo mutants, to run some of them:
#
#	scripts/mutants.sh --re src/transport/slots.rs
#	CAUGHT=90 scripts/mutants.sh -e "src/transport/**" -e "src/memory/**" -e "crates/**" --shard 1/40 --sharding round-robin
#	scripts/mutants.sh --list
#
# JOBS mutants at a time (1), each with a copy of the tree in TMPDIR (--in-place has none, and must not be killed by force).
# MUTANT_TIMEOUT seconds for the tests of one (120): a mutant that waits for ever is caught by that. BASELINE=skip leaves out that the
# tests are seen to pass first, without any change: tests that fail would catch everything.
#
# Two rounds: what the quick tests do not notice (.cargo/mutants.toml) is tried with the slow ones (.cargo/mutants-slow.toml).
#
# What was missed stays in missed.txt of TARGET_DIR/mutants.out and TARGET_DIR/mutants-slow/mutants.out, each mutant's change and output
# beside it. Fails if less than CAUGHT percent (95) of those that compile were caught.
set -euo pipefail
cd "$(dirname "$0")/.."

folder=${TARGET_DIR:-target}
caught_at_least=${CAUGHT:-95}
export PATH=$PATH:$folder/tools/bin
if ! cargo mutants --version >/dev/null 2>&1; then
	echo 'make mutants: there is no cargo mutants. Install it with: cargo install --locked cargo-mutants' >&2
	exit 1
fi

arguments=(--workspace --no-shuffle --build-timeout=900)
case " $* " in
*' --in-place '*) ;; # one at a time, of itself
*) arguments+=(--jobs="${JOBS:-1}") ;;
esac
case " $* " in
*' --list '*) exec cargo mutants --workspace "$@" ;;
esac
# round FOLDER ARGUMENTS...: tries mutants; what became of them is in FOLDER/mutants.out.
round() {
	local status=0
	mkdir -p "$1"
	cargo mutants "${arguments[@]}" --output="$1" "${@:2}" || status=$?
	# 2: some were missed. 3: some took too long, which is being caught. Anything else is a failure of another kind.
	case $status in 0 | 2 | 3) ;; *) exit "$status" ;; esac
}

lines() { cat "$@" 2>/dev/null | wc -l; }
results=$folder/mutants.out
round "$folder" --baseline="${BASELINE:-run}" --timeout="${MUTANT_TIMEOUT:-120}" "$@"
missed=$(lines "$results/missed.txt")
viable=$((missed + $(lines "$results/caught.txt" "$results/timeout.txt")))
if [ "$missed" -gt 0 ]; then
	echo "make mutants: the quick tests missed $missed of $viable; the slow ones are next"
	names=()
	while IFS= read -r name; do
		names+=(--file "${name%%:*}" --re "^$(sed 's/[][\\.*^$+?(){}|]/\\&/g' <<<"$name")\$")
	done <"$results/missed.txt"
	round "$folder/mutants-slow" --config=.cargo/mutants-slow.toml --baseline=skip --timeout=900 "${names[@]}"
	# cargo mutants also tries what no --re can leave out (fields that are deleted): what both rounds missed counts.
	missed=$(grep -cFxf "$results/missed.txt" "$folder/mutants-slow/mutants.out/missed.txt" || true)
	results=$folder/mutants-slow/mutants.out
fi
caught=$((viable - missed))
[ "$viable" -gt 0 ] || { echo 'make mutants: no mutant compiled'; exit 0; }
echo "make mutants: $caught of $viable caught, $((caught * 100 / viable)) %; missed: $results/missed.txt"
[ $((caught * 100)) -ge $((caught_at_least * viable)) ]
