# shellcheck shell=bash
# Sourced in the guest by the scenarios: running a program and judging how it ended.
#
# A scenario is a bash script that exits 0 if all its checks held. Each check prints one line, `ok:` or `not ok:`.

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

# wait_for SECONDS COMMAND...: until COMMAND succeeds.
wait_for() {
  local deadline=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    [ "$SECONDS" -lt "$deadline" ] || return 1
    sleep 0.1
  done
}

# run_program NAME SECONDS PROGRAM [ARGUMENT...]: runs it in the background under witness (see witness.c), which leaves
#   /tmp/NAME.log      what it printed
#   /tmp/NAME.status   one line: `exit N`, `signal N` or `timeout`
#   /tmp/NAME.left     rdma's list of objects that the program still had at its exit, before the kernel took them away
# The program's libraries come from /share/lib. End it with `kill $!`, wait with `wait $!`.
run_program() {
  local name=$1 seconds=$2
  shift 2
  rm -f "/tmp/$name".{log,status,left}
  LD_LIBRARY_PATH=/share/lib witness "$seconds" "/tmp/$name.status" "/tmp/$name.left" "$@" >"/tmp/$name.log" 2>&1 &
}

# show_log NAME [LINES]: what it printed, or the last lines of it.
show_log() { tail -n "${2:-30}" "/tmp/$1.log" | sed 's/^/    | /'; }

# prints NAME SECONDS PATTERN: waits until the program has printed a line that matches, or has ended.
prints() {
  local deadline=$((SECONDS + $2))
  until grep -q "$3" "/tmp/$1.log"; do
    if [ -e "/tmp/$1.status" ] || [ "$SECONDS" -ge "$deadline" ]; then return 1; fi
    sleep 0.1
  done
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
  if wait_for 5 nothing_left; then ok "rdma resource shows nothing of any program"; else
    not_ok "rdma resource shows objects of programs that are gone"
    user_objects | head -20 | sed 's/^/    | /'
  fi
}

# Objects of user space have a pid; the kernel's own have only a name in brackets.
user_objects() {
  local kind
  for kind in qp cm_id mr pd cq; do rdma resource show "$kind" | grep -E ' pid [0-9]+' | sed "s/^/$kind: /"; done
  return 0
}
nothing_left() { [ -z "$(user_objects)" ]; }
