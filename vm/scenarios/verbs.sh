#!/bin/bash
# Runs in the guest. What softverbs does, the kernel's device does: the comparison program of crates/softverbs/tests/c/compare, both
# sides in one process and each in its own, has to print what it prints on softverbs, up to the listed differences.
#
# Wants /share/bin/verbs-compare and /share/verbs.expected, see test.sh. What was printed stays in the share, as verbs.1 and verbs.2.
#
# shellcheck disable=SC2317 # functions are called by `check`
# shellcheck source-path=SCRIPTDIR/../guest source=rxe.sh
. /share/rxe.sh
# shellcheck source=checks.sh
. /share/checks.sh

COMPARE=/share/bin/verbs-compare

as_expected() {
  cp "/tmp/$1.log" "/share/$1"
  # What has a + is new here, what has a - is missing.
  diff -U 1 /share/verbs.expected "/tmp/$1.log"
}

# judge NAME TEXT ARGUMENT...: on a busy machine rxe loses a request now and then, and it never completes. What differs only once is not
# what we look for, but it is shown.
judge() {
  local name=$1 text=$2
  shift 2
  ended "$name" 0
  released "$name"
  if ! as_expected "$name" >/tmp/difference; then
    echo "  once more, since it printed something else:"
    sed 's/^/    | /' /tmp/difference
    run_program "$name" 100 "$COMPARE" "$@"
    wait $!
    ended "$name" 0
  fi
  check "$text" as_expected "$name"
}

must "the comparison program is there" test -x "$COMPARE"
must "what it has to print is known" test -s /share/verbs.expected
must "rxe over veth" rxe_up veth
# At once: they mostly wait.
run_program verbs.1 100 "$COMPARE" "$ADDR"
run_program verbs.2 100 "$COMPARE" -2 "$ADDR"
wait
judge verbs.1 "one process: $(wc -l </share/verbs.expected) lines as on softverbs, up to listed differences" "$ADDR"
judge verbs.2 "two processes: the same" -2 "$ADDR"
finish
