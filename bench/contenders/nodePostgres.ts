/** A pool of node-postgres, or one that is made like it. */
import pg from "pg"
import Cursor from "pg-cursor"
import { type Client, hundred, point, repeatWith, rowsPerFetch, series, write } from "../contender.js"

/** With `named`, the server keeps a statement for each text, as an application does that gives names to its statements. */
export const nodePostgresClient = (pool: pg.Pool, connections: number, named = false): Client => {
  const nameOf: Readonly<Record<string, string>> = { [point]: "point", [hundred]: "hundred", [write]: "write" }
  const query = (to: pg.Pool | pg.PoolClient, text: string, row: number): Promise<unknown> =>
    to.query(named ? { name: nameOf[text]!, text, values: [row] } : { text, values: [row] })
  const transaction = async (row: number): Promise<void> => {
    const client = await pool.connect()
    try {
      await client.query("BEGIN")
      await query(client, point, row)
      await query(client, write, row)
      await query(client, point, row + 1)
      await query(client, write, row + 1)
      await query(client, point, row)
      await client.query("COMMIT")
    } catch (error) {
      await client.query("ROLLBACK")
      throw error
    } finally {
      client.release()
    }
  }
  return {
    repeat: repeatWith({
      point: (row) => query(pool, point, row),
      hundred: (row) => query(pool, hundred, row),
      transaction
    }),
    stream: async (rows, onRow) => {
      const client = await pool.connect()
      const cursor = client.query(new Cursor(series, [rows]))
      for (;;) {
        const batch = await cursor.read(rowsPerFetch)
        if (batch.length === 0) break
        batch.forEach(onRow)
      }
      await cursor.close()
      client.release()
    },
    openAll: async () => {
      const opened = await Promise.allSettled(Array.from({ length: connections }, () => pool.connect()))
      for (const one of opened) if (one.status === "fulfilled") one.value.release()
      for (const one of opened) if (one.status === "rejected") throw one.reason
    },
    close: () => pool.end()
  }
}
