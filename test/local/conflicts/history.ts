/** Random transactions, and whether snapshot isolation explains what became of them. */
import type pg from "pg"
import { dataConflict, outcome, type Outcome, type Protocol } from "./support.js"

/** How strongly a transaction holds a row; the classes of the service's matrix. */
type Strength = "keyShare" | "update" | "keyUpdate"

/** A transaction that has committed. */
interface Committed {
  readonly id: number
  /** Those whose effects it saw. */
  readonly sees: ReadonlySet<number>
  /** What it saw. */
  readonly snapshot: ReadonlyMap<number, string>
  /** Its rows with what they are now; `undefined` for one that is gone. */
  readonly writes: ReadonlyMap<number, string | undefined>
  readonly holds: ReadonlyMap<number, Strength>
}

export interface History {
  readonly committed: Array<Committed>
  readonly failures: Map<Outcome, number>
  /** What was answered otherwise than a transaction that is alone would be. */
  readonly surprises: Array<string>
}

export const schema = [
  "CREATE TABLE item (id int PRIMARY KEY, token text NOT NULL)",
  "CREATE TABLE part (id int PRIMARY KEY, item int NOT NULL REFERENCES item)",
  "CREATE TABLE done (id int PRIMARY KEY)"
]

interface World {
  nextId: number
  nextItem: number
}

const strongest = (one: Strength | undefined, other: Strength): Strength =>
  one === "keyUpdate" || other === "keyUpdate" ? "keyUpdate" : one === "update" ? one : other

/** Runs one transaction and writes down how it went. */
export const runTransaction = async (
  client: pg.Client,
  protocol: Protocol,
  random: () => number,
  world: World,
  history: History
): Promise<void> => {
  const id = world.nextId++
  const pick = <A>(values: ReadonlyArray<A>): A | undefined => values[Math.floor(random() * values.length)]
  const run = async (sql: string, values: ReadonlyArray<unknown>, expected: Outcome): Promise<void> => {
    const literal = (value: unknown) => (typeof value === "number" ? String(value) : `'${String(value)}'`)
    const found =
      protocol === "simple"
        ? await outcome(
            client,
            protocol,
            sql.replace(/\$(\d)/g, (_, place) => literal(values[Number(place) - 1]))
          )
        : await outcome(client, protocol, sql, values)
    if (found !== expected) history.surprises.push(`${sql} [${values.join()}] gave ${found}, not ${expected}`)
  }

  await outcome(client, protocol, "BEGIN")
  const seen = await client.query<{ id: number; token: string | null }>(
    "SELECT id, token FROM item UNION ALL SELECT -id, NULL FROM done"
  )
  const sees = new Set(seen.rows.filter(({ token }) => token === null).map(({ id }) => -id))
  const snapshot = new Map(seen.rows.flatMap(({ id, token }) => (token === null ? [] : [[id, token] as const])))
  const now = new Map<number, string | undefined>(snapshot)
  const writes = new Map<number, string | undefined>()
  const holds = new Map<number, Strength>()
  const hold = (row: number, strength: Strength): void => void holds.set(row, strongest(holds.get(row), strength))
  const write = (row: number, token: string | undefined): void => {
    now.set(row, token)
    writes.set(row, token)
  }
  /** Rows that something references cannot be deleted. */
  const parents = new Set((await client.query<{ item: number }>("SELECT item FROM part")).rows.map(({ item }) => item))

  const steps = 1 + Math.floor(random() * 4)
  for (let step = 0; step < steps; step++) {
    const rows = [...now].flatMap(([row, token]) => (token === undefined ? [] : [row]))
    const row = pick(rows)
    const token = `${id}.${step}`
    const choice = random()
    if (row === undefined || choice < 0.15) {
      // Several may draw the same number.
      const fresh = world.nextItem + Math.floor(random() * 2)
      if (!now.has(fresh)) {
        await run("INSERT INTO item VALUES ($1, $2)", [fresh, token], "INSERT 0 1")
        write(fresh, token)
      }
    } else if (choice < 0.5) {
      await run("UPDATE item SET token = $2 WHERE id = $1", [row, token], "UPDATE 1")
      write(row, token)
      hold(row, "update")
    } else if (choice < 0.6 && !parents.has(row) && rows.length > 3) {
      await run("DELETE FROM item WHERE id = $1", [row], "DELETE 1")
      write(row, undefined)
      hold(row, "keyUpdate")
    } else if (choice < 0.7) {
      await run("SELECT token FROM item WHERE id = $1 FOR UPDATE", [row], "SELECT 1")
      hold(row, "keyUpdate")
    } else if (choice < 0.8) {
      await run("SELECT token FROM item WHERE id = $1 FOR KEY SHARE", [row], "SELECT 1")
      hold(row, "keyShare")
    } else if (choice < 0.87) {
      await run("INSERT INTO part VALUES ($1, $2)", [id * 10 + step, row], "INSERT 0 1")
      parents.add(row)
      hold(row, "keyShare")
    } else {
      const found = await client.query<{ token: string }>("SELECT token FROM item WHERE id = $1", [row])
      if (found.rows[0]?.token !== now.get(row)) {
        history.surprises.push(`row ${row} is ${found.rows[0]?.token}, not ${now.get(row)}`)
      }
    }
  }
  await run("INSERT INTO done VALUES ($1)", [id], "INSERT 0 1")
  if (random() < 0.1) return void (await outcome(client, protocol, "ROLLBACK"))
  const ended = await outcome(client, protocol, "COMMIT")
  // What came and went within is nothing to others.
  for (const [row, token] of writes) {
    if (token !== undefined || snapshot.has(row)) continue
    writes.delete(row)
    holds.delete(row)
  }
  if (ended === "COMMIT") {
    history.committed.push({ id, sees, snapshot, writes, holds })
    for (const row of writes.keys()) world.nextItem = Math.max(world.nextItem, row + 1)
  } else {
    history.failures.set(ended, (history.failures.get(ended) ?? 0) + 1)
    await outcome(client, protocol, "ROLLBACK")
  }
}

