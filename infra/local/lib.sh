# shellcheck shell=bash disable=SC2034
# What the scripts of this folder share: messages, paths, locks and processes. Sourced, never run by itself.
# A server is found by an argument of its command line that names its state folder, so no pid file can go stale.

[[ $(uname -s) == Linux ]] || { echo "infra/local: needs Linux: use infra/local/compose.yaml on other systems" >&2; exit 1; }
umask 022
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
repository=$(cd "$here/../.." && pwd -P)
program=$(basename "$0")
shared=${FLOWSHIP_LOCAL_SHARED:-$repository/target/local}
python=${FLOWSHIP_LOCAL_PYTHON:-python3}
start_seconds=${FLOWSHIP_LOCAL_START_SECONDS:-120}
# `stack` hands its own beginning to the scripts it starts, so that all count the same seconds.
export FLOWSHIP_LOCAL_BEGAN=${FLOWSHIP_LOCAL_BEGAN:-${EPOCHREALTIME/[^0-9]/}}

say() {
  local tenths=$(((${EPOCHREALTIME/[^0-9]/} - FLOWSHIP_LOCAL_BEGAN) / 100000))
  printf '[%3d.%d s] %s: %s\n' "$((tenths / 10))" "$((tenths % 10))" "$program" "$*" >&2
}
fail() { printf 'infra/local/%s: %s\n' "$program" "$*" >&2; }
die() { fail "$@"; exit 1; }

