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

judge() {
  ended "$1" 0
  released "$1"
  check "$2" as_expected "$1"
}

must "the comparison program is there" test -x "$COMPARE"
must "what it has to print is known" test -s /share/verbs.expected
must "rxe over veth" rxe_up veth
# At once: they mostly wait.
run_program verbs.1 "$COMPARE" "$ADDR"
run_program verbs.2 "$COMPARE" -2 "$ADDR"
wait
judge verbs.1 "one process: $(wc -l </share/verbs.expected) lines as on softverbs, up to listed differences"
judge verbs.2 "two processes: the same"
finish
