/** postgres.js. */
import { options, transaction, withErrors } from "effect-dsql/postgres"
import postgres from "postgres"
import type { Driver } from "./driver.js"

export const postgresJs: Driver = {
  name: "effect-dsql/postgres",
  open: async (given) => {
    const settings = await options(given)
    const sql = withErrors(postgres(settings))
    const queryOn =
      (sql: postgres.ISql) =>
      (text: string, values: ReadonlyArray<string | number> = []) =>
        sql.unsafe(text, [...values])
    return {
      query: queryOn(sql),
      transaction: (body, transactionOptions) => transaction(sql, (tx) => body(queryOn(tx)), transactionOptions),
      end: () => sql.end(),
      visible: [sql, sql.options, settings]
    }
  }
}
