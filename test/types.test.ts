/**
 * The success, error and requirement types that users meet. `tsc` checks them (`npm run types`, a part of `npm test`); at
 * run time these assertions do nothing.
 */
import type { SqlClient } from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import type { PgClient } from "@effect/sql-pg/PgClient"
import { describe, expectTypeOf, it } from "@effect/vitest"
import { Config, Context, Effect, type Either, Layer, type Redacted, type Scope } from "effect"
import { DsqlAuth, DsqlClient, DsqlConfig, DsqlConnection, DsqlErrors, DsqlLayer, DsqlLive } from "effect-dsql"
import { DsqlLocal, type DsqlLocalError, type LocalCluster } from "effect-dsql/Local"

type Client = SqlClient | PgClient
type LayerError = DsqlErrors.DsqlLayerError
type ConfigFailure = DsqlErrors.DsqlConfigError | DsqlErrors.DsqlRegionError
type ConnectFailure = DsqlErrors.DsqlConnectError

const host = "abcdefghijklmnopqrstuvwxyz.dsql.us-east-1.on.aws"
class Vault extends Context.Tag("Vault")<Vault, { readonly secret: string }>() {}
class VaultError extends Error {
  readonly _tag = "VaultError"
}

describe("the types of layers", () => {
  it("the wired ones give a client and need nothing", () => {
    expectTypeOf(DsqlLive).toEqualTypeOf<Layer.Layer<Client, LayerError>>()
    expectTypeOf(DsqlLayer.layer(host)).toEqualTypeOf<Layer.Layer<Client, LayerError>>()
    expectTypeOf(DsqlLayer.layer({ host })).toEqualTypeOf<Layer.Layer<Client, LayerError>>()
    expectTypeOf(DsqlLayer.layerConfig({ host: Config.string("HOST") })).toEqualTypeOf<
      Layer.Layer<Client, LayerError>
    >()
  })

  it("swaps add what they need and how they fail", () => {
    const FromVault = Layer.effect(
      DsqlAuth.DsqlCredentials,
      Effect.flatMap(Vault, () => Effect.fail(new VaultError()))
    )
    expectTypeOf(DsqlLayer.layer(host, { credentials: FromVault })).toEqualTypeOf<
      Layer.Layer<Client, LayerError | VaultError, Vault>
    >()
    const TokenFromVault = Layer.effect(
      DsqlAuth.DsqlToken,
      Effect.map(Effect.all([Vault, DsqlConfig.DsqlConfig]), () => ({ get: Effect.never }))
    )
    expectTypeOf(DsqlLayer.layer(host, { token: TokenFromVault })).toEqualTypeOf<
      Layer.Layer<Client, LayerError, Vault>
    >()
    expectTypeOf(DsqlLayer.layer(host, { credentials: DsqlAuth.layerProfile("orders") })).toEqualTypeOf<
      Layer.Layer<Client, LayerError>
    >()
    // @ts-expect-error a layer of something else is no credentials layer
    DsqlLayer.layer(host, { credentials: Layer.succeed(Vault, { secret: "" }) })
  })

  it("the single ones need what the graph says", () => {
    expectTypeOf(DsqlConfig.layer(host)).toEqualTypeOf<Layer.Layer<DsqlConfig.DsqlConfig, ConfigFailure>>()
    expectTypeOf(DsqlConfig.layerEnvironment).toEqualTypeOf<Layer.Layer<DsqlConfig.DsqlConfig, ConfigFailure>>()
    expectTypeOf(DsqlAuth.layerCredentials).toEqualTypeOf<
      Layer.Layer<DsqlAuth.DsqlCredentials, never, DsqlConfig.DsqlConfig>
    >()
    expectTypeOf(DsqlAuth.layerProfile("orders")).toEqualTypeOf<
      Layer.Layer<DsqlAuth.DsqlCredentials, never, DsqlConfig.DsqlConfig>
    >()
    expectTypeOf(DsqlAuth.layerToken).toEqualTypeOf<
      Layer.Layer<DsqlAuth.DsqlToken, never, DsqlConfig.DsqlConfig | DsqlAuth.DsqlCredentials>
    >()
    expectTypeOf(DsqlConnection.layer).toEqualTypeOf<
      Layer.Layer<
        DsqlConnection.DsqlConnection,
        DsqlErrors.DsqlConfigError | ConnectFailure,
        DsqlConfig.DsqlConfig | DsqlAuth.DsqlToken
      >
    >()
    expectTypeOf(DsqlClient.layer).toEqualTypeOf<
      Layer.Layer<Client, never, DsqlConfig.DsqlConfig | DsqlConnection.DsqlConnection>
    >()
  })

  it("the local ones fail with its error as well", () => {
    expectTypeOf(DsqlLocal.layer()).toEqualTypeOf<Layer.Layer<DsqlLocal, DsqlLocalError>>()
    expectTypeOf(DsqlLocal.layerClient()).toEqualTypeOf<Layer.Layer<Client, LayerError, DsqlLocal>>()
    expectTypeOf(DsqlLocal.layerLive()).toEqualTypeOf<Layer.Layer<Client | DsqlLocal, LayerError | DsqlLocalError>>()
    expectTypeOf<Context.Tag.Service<DsqlLocal>>().toEqualTypeOf<LocalCluster>()
    expectTypeOf<LocalCluster["stop" | "start" | "restart" | "reset"]>().toEqualTypeOf<
      Effect.Effect<void, DsqlLocalError>
    >()
  })
})

