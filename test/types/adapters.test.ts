import { expectTypeOf } from "@effect/vitest"
import type { DsqlErrors } from "effect-dsql"
import * as Pg from "effect-dsql/pg"
import type pg from "pg"
import { each } from "./support.js"

each("effect-dsql/pg", Pg, {
  createPool: () => {
    expectTypeOf(Pg.createPool).toEqualTypeOf<(options?: string | Pg.Options) => Promise<Pg.Pool>>()
    expectTypeOf<Pg.Pool>().toExtend<pg.Pool & AsyncDisposable>()
    Pg.createPool satisfies (options: { host: string; pool: { max: 5; maxLifetime: "50 minutes" } }) => unknown
    // @ts-expect-error is for the Effect client
    Pg.createPool satisfies (options: { unsafeRetryTransactions: true }) => unknown
  },
  connect: () =>
    expectTypeOf(Pg.connect).toEqualTypeOf<(options?: string | Pg.Options) => Promise<pg.Client & AsyncDisposable>>(),
  transaction: () => {
    const inserted = (pool: Pg.Pool) =>
      Pg.transaction(pool, async (client) => {
        expectTypeOf(client).toEqualTypeOf<pg.PoolClient>()
        return 1
      })
    expectTypeOf(inserted).toEqualTypeOf<(pool: Pg.Pool) => Promise<number>>()
    const verified = (pool: Pg.Pool) => Pg.transaction(pool, async () => 1, { verify: async () => ({ result: "a" }) })
    expectTypeOf(verified).toEqualTypeOf<(pool: Pg.Pool) => Promise<number | string>>()
    expectTypeOf<NonNullable<Pg.TransactionOptions["while"]>>().toEqualTypeOf<
      (error: DsqlErrors.DsqlError) => boolean
    >()
  }
})
