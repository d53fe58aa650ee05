/**
 * The shell script that stands between us and PostgreSQL. It copies the template, runs PostgreSQL, and removes the run
 * folder when PostgreSQL has ended. Its standard input is a pipe from us: when that closes, because we stop or because
 * we died of anything, PostgreSQL is told to shut down at once.
 *
 * Arguments: run folder, template data folder, postgres program.
 * Output: the end of PostgreSQL's log.
 */
export const supervisorScript = `
folder=$1 template=$2 program=$3
umask 077
cd / || exit 1
exec 3<&0 2>>"$folder/postgres.log"
finish() {
  tail -n 20 "$folder/postgres.log"
  # Still there only if PostgreSQL could not clean up; it names a segment of shared memory that outlives it, and
  # backends may need a moment to notice.
  if [ -f "$folder/data/postmaster.pid" ]; then
    ipcrm -m "$(sed -n '7s/.* //p' "$folder/data/postmaster.pid")"
    sleep 1
  fi
  rm -rf "$folder"
  exit "$1"
}
cp -R "$template" "$folder/data" || finish 1
"$program" -D "$folder/data" -k "$folder" </dev/null >&2 3<&- &
server=$!
# Before PostgreSQL has its own handlers SIGQUIT is ignored (a shell's background job), but SIGTERM ends it; later
# SIGTERM alone would wait for the clients.
quit() { kill -TERM "$server"; kill -QUIT "$server"; }
trap quit TERM INT HUP
( trap - TERM INT HUP; while read -r line <&3; do :; done; quit ) >/dev/null 2>&1 &
watcher=$!
exec 3<&-
wait "$server"
status=$?
# A wait that a trapped signal interrupts has to be taken up again.
while kill -0 "$server" 2>/dev/null; do wait "$server"; status=$?; done
# Not TERM: one that comes before the subshell has put its traps aside would be lost, and the wait would not end.
{ kill -KILL "$watcher"; wait "$watcher"; } 2>/dev/null
finish "$status"
`
