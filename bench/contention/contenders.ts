/** Who is measured on the local cluster: the same work with our retry, and with that of AWS's connector. */
import {
  AuroraDSQLClient,
  type AuroraDSQLConfig,
  AuroraDSQLPool,
  isOCCError
} from "@aws/aurora-dsql-node-postgres-connector"
import { SqlClient } from "@effect/sql"
import { Cause, Effect, Exit, ManagedRuntime, Option } from "effect"
import { DsqlErrors, DsqlTransaction } from "effect-dsql"
import { DsqlLocal, type LocalAccess } from "effect-dsql/Local"
import { dialling } from "../../test/local/dialling.js"

const configOf = (access: LocalAccess): AuroraDSQLConfig => {
  const { accessKeyId, ca, host, port, secretAccessKey } = access
  return {
    host,
    port,
    ssl: { ca },
    stream: () => dialling(access),
    customCredentialsProvider: async () => ({ accessKeyId, secretAccessKey })
  }
}

/** Runs statements that are not measured. */
export const withClient = async <A>(access: LocalAccess, use: (client: AuroraDSQLClient) => Promise<A>): Promise<A> => {
  const client = new AuroraDSQLClient(configOf(access))
  await client.connect()
  try {
    return await use(client)
  } finally {
    await client.end()
  }
}

/** How a transaction ended. */
export type Outcome = "committed" | "givenUp"

export interface Client {
  /** Reads a row and writes it back, one more, in a transaction that is run again as the client does by default. */
  readonly increment: (row: number, onAttempt: () => void) => Promise<Outcome>
  readonly close: () => Promise<void>
}

export interface Contender {
  readonly name: string
  /** With a connection for each worker, all open already. */
  readonly open: (access: LocalAccess, workers: number) => Promise<Client>
}

export const ours: Contender = {
  name: "ours",
  open: async (access, workers) => {
    const runtime = ManagedRuntime.make(DsqlLocal.layerFrom(access, { pool: { max: workers } }))
    const sql = await runtime.runPromise(SqlClient.SqlClient)
    await runtime.runPromise(
      Effect.scoped(Effect.replicateEffect(sql.reserve, workers, { concurrency: "unbounded", discard: true }))
    )
    return {
      increment: async (row, onAttempt) => {
        const exit = await runtime.runPromiseExit(
          Effect.gen(function* () {
            onAttempt()
            const [read] = yield* sql<{ n: number }>`SELECT n FROM counter WHERE id = ${row}`
            yield* sql`UPDATE counter SET n = ${read!.n + 1} WHERE id = ${row}`
          }).pipe(DsqlTransaction.withRetry())
        )
        if (Exit.isSuccess(exit)) return "committed"
        const failure = Option.getOrUndefined(Cause.failureOption(exit.cause))
        if (!DsqlErrors.isConflict(failure)) throw new Error(Cause.pretty(exit.cause))
        return "givenUp"
      },
      close: () => runtime.dispose()
    }
  }
}

export const connector: Contender = {
  name: "AWS's connector",
  open: async (access, workers) => {
    const pool = new AuroraDSQLPool({ ...configOf(access), max: workers })
    const clients = await Promise.all(Array.from({ length: workers }, () => pool.connect()))
    for (const client of clients) client.release()
    return {
      increment: async (row, onAttempt) => {
        try {
          await pool.transaction(async (client) => {
            onAttempt()
            const { rows } = await client.query<{ n: number }>("SELECT n FROM counter WHERE id = $1", [row])
            await client.query("UPDATE counter SET n = $1 WHERE id = $2", [rows[0]!.n + 1, row])
          })
          return "committed"
        } catch (error) {
          if (!isOCCError(error)) throw error
          return "givenUp"
        }
      },
      close: () => pool.end()
    }
  }
}

export const contenders: ReadonlyArray<Contender> = [ours, connector]
