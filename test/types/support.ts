/** What the tests of types share. */
import { describe, it } from "@effect/vitest"
import { type Cause, Context, Effect, Layer } from "effect"
import { DsqlAuth, type DsqlErrors } from "effect-dsql"
import type { SqlClient } from "@effect/sql/SqlClient"
import type { PgClient } from "@effect/sql-pg/PgClient"

export type Client = SqlClient | PgClient
export type LayerError = DsqlErrors.DsqlLayerError
export type ConfigFailure = DsqlErrors.DsqlConfigError | DsqlErrors.DsqlRegionError
export type ConnectFailure = DsqlErrors.DsqlConnectError

export class Vault extends Context.Tag("Vault")<Vault, { readonly secret: string }>() {}
export class VaultError extends Error {
  readonly _tag = "VaultError"
}
export const fromVault = Layer.effect(
  DsqlAuth.DsqlCredentials,
  Effect.flatMap(Vault, () => Effect.fail(new VaultError()))
)

export type TestsOf<M> = { readonly [Export in keyof M]: () => void }

/** One test for each export. */
export const each = <M extends object>(name: string, _: M, tests: TestsOf<M>) =>
  describe(`the types of ${name}`, () => {
    it.each(Object.entries<() => void>(tests))("%s", (_, test) => test())
  })

/** What an error has of its own. */
export type Facts<E> = Readonly<Pick<E, Exclude<keyof E & string, keyof Cause.YieldableError>>>
