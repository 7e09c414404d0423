#!/bin/bash
# programs.sh [-t SECONDS] [-o DIRECTORY] [-x SETUP] [-l LIBRARY]... PROGRAM...
#
# Boots the guest once, runs a list of programs in it, and brings the exit code and the output of each back. A PROGRAM is a command line
# in one argument. Its first word is a program of this machine, which is packed with the shared libraries that it loads, or one of the
# guest. A command line that begins with `&` runs beside those behind it, which begin when it listens, for RDMA or TCP, has printed something
# or has ended; one that does none of this holds them up for 20 s. The others follow each other.
#
#   vm/programs.sh '& rping -s -a $ADDR -C 10' 'rping -c -a $ADDR -C 10' './my-test --all'
#
#   -t  how long each may take (60); then it is killed, with 124 as its exit code
#   -o  where the results go; default: programs/ in $VM_WORK, emptied before
#   -x  shell text that is carried out in the guest before: the network, a target, faults (see vm/README.md); default: rxe_up veth. It
#       may leave things in the background: -x 'rxe_up veth; nvmet_up null 64; (wait_for grep -q "^Random load" /share/demo.log; nvmet_unlink 1) &'
#   -l  a further file that a program needs at run time: a library goes to where libraries are found, all else beside the programs
#
# Results, by the program's NAME (a second one of the same name is NAME.2): NAME.exit, the exit code, 128 + N after signal N, and 124
# after the time-out; NAME.log, its output; NAME.hang after a time-out, where its threads sat in the kernel. Besides dmesg.log,
# console.log and job.log of the guest. A program that was running when the guest died or hung has no NAME.exit, and is named.
#
# Exit status: 0 if all programs ended with 0, 1 if not, 124 and 125 as from run.sh.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

seconds=60 results=$VM_WORK/programs setup='rxe_up veth' libraries=()
while getopts t:o:x:l: option; do
  case $option in
    t) seconds=$OPTARG ;;
    o) results=$OPTARG ;;
    x) setup=$OPTARG ;;
    l) libraries+=("$OPTARG") ;;
    *) die "usage: programs.sh [-t SECONDS] [-o DIRECTORY] [-x SETUP] [-l LIBRARY]... PROGRAM..." ;;
  esac
done
shift $((OPTIND - 1))
[ $# -gt 0 ] || die "no program given"
[[ $seconds =~ ^[1-9][0-9]*$ ]] || die "-t takes whole seconds, not '$seconds'"
"$VM_DIR/build.sh"

# Only what an earlier run left is removed: somebody may name a directory that holds other things.
mkdir -p "$results"
[ -z "$(ls -A "$results")" ] || [ -e "$results/programs.list" ] || die "$results is not empty, and not of an earlier run"
rm -rf "${results:?}"/*
: >"$results/programs.list"
printf '%s\n' "$setup" >"$results/programs.setup"
for file in "${libraries[@]}"; do "$VM_DIR/pack.sh" "$results" "$file"; done

names=()
for line; do
  begin=''
  if [[ $line = '&'* ]]; then begin='&' line=${line#&}; fi
  line=${line#"${line%%[! ]*}"}
  word=${line%%[[:space:]]*}
  if [[ $word = */* ]]; then
    [ -x "$word" ] || die "there is no program $word"
    "$VM_DIR/pack.sh" "$results" "$word"
    line=/share/bin/${word##*/}${line#"$word"}
  elif [ ! -e "$VM_ROOT/bin/$word" ] && path=$(command -v "$word") && [ -x "$path" ]; then
    "$VM_DIR/pack.sh" "$results" "$path"
  fi
  name=${word##*/} number=1
  while [[ " ${names[*]} " = *" $name "* ]]; do name=${word##*/}.$((++number)); done
  names+=("$name")
  printf '%s\t%s\t%s\n' "$name" "${begin:-.}" "$line" >>"$results/programs.list"
done

status=0
"$VM_DIR/run.sh" -t $((120 + (seconds + 20) * $#)) -s "$results" -m 1G -- "bash /share/programs.sh $seconds" || status=$?
for name in "${names[@]}"; do
  if [ -e "$results/$name.running" ]; then
    echo "$name: the guest $([ "$status" -eq 124 ] && echo hung || echo died) while it ran; see $results/$name.log"
  elif [ ! -e "$results/$name.exit" ]; then
    echo "$name: not run"
  fi
done
exit "$status"
