/**
 * The shell script that stands between us and PostgreSQL. It makes the run folder, copies the template unless there are
 * data, runs PostgreSQL as often as it is told to, and removes the run folder in the end. Its standard input is a pipe from
 * us: when that closes, because we are done or because we died of anything, PostgreSQL is told to shut down at once.
 *
 * Arguments: run folder, template data folder, data folder, postgres program, its further arguments.
 * Input, line by line: `stop` (at once, as in a crash) or `end` (in good order), and when PostgreSQL has ended `start`.
 * Output: `ended <exit code>` whenever PostgreSQL has ended; its log is in the run folder.
 */
export const supervisorScript = `
folder=$1 template=$2 data=$3 program=$4
shift 4
umask 077
over=
server=
trap 'over=1; [ -z "$server" ] || quit' TERM INT HUP
# What we report is nobody's business once our parent has died.
trap '' PIPE
mkdir "$folder" 2>&1 || exit 1
exec 4<&0 </dev/null 2>>"$folder/postgres.log"
# The file is left behind only by a PostgreSQL that could not clean up. It names a segment of shared memory, which outlives
# everybody; backends may need a moment to notice that they are orphans.
clean() {
  [ -f "$data/postmaster.pid" ] || return
  ipcrm -m "$(sed -n '7s/.* //p' "$data/postmaster.pid")"
  sleep 1
}
# Settings are always those of the template, however old the data are.
prepare() {
  if [ -d "$data" ]; then
    rm -f "$data/postmaster.pid"
    cp "$template/postgresql.conf" "$template/pg_hba.conf" "$data"
  else
    rm -rf "$data.new"
    cp -R "$template" "$data.new" && mv "$data.new" "$data"
  fi
}
# Before PostgreSQL has its own handlers SIGQUIT is ignored (a shell's background job), but SIGTERM ends it; later
# SIGTERM alone would wait for the clients.
quit() { kill -TERM "$server"; kill -QUIT "$server"; }
serve() {
  "$program" -D "$data" -k "$folder" "$@" >&2 4<&- &
  server=$!
  [ -z "$over" ] || quit
  (
    trap - TERM INT HUP
    read -r line <&4
    if [ "$line" = end ]; then
      kill -INT "$server"
      read -r line <&4
    fi
    quit
  ) >/dev/null 2>&1 &
  watcher=$!
  wait "$server"
  status=$?
  # A wait that a trapped signal interrupts has to be taken up again.
  while kill -0 "$server" 2>/dev/null; do wait "$server"; status=$?; done
  # Not TERM: one that comes before the subshell has put its traps aside would be lost, and the wait would not end.
  { kill -KILL "$watcher"; wait "$watcher"; } 2>/dev/null
  server=
  clean
}
while [ -z "$over" ]; do
  if prepare; then serve "$@"; else status=1; fi
  echo "ended $status"
  line=
  until [ -n "$over" ] || [ "$line" = start ]; do read -r line <&4 || over=1; done
done
rm -rf "$folder"
`