# The comment block at the top of the calling script is its help.
show_help() { sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0"; }
bad_usage() {
  fail "$* (see infra/local/$program --help)"
  exit 2
}
value_of() { # value_of OPTION VALUES_LEFT: refuses an option at the end of the line
  (($2 > 1)) || bad_usage "$1 needs a value"
}
need_port() { # need_port OPTION VALUE
  if [[ ! $2 =~ ^[0-9]{1,5}$ ]] || ((10#$2 > 65535)); then bad_usage "$1 must be a port from 0 to 65535, not '$2'"; fi
}
need_python() {
  "$python" -c 'import sys; sys.exit(sys.version_info < (3, 8))' 2>/dev/null ||
    die "'$python' is not a working Python 3: install the Debian package python3, or name another with FLOWSHIP_LOCAL_PYTHON"
}

# absolute FOLDER: its full path without links; the folder need not exist.
absolute() {
  [[ $1 != *[[:cntrl:]]* ]] || die "a folder name may not hold control characters"
  realpath -m -- "$1"
}
make_folder() {
  { mkdir -p -- "$1" 2>/dev/null && [[ -w $1 ]]; } || die "cannot write to $1: choose another folder with --state"
}

# take_lock FILE WHAT: one process at a time for WHAT. Whoever held the lock may have deleted FILE with its folder: look again.
take_lock() {
  while :; do
    make_folder "$(dirname "$1")"
    exec {lock_fd}>>"$1" || die "cannot write $1"
    flock -n "$lock_fd" || { say "waiting for another process to finish with $2"; flock "$lock_fd"; }
    [[ $1 -ef /proc/$BASHPID/fd/$lock_fd ]] && return
    exec {lock_fd}>&-
  done
}

# pid_of ARGUMENT: the process that was started with exactly this argument. (On stdin: as an argument grep would find itself.)
pid_of() {
  local file
  # shellcheck disable=SC2062 # the last words are files, not the pattern
  file=$(grep -lsFxz --file=- /proc/[0-9]*/cmdline <<<"$1" | head -n 1) || true
  [[ -n $file ]] || return 1
  file=${file#/proc/}
  printf '%s\n' "${file%/cmdline}"
}
is_process() { grep -qsFxz -e "$2" "/proc/$1/cmdline"; } # is_process PID ARGUMENT

# end_process ARGUMENT SECONDS: TERM, and KILL when that was ignored for so long. Returns when the process is gone.
end_process() {
  local pid i
  pid=$(pid_of "$1") || return 0
  kill -TERM "$pid" 2>/dev/null || ! is_process "$pid" "$1" || die "process $pid belongs to another user: stop it as that user"
  for ((i = 0; i < $2 * 20; i++)); do
    is_process "$pid" "$1" || return 0
    sleep 0.05
  done
  say "process $pid did not end in $2 s: killing it"
  kill -KILL "$pid" 2>/dev/null || true
  for ((i = 0; i < 100; i++)); do
    is_process "$pid" "$1" || return 0
    sleep 0.05
  done
  die "process $pid cannot be killed"
}

# run_detached COMMAND...: becomes COMMAND, detached from the caller's terminal, so that a Ctrl-C there does not reach it,
# and without the caller's open files (a reader of our pipes would wait for the server, a lock would stay taken).
run_detached() {
  local fd
  for fd in "/proc/$BASHPID/fd"/*; do
    fd=${fd##*/}
    ((fd <= 2)) || eval "exec $fd>&-"
  done
  exec setsid "$@"
}

# run_job COMMAND...: like COMMAND, but a TERM or INT to this script ends it at once.
job=''
run_job() {
  "$@" &
  job=$!
  local code=0
  wait "$job" || code=$?
  job=''
  return "$code"
}
# give_up CODE: the trap of every `start`; a script overrides `abandon` to end what it detached.
abandon() { :; }
give_up() {
  trap '' INT TERM HUP
  [[ -z $job ]] || kill -TERM "$job" 2>/dev/null || true
  abandon
  fail "ended before the start was complete"
  exit "$1"
}
catch_signals() {
  trap 'give_up 130' INT
  trap 'give_up 143' TERM
  trap 'give_up 129' HUP
}

# ---- --until-exit-of PID: servers that end with a process
# The script has $state and $what (their name in messages) from its `locate`, and `stop_servers`, called with the lock held.
# $state/owners lists the processes the servers are kept for; $state/kept exists when they stay until somebody stops them.

owner='' # the option's PID; check_owner turns it into an identity
check_owner() {
  local pid=$owner
  [[ -n $pid ]] || return 0
  owner=$(identity "$pid") || bad_usage "--until-exit-of needs the id of a running process, not '$pid'"
}
identity() { # identity PID: "PID START_TIME", nothing for a process that is gone (a zombie is); ids are used again, start times are not
  local line fields
  [[ $1 =~ ^[1-9][0-9]*$ ]] || return 1
  { read -r line <"/proc/$1/stat"; } 2>/dev/null || return 1
  read -ra fields <<<"${line##*) }" # the name before it may hold anything
  [[ ${fields[0]} != [ZX] ]] || return 1
  printf '%s %s\n' "$1" "${fields[19]}"
}
has_owner() {
  local pid began
  while read -r pid began; do
    [[ $(identity "$pid") != "$pid $began" ]] || return 0
  done 2>/dev/null <"$state/owners"
  return 1
}
keep_for_owner() { # keep_for_owner WAS_UP
  if [[ -z $owner ]]; then
    touch "$state/kept"
    rm -f "$state/owners"
    end_watch
  elif (($1)) && [[ -e $state/kept ]]; then
    say "$what was started by hand before: it stays when process ${owner% *} is gone"
  else
    rm -f "$state/kept"
    echo "$owner" >>"$state/owners"
    pid_of "--watch=$state" >/dev/null || run_detached bash "$here/$program" watch "--watch=$state" </dev/null >/dev/null 2>&1 &
  fi
}
end_watch() { end_process "--watch=$state" 5; }
forget_owners() { rm -f "$state/owners" "$state/kept"; }
watch() {
  local never
  cd /
  # Waits without starting a process every second.
  exec {never}<> <(:)
  while :; do
    while has_owner; do read -r -t 1 -u "$never" || true; done
    take_lock "$state/.lock" "$what"
    # A start may have added an owner while this process waited for the lock.
    has_owner || break
    exec {lock_fd}>&-
  done
  remove=1
  stop_servers
}
