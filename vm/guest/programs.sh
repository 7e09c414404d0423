#!/bin/bash
# programs.sh SECONDS: runs the programs of /share/programs.list; see vm/programs.sh. One line for each: NAME, how it begins (& or .), the
# command line, with tabs between. While a program runs there is a file NAME.running: if the guest does not come to its end, it tells.
#
# shellcheck source=rxe.sh
. /share/rxe.sh
# shellcheck source=nvmet.sh
. /share/nvmet.sh
# shellcheck source=checks.sh
. /share/checks.sh
seconds=$1
export LD_LIBRARY_PATH=/share/lib PATH=/share/bin:$PATH

# Where each thread of a process group sits in the kernel.
where_they_sit() {
  local stat line state group task
  for stat in /proc/[0-9]*/stat; do
    read -r line 2>/dev/null <"$stat" || continue
    # The name in brackets may hold spaces: what counts comes behind it.
    read -r state _ group _ <<<"${line##*) }"
    [ "$group" = "$1" ] || continue
    echo "---- $(tr '\0' ' ' <"${stat%stat}cmdline"), state $state"
    for task in "${stat%stat}"task/*; do
      echo "thread ${task##*/} $(cat "$task/comm")"
      cat "$task/stack"
    done
  done
}

# run NAME COMMAND: to its end, or to the end of its time.
run() {
  local name=$1 program watchdog code=0 begin=${EPOCHREALTIME//[!0-9]/}
  : >"/share/$name.running"
  # A session of its own, so that all of it can be killed; its number is that of the process.
  setsid bash -c "$2" >"/share/$name.log" 2>&1 </dev/null &
  program=$!
  {
    sleep "$seconds"
    where_they_sit "$program" >"/share/$name.hang" 2>&1
    kill -KILL -- "-$program"
  } 2>/dev/null &
  watchdog=$!
  wait "$program" 2>/dev/null || code=$?
  if [ -e "/share/$name.hang" ]; then code=124; fi
  kill "$watchdog" 2>/dev/null
  wait "$watchdog" 2>/dev/null
  # It ended in the last moment.
  [ "$code" -eq 124 ] || rm -f "/share/$name.hang"
  echo "$code" >"/share/$name.exit"
  rm -f "/share/$name.running"
  printf '%s: exit %s after %s ms%s\n' "$name" "$code" $(((${EPOCHREALTIME//[!0-9]/} - begin) / 1000)) \
    "$([ "$code" -ne 124 ] || [ ! -e "/share/$name.hang" ] || echo ", killed: it had not ended in $seconds s, see $name.hang")"
}

# How many listen for connections now: RDMA CM ids of programs, and TCP sockets. 0A is TCP_LISTEN.
listeners() { { rdma resource show cm_id | grep ' state LISTEN .* pid '; grep -hE '^ *[0-9]+: [0-9A-F:]+ [0-9A-F:]+ 0A ' /proc/net/tcp /proc/net/tcp6; } | wc -l; }
# ready NAME BEFORE: a program that runs beside others has come so far that they may begin.
ready() { [ -s "/share/$1.log" ] || [ -e "/share/$1.exit" ] || [ "$(listeners)" -gt "$2" ]; }

# Not in a subshell: it sets ADDR and the like, which the programs get.
set -a
eval "$(cat /share/programs.setup)" || { echo "the setup failed: $(cat /share/programs.setup)" && exit 2; }
set +a
beside=()
while IFS=$'\t' read -r name how line <&3; do
  if [ "$how" = '&' ]; then
    before=$(listeners)
    rm -f "/share/$name".{log,exit}
    run "$name" "$line" &
    beside+=($!)
    # Nobody knows what a silent one waits for: that is no failure.
    PATIENCE=20 wait_for ready "$name" "$before" >/dev/null || true
  else
    run "$name" "$line"
  fi
done 3</share/programs.list
[ ${#beside[@]} -eq 0 ] || wait "${beside[@]}"

while IFS=$'\t' read -r name _; do
  [ "$(cat "/share/$name.exit")" = 0 ] || exit 1
done </share/programs.list