/** What snapshot isolation does not explain. */
export const contradictions = (
  { committed, failures, surprises }: History,
  final: ReadonlyMap<number, string>
): Array<string> => {
  const found = [...surprises, ...[...failures.keys()].filter((failure) => failure !== dataConflict)]
  const areApart = (one: Committed, other: Committed): boolean => one.sees.has(other.id) || other.sees.has(one.id)
  for (const [place, one] of committed.entries()) {
    for (const other of committed.slice(place + 1)) {
      if (areApart(one, other)) continue
      for (const [row, strength] of one.holds) {
        const against = other.holds.get(row)
        const isStrong = strength === "keyUpdate" || against === "keyUpdate"
        if (against !== undefined && (isStrong || (strength === "update" && against === "update"))) {
          found.push(`${one.id} (${strength}) and ${other.id} (${against}) both held row ${row}`)
        }
      }
      for (const row of one.writes.keys()) {
        if (other.writes.has(row)) found.push(`${one.id} and ${other.id} both wrote row ${row}`)
      }
    }
  }
  // Whoever wrote a row later saw the one before; so the number of those it saw orders the writers of a row.
  const writers = (row: number): Array<Committed> =>
    committed.filter(({ writes }) => writes.has(row)).sort((one, other) => one.sees.size - other.sees.size)
  const rows = new Set(committed.flatMap(({ writes }) => [...writes.keys()]))
  for (const row of rows) {
    for (const { id, sees, snapshot } of committed) {
      const last = writers(row).findLast((writer) => sees.has(writer.id))
      if (last !== undefined && last.writes.get(row) !== snapshot.get(row)) {
        found.push(`${id} saw row ${row} as ${snapshot.get(row)}, not as ${last.id} left it`)
      }
    }
    const last = writers(row).at(-1)!
    if (last.writes.get(row) !== final.get(row)) found.push(`row ${row} is not as ${last.id} left it`)
  }
  return found
}
