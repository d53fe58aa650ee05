/** The Effect client. */
import { SqlClient } from "@effect/sql"
import { Cause, Effect, Exit, ManagedRuntime, Option, Redacted, Runtime } from "effect"
import { DsqlAuth, type DsqlConfig, DsqlErrors, DsqlLayer, DsqlTransaction } from "effect-dsql"
import type { Driver, Query, Rows } from "./driver.js"

const promised = async <A>(exit: Promise<Exit.Exit<A, unknown>>): Promise<A> => {
  const ended = await exit
  if (Exit.isSuccess(ended)) return ended.value
  const error = Cause.originalError(Cause.squash(ended.cause))
  throw DsqlErrors.unwrap(error) ?? error
}

const query = (text: string, values: ReadonlyArray<string | number> = []) =>
  Effect.flatMap(SqlClient.SqlClient, (sql) => sql.unsafe<Rows[number]>(text, values))

export const effectClient: Driver = {
  name: "the Effect client",
  open: async ({ credentials, ...options }) => {
    const provider = typeof credentials === "function" ? credentials : async () => credentials!
    const swaps = { credentials: credentials === undefined ? undefined : DsqlAuth.layerProvider(provider) }
    const runtime = ManagedRuntime.make(DsqlLayer.layer(options as DsqlConfig.Options, swaps))
    try {
      await promised(runtime.runPromiseExit(Effect.void))
    } catch (error) {
      await runtime.dispose()
      throw error
    }
    return {
      query: (text, values) => promised(runtime.runPromiseExit(query(text, values))),
      transaction: (body, { times, verify } = {}) => {
        const effect = Effect.flatMap(Effect.runtime<SqlClient.SqlClient>(), (inside) => {
          const run: Query = (text, values) => promised(Runtime.runPromiseExit(inside)(query(text, values)))
          return Effect.tryPromise({ try: () => body(run), catch: (error) => error })
        })
        const settled =
          verify &&
          Effect.map(Effect.promise(verify), (found) => Option.map(Option.fromNullable(found), (f) => f.result))
        return promised(runtime.runPromiseExit(DsqlTransaction.withRetry(effect, { times, verify: settled })))
      },
      end: () => runtime.dispose(),
      visible: [runtime, Redacted]
    }
  }
}
