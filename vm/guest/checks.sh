# shellcheck shell=bash
# Sourced in the guest by the scenarios: running a program, waiting for what it does, and judging how it ended.
#
# A scenario is a bash script that exits 0 if all its checks held. Each check prints one line, `ok:` or `not ok:`.
#
# Nothing here waits by time: each wait is for a condition, and has one deadline, PATIENCE, that only a failure reaches. The guest is
# emulated, and the machine under it may be busy with other things, so it is long.

PATIENCE=${PATIENCE:-180}

failures=0
ok() { echo "  ok: $*"; }
not_ok() {
  echo "  not ok: $*"
  failures=$((failures + 1))
}
# check TEXT COMMAND...: COMMAND must succeed; its output is shown if it does not.
check() {
  local text=$1 begin=$SECONDS
  shift
  # Not in a subshell: what COMMAND sets is wanted.
  if "$@" >/tmp/check.log 2>&1; then ok "$text ($((SECONDS - begin)) s)"; else
    not_ok "$text (exit status $?: $*)"
    sed 's/^/    | /' /tmp/check.log
    return 1
  fi
}
# must TEXT COMMAND...: as check, but nothing after it makes sense if it fails.
must() { check "$@" || finish; }
# finish: the scenario's end and exit status.
finish() { exit $((failures > 0)); }

# wait_for COMMAND...: until COMMAND succeeds. What it printed last is printed.
wait_for() {
  local deadline=$((SECONDS + PATIENCE)) said
  until said=$("$@" 2>&1); do
    if [ "$SECONDS" -ge "$deadline" ]; then
      printf '%s\nnot within %s s: %s\n' "$said" "$PATIENCE" "$*"
      return 1
    fi
    sleep 0.1
  done
  [ -z "$said" ] || printf '%s\n' "$said"
}

# in_time COMMAND...: a program that has to end by itself; 124 if it does not.
in_time() { timeout "$PATIENCE" "$@"; }

# run_program NAME PROGRAM [ARGUMENT...]: runs it in the background under witness, and returns when witness watches it. That leaves
#   /tmp/NAME.log      what it printed
#   /tmp/NAME.watched  its pid
#   /tmp/NAME.status   one line: `exit N`, `signal N`, or `timeout` after RUN_SECONDS
#   /tmp/NAME.left     rdma's list of objects that the program still had at its exit, before the kernel took them away
# The program's libraries come from /share/lib. End it with `kill $!`, wait with `wait $!`.
RUN_SECONDS=${RUN_SECONDS:-400}
run_program() {
  local name=$1
  shift
  rm -f "/tmp/$name".{log,watched,status,left}
  LD_LIBRARY_PATH=/share/lib witness "$RUN_SECONDS" "/tmp/$name" "$@" >"/tmp/$name.log" 2>&1 &
  wait_for watched_or_over "$name" || not_ok "witness does not say that it watches $name"
}
watched_or_over() { [ -e "/tmp/$1.watched" ] || [ -e "/tmp/$1.status" ]; }
over() { [ -e "/tmp/$1.status" ]; }

# show_log NAME [LINES]: what it printed, or the last lines of it.
show_log() { tail -n "${2:-30}" "/tmp/$1.log" | sed 's/^/    | /'; }

# prints NAME PATTERN: waits until the program has printed a line that matches; false if it ends without.
prints() {
  wait_for has_printed_or_is_over "$1" "$2" && grep -q "$2" "/tmp/$1.log"
}
has_printed_or_is_over() { over "$1" || grep -q "$2" "/tmp/$1.log"; }

# with_a_hand NAME PROGRAM [ARGUMENT...]: runs it to its end, and does what it asks for meanwhile (c-tests/lib/peer.h): each line that it writes
# is given to `hand`, a function of the scenario, and answered when that returns.
with_a_hand() {
  local name=$1 asks answers question='' part said
  rm -f /tmp/asks /tmp/answers
  mkfifo /tmp/asks /tmp/answers || return 1
  # Opened for both, so that no side waits for the other to open it.
  exec {asks}<>/tmp/asks {answers}<>/tmp/answers
  PEER_ASKS=/tmp/asks PEER_ANSWERS=/tmp/answers run_program "$@"
  until over "$name"; do
    # Time may be up in the midst of a line; the next turn reads on.
    if ! read -r -t 0.2 -u "$asks" part; then
      question+=$part
      continue
    fi
    question+=$part
    # Several words.
    # shellcheck disable=SC2086
    if said=$(hand $question 2>&1); then echo "done${said:+ $said}"; else echo "'$question' failed: ${said//$'\n'/; }"; fi >&"$answers"
    question=''
  done
  exec {asks}>&- {answers}>&-
  wait $!
}

# listens NAME: waits until the program has an RDMA CM id that listens; false if it ends without.
listens() {
  wait_for listens_or_is_over "$1" && ! over "$1"
}
listens_or_is_over() {
  over "$1" || rdma resource show cm_id | grep -q " state LISTEN .* pid $(cat "/tmp/$1.watched") "
}

# ended NAME STATUS: it ended by itself with exit status STATUS; not another one, no signal, no time-out.
ended() {
  local status
  status=$(cat "/tmp/$1.status" 2>/dev/null)
  if [ "$status" = "exit $2" ]; then ok "$1 ended with exit status $2"; else
    not_ok "$1 ended with '${status:-nothing}', wanted exit status $2"
    return 1
  fi
}

# released NAME: the program had given everything back when it ended, and the kernel holds nothing of it afterwards.
released() {
  if [ ! -e "/tmp/$1.left" ]; then
    not_ok "$1: its RDMA objects at exit are not known"
  elif [ -s "/tmp/$1.left" ]; then
    not_ok "$1 still had RDMA objects when it ended: $(wc -l <"/tmp/$1.left")"
    head -20 "/tmp/$1.left" | sed 's/^/    | /'
  else
    ok "$1 had released every QP, CQ, MR, PD and CM id when it ended"
  fi
  if wait_for nothing_left >/dev/null; then ok "rdma resource shows nothing of any program"; else
    not_ok "rdma resource shows objects of programs that are gone"
    user_objects | head -20 | sed 's/^/    | /'
  fi
}

# Objects of user space have a pid; the kernel's own have only a name in brackets. False if the kernel does not say.
user_objects() {
  local kind list
  for kind in qp cm_id mr pd cq; do
    list=$(rdma resource show "$kind") || return 1
    grep -E ' pid [0-9]+' <<<"$list" | sed "s/^/$kind: /"
  done
  return 0
}
nothing_left() {
  local objects
  objects=$(user_objects) && [ -z "$objects" ]
}

# no_errors NAME: it printed no error line.
no_errors() { ! grep -F '*ERROR*' "/tmp/$1.log"; }
