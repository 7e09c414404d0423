#!/bin/bash
# scenarios.sh NAME...: runs /share/scenarios/NAME.sh one after the other in this boot and prints a line for each,
# `PASS name (seconds)` or `FAIL name (seconds)`, by which vm/test.sh judges. One that is missing there did not come to its end.
cd /share || exit 1
failed=0
for name; do
  echo "==== $name"
  begin=$SECONDS
  verdict=PASS
  bash "scenarios/$name.sh" || verdict=FAIL
  [ "$verdict" = PASS ] || failed=1
  echo "$verdict $name ($((SECONDS - begin)) s)"
done
exit "$failed"
