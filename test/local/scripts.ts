/** What clients say: one script for each feature of the protocol. */
import {
  bind,
  callFunction,
  closePortal,
  closeStatement,
  copyData,
  copyDone,
  copyFail,
  describePortal,
  describeStatement,
  execute,
  flush,
  parse,
  sync,
  terminate
} from "./protocol.js"
import { frame, query } from "./support.js"

const oid = { text: 25, int4pl: 177 }

const one = [parse("SELECT 'ok'"), bind(), execute()]
const bad = [parse("SELECT 1/0"), bind(), execute()]
const copyIn = [parse("COPY pair FROM STDIN"), bind(), execute()]

/** What the scripts work on. */
export const preparation = "CREATE TABLE pair (n int PRIMARY KEY, t text)"

/** Those that the service does not take. */
export const refused: ReadonlySet<string> = new Set(["notices", "notifications to itself"])

/** Each leaves the session and the table as it found them, so that it can be run again and again. */
export const scripts: Readonly<Record<string, ReadonlyArray<Buffer>>> = {
  "simple queries": [query("SELECT 1 AS a, NULL; SELECT 'ä'; "), query(""), query(" ; "), query("TABLE pair")],
  "simple queries that fail": [query("SELECT 1; SELECT 1/0; SELECT 2"), query("SELEC 1"), query("SELECT nope")],
  "transaction states": [query("BEGIN"), query("nonsense"), query("SELECT 1"), query("COMMIT"), query("COMMIT")],
  notices: [
    query("DO $$BEGIN RAISE NOTICE 'a'; RAISE WARNING 'b' USING HINT='c', DETAIL='d', ERRCODE='01234'; END$$"),
    query("ROLLBACK")
  ],
  "parameter status": [
    query("SET TimeZone TO 'Asia/Tokyo'"),
    query("BEGIN; SET application_name TO b"),
    query("ROLLBACK"),
    query("RESET TimeZone")
  ],
  "another encoding": [
    query("SET client_encoding TO LATIN1; SELECT U&'\\00e4'"),
    frame("Q", Buffer.from("SELECT '\xe4'\0", "latin1")),
    query("RESET client_encoding")
  ],
  "notifications to itself": [query("LISTEN itself; NOTIFY itself, 'a'"), query("NOTIFY itself"), query("UNLISTEN *")],
  "unnamed statements": [
    parse("SELECT $1::int + 1, $2", "", [0, oid.text]),
    describeStatement(),
    bind(["1", null]),
    describePortal(),
    execute(),
    sync
  ],
  "binary values": [
    parse("SELECT $1::int, $2::bytea"),
    bind([Buffer.of(0, 0, 0, 7), Buffer.from("\0ZQ")], {}, { values: [1], results: [1, 0] }),
    execute(),
    sync
  ],
  "named statements and portals": [
    parse("SELECT 1", "s"),
    bind([], { portal: "p", statement: "s" }),
    describePortal("p"),
    execute(0, "p"),
    closePortal("p"),
    closeStatement("s"),
    closePortal("none"),
    describeStatement("s"),
    sync
  ],
  "statements that return nothing": [
    parse(""),
    describeStatement(),
    bind(),
    execute(),
    parse("BEGIN"),
    describeStatement(),
    bind(),
    describePortal(),
    execute(),
    parse("ROLLBACK"),
    bind(),
    execute(),
    sync
  ],
  "portals with row limits": [
    query("BEGIN"),
    parse("SELECT n FROM generate_series(1, 5) AS n"),
    bind([], { portal: "p" }),
    execute(2, "p"),
    flush,
    execute(2, "p"),
    sync,
    execute(2, "p"),
    execute(1, "p"),
    sync,
    query("END")
  ],
  pipelines: [...one, sync, ...one, ...one, sync, query("SELECT 1"), ...one, sync],
  "errors in pipelines with Sync": [...one, ...bad, ...one, flush, ...one, sync, ...one, sync, parse("SELEC"), sync],
  "errors in pipelines with Flush": [...one, flush, parse("nope"), flush, flush, ...one, flush, sync, flush],
  "an implicit transaction that fails": [
    parse("INSERT INTO pair VALUES (7)"),
    bind(),
    execute(),
    ...bad,
    sync,
    query("TABLE pair")
  ],
  "a simple query within a pipeline": [...one, query("SELECT 2"), ...one, sync],
  "COPY in": [
    query("BEGIN; COPY pair FROM STDIN; SELECT 1"),
    copyData("1\to"),
    copyData("ne\n2\t"),
    copyData("\\N\n"),
    flush,
    sync,
    copyDone,
    query("TABLE pair"),
    query("ROLLBACK")
  ],
  "COPY in, binary": [
    query("BEGIN; COPY pair FROM STDIN (FORMAT binary)"),
    copyData(Buffer.from("PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0\0\x02\0\0\0\x04\0\0\0\x07\xff\xff\xff\xff", "latin1")),
    copyData("\xff\xff"),
    copyDone,
    query("ROLLBACK")
  ],
  "COPY in that the client gives up": [
    query("COPY pair FROM STDIN"),
    copyData("1\tx\n"),
    copyFail("enough"),
    copyFail("late"),
    query("SELECT 1")
  ],
  "COPY in that a bad row ends": [
    query("COPY pair FROM STDIN"),
    copyData("1\tx\nno\n"),
    copyData("2\ty\n"),
    copyDone,
    query("SELECT 1")
  ],
  "COPY in, extended": [query("BEGIN"), ...copyIn, sync, copyData("1\tx\n"), copyDone, sync, query("ROLLBACK")],
  "COPY in, extended, that a bad row ends": [
    ...copyIn,
    flush,
    copyData("x\n"),
    copyData("2\n"),
    copyDone,
    ...one,
    sync
  ],
  "COPY in, extended, that the client gives up": [...copyIn, sync, copyFail("no"), ...one, sync, query("SELECT 1")],
  "COPY out": [
    query("COPY (VALUES (1, 'x'), (2, NULL)) TO STDOUT; SELECT 1"),
    parse("COPY (SELECT 1) TO STDOUT (FORMAT binary)"),
    bind(),
    describePortal(),
    execute(),
    sync
  ],
  "COPY out that an error ends": [query("COPY (SELECT 2 / (2 - n) FROM generate_series(1, 3) AS n) TO STDOUT")],
  "function calls": [
    callFunction(oid.int4pl, ["2", "3"]),
    callFunction(oid.int4pl, ["2", null]),
    callFunction(oid.int4pl, ["x", "3"]),
    callFunction(1, []),
    query("SELECT 1")
  ],
  "rows larger than what is read at once": [query("SELECT repeat(n::text, 70000) FROM generate_series(1, 2) AS n")],
  "bodies that make no sense": [
    frame("Q", "no end"),
    frame("P", ""),
    sync,
    frame("B", "\0"),
    sync,
    frame("D", "?\0"),
    sync,

    frame("E", "\0"),
    frame("E", ""),
    sync,
    frame("C", "??"),
    sync,
    frame("S", "more"),
    frame("F", ""),
    frame("H", "x"),
    sync
  ]
}

