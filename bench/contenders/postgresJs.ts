import postgres from "postgres"
import { type Open, repeatWith, rowsPerFetch } from "../contender.js"
import { tokenFor } from "./token.js"

export const postgresJs: Open = async (access, { connections }) => {
  const sql = postgres({
    host: access.hostaddr,
    port: access.port,
    user: "admin",
    database: "postgres",
    password: await tokenFor(access),
    ssl: { servername: access.host, ca: access.ca },
    max: connections
  })
  const point = (sql: postgres.ISql, row: number) => sql`SELECT id, name, n FROM item WHERE id = ${row}`
  const write = (sql: postgres.ISql, row: number) => sql`UPDATE item SET n = n + 1 WHERE id = ${row}`
  return {
    repeat: repeatWith({
      point: async (row) => point(sql, row),
      hundred: async (row) => sql`SELECT id, name, n FROM item WHERE id >= ${row} ORDER BY id LIMIT 100`,
      transaction: (row) =>
        sql.begin(async (sql) => {
          await point(sql, row)
          await write(sql, row)
          await point(sql, row + 1)
          await write(sql, row + 1)
          await point(sql, row)
        })
    }),
    stream: async (rows, onRow) => {
      const text = sql`SELECT i AS id, 'row ' || i AS name, i % 7 AS n FROM generate_series(1, ${rows}::int) AS i`
      for await (const batch of text.cursor(rowsPerFetch)) batch.forEach(onRow)
    },
    openAll: async () => {
      const reserved = await Promise.all(Array.from({ length: connections }, () => sql.reserve()))
      for (const one of reserved) one.release()
    },
    close: () => sql.end()
  }
}