describe("the types of functions", () => {
  it("configuration", () => {
    expectTypeOf(DsqlConfig.make).returns.toEqualTypeOf<Effect.Effect<DsqlConfig.Resolved, ConfigFailure>>()
    expectTypeOf(DsqlConfig.resolve).returns.toEqualTypeOf<Either.Either<DsqlConfig.Resolved, ConfigFailure>>()
    // @ts-expect-error there is no password
    void DsqlConfig.make({ host, password: "secret" })
  })

  it("tokens are redacted from birth", () => {
    expectTypeOf<Context.Tag.Service<DsqlAuth.DsqlToken>["get"]>().toEqualTypeOf<
      Effect.Effect<Redacted.Redacted, DsqlErrors.DsqlCredentialsError | DsqlErrors.DsqlTokenError>
    >()
    expectTypeOf(DsqlAuth.sign).returns.toEqualTypeOf<Effect.Effect<Redacted.Redacted, DsqlErrors.DsqlTokenError>>()
  })

  it("connections add only our errors to an effect that uses one", () => {
    const lend = Effect.flatMap(DsqlConnection.DsqlConnection, ({ use }) => use(() => Effect.fail("mine" as const)))
    expectTypeOf(lend).toEqualTypeOf<Effect.Effect<never, "mine" | ConnectFailure, DsqlConnection.DsqlConnection>>()
    expectTypeOf<Context.Tag.Service<DsqlConnection.DsqlConnection>["reserve"]>().toEqualTypeOf<
      Effect.Effect<DsqlConnection.Connection, ConnectFailure, Scope.Scope>
    >()
  })

  it("errors are refined to a union that can be matched on, and keep the rest", () => {
    const query = (sql: SqlClient) => sql<{ readonly id: number }>`SELECT 1 AS id`
    const refined = (sql: SqlClient) => DsqlErrors.refine(query(sql))
    expectTypeOf(refined).returns.toEqualTypeOf<
      Effect.Effect<ReadonlyArray<{ readonly id: number }>, SqlError | DsqlErrors.DsqlError>
    >()
    const caught = (sql: SqlClient) =>
      refined(sql).pipe(Effect.catchTag("DsqlConflictError", ({ attempts }) => Effect.succeed(attempts)))
    expectTypeOf(caught).returns.toEqualTypeOf<
      Effect.Effect<
        number | ReadonlyArray<{ readonly id: number }>,
        SqlError | Exclude<DsqlErrors.DsqlError, DsqlErrors.DsqlConflictError>
      >
    >()
    expectTypeOf(DsqlErrors.unwrap).returns.toEqualTypeOf<DsqlErrors.DsqlError | undefined>()
    expectTypeOf(DsqlErrors.isDsqlError).guards.toEqualTypeOf<DsqlErrors.DsqlError>()
  })

  it("transactions keep the types of their body", () => {
    const body = Effect.flatMap(Vault, () => Effect.fail(new VaultError()))
    const inTransaction = (sql: SqlClient) => sql.withTransaction(body)
    expectTypeOf(inTransaction).returns.toEqualTypeOf<Effect.Effect<never, VaultError | SqlError, Vault>>()
  })
})