/** Each ends its session, in PostgreSQL's own way. */
export const endings: Readonly<Record<string, ReadonlyArray<Buffer>>> = {
  "a Terminate behind answers": [query(""), ...one, sync, terminate],
  "a Terminate in the place of a Sync": [...one, terminate],
  "a Terminate that is not the last word": [query(""), terminate, query("SELECT 2"), Buffer.alloc(5, "Q")],
  "a Terminate during COPY": [query("COPY pair FROM STDIN"), copyData("1\tx\n"), terminate],
  "a Terminate with a body": [query(""), frame("X", "bye")],
  "an unknown message": [query(""), Buffer.from("!")],
  "an unknown message behind a pipeline without Sync": [...one, parse("nope"), frame("?", "what")],
  "an unknown message during COPY": [query("COPY pair FROM STDIN"), copyData("1\tx\n"), frame("Y", "")],
  "a query during COPY": [query("COPY pair FROM STDIN"), copyData("1\tx\n"), query("SELECT 1"), query("")],
  "a password that nobody asked for": [frame("p", "secret\0")],
  zeros: [Buffer.alloc(12)],
  "a session that ends itself": [query("SELECT pg_terminate_backend(pg_backend_pid())"), query("SELECT 1")]
}

const header = (type: string, length: number): Buffer => {
  const bytes = frame(type, "")
  bytes.writeInt32BE(length, 1)
  return bytes
}

/** What may stand in front, a header that the gateway refuses itself, and what ends the session of PostgreSQL then. */
export const refusedLengths: Readonly<
  Record<
    string,
    {
      readonly before: ReadonlyArray<Buffer>
      readonly header: Buffer
      readonly inCopy?: boolean
      readonly isOversized?: boolean
    }
  >
> = {
  "above 10 MiB": { before: [query("")], header: header("Q", 10 * 1024 * 1024 + 1), isOversized: true },
  "above 10 MiB behind a pipeline without Sync": {
    before: [...one, parse("nope")],
    header: header("B", 1 << 30),
    isOversized: true
  },
  "above 10 MiB during COPY": {
    before: [query("COPY pair FROM STDIN"), copyData("1\tx\n")],
    header: header("d", 1 << 24),
    inCopy: true,
    isOversized: true
  },
  "above 10,000 where PostgreSQL allows no more": { before: [query("")], header: header("D", 10_001) },
  "below the length itself": { before: [...one, sync], header: header("Q", 3) },
  "below zero": { before: [], header: header("P", -1) }
}
