/** The pool of node-postgres, and its client. */
import { connect, createPool, transaction } from "effect-dsql/pg"
import type { Driver } from "./driver.js"

export const pgPool: Driver = {
  name: "effect-dsql/pg",
  open: async (options) => {
    const pool = await createPool(options)
    return {
      query: async (text, values) => (await pool.query(text, values && [...values])).rows,
      transaction: (body, transactionOptions) =>
        transaction(
          pool,
          (client) => body(async (text, values) => (await client.query(text, values && [...values])).rows),
          transactionOptions
        ),
      end: () => pool.end(),
      visible: [pool, pool.options]
    }
  }
}

/** One connection, which has no transactions of ours. */
export const pgClient: Driver = {
  name: "a client of effect-dsql/pg",
  open: async (options) => {
    const client = await connect(options)
    return {
      query: async (text, values) => (await client.query(text, values && [...values])).rows,
      transaction: () => Promise.reject(new Error("a client has none")),
      end: () => client.end(),
      visible: [client]
    }
  }
}
