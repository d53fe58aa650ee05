import pg from "pg"

export { type Probe, probes, type Step } from "../../conformance/probes.js"

/** What a client got for a statement: its tag, or the whole error as far as it matters to a client. */
export type Outcome = string

/** How a client speaks. */
export type Protocol = "simple" | "extended" | "named"

export const protocols: ReadonlyArray<Protocol> = ["simple", "extended", "named"]

/** Runs a statement and tells how it ended. */
export const outcome = async (
  client: pg.Client,
  protocol: Protocol,
  sql: string,
  values?: ReadonlyArray<unknown>
): Promise<Outcome> => {
  const query = {
    text: sql,
    ...(values === undefined ? {} : { values: [...values] }),
    ...(protocol === "simple" ? {} : { queryMode: "extended" }),
    // A name for each text, as clients do.
    ...(protocol === "named" ? { name: `n${Buffer.from(sql).toString("hex").slice(-50)}` } : {})
  }
  try {
    return tagOf(await client.query(query))
  } catch (error) {
    const { code, message, severity } = error as pg.DatabaseError
    if (code === undefined) throw error
    return `${severity} ${code} ${message}`
  }
}

const tagOf = ({ command, rowCount }: pg.QueryResult): string =>
  command === "INSERT" ? `INSERT 0 ${rowCount}` : rowCount === null ? command : `${command} ${rowCount}`

export const dataConflict = "ERROR 40001 change conflicts with another transaction (OC000)"
export const schemaConflict = "ERROR 40001 schema has been updated by another transaction (OC001)"
export const aborted = "ERROR 25P02 current transaction is aborted, commands ignored until end of transaction block"
