/**
 * The success, error and requirement types of everything that users meet: each export of each public module has its test,
 * here or in `types/`, or that file does not compile. `tsc` checks them (`npm run types`, a part of `npm test`); at run time
 * these assertions do nothing.
 */
import type { Reactivity } from "@effect/experimental/Reactivity"
import type { SqlClient } from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import type { PgClient } from "@effect/sql-pg/PgClient"
import { describe, expectTypeOf, it } from "@effect/vitest"
import { Config, Context, Effect, type Either, Layer, type Option, Redacted, type Schedule, type Scope } from "effect"
import * as Package from "effect-dsql"
import {
  DsqlAuth,
  DsqlBatch,
  DsqlClient,
  DsqlConfig,
  DsqlConnection,
  DsqlDoctor,
  DsqlErrors,
  DsqlJobs,
  DsqlLayer,
  DsqlLive,
  DsqlMigrator,
  DsqlTransaction
} from "effect-dsql"
import {
  type Client,
  type ConfigFailure,
  type ConnectFailure,
  each,
  fromVault,
  type LayerError,
  type TestsOf,
  Vault,
  VaultError
} from "./types/support.js"

const credentials: DsqlAuth.Credentials = { accessKeyId: "AKIDEXAMPLE", secretAccessKey: Redacted.make("secret") }
const host = "abcdefghijklmnopqrstuvwxyz.dsql.us-east-1.on.aws"
each("the package", Package, {
  DsqlAuth: () => expectTypeOf(Package.DsqlAuth).toEqualTypeOf<typeof DsqlAuth>(),
  DsqlBatch: () => expectTypeOf(Package.DsqlBatch).toEqualTypeOf<typeof DsqlBatch>(),
  DsqlClient: () => expectTypeOf(Package.DsqlClient).toEqualTypeOf<typeof DsqlClient>(),
  DsqlConfig: () => expectTypeOf(Package.DsqlConfig).toEqualTypeOf<typeof DsqlConfig>(),
  DsqlConnection: () => expectTypeOf(Package.DsqlConnection).toEqualTypeOf<typeof DsqlConnection>(),
  DsqlDoctor: () => expectTypeOf(Package.DsqlDoctor).toEqualTypeOf<typeof DsqlDoctor>(),
  DsqlErrors: () => expectTypeOf(Package.DsqlErrors).toEqualTypeOf<typeof DsqlErrors>(),
  DsqlJobs: () => expectTypeOf(Package.DsqlJobs).toEqualTypeOf<typeof DsqlJobs>(),
  DsqlLayer: () => expectTypeOf(Package.DsqlLayer).toEqualTypeOf<typeof DsqlLayer>(),
  DsqlLive: () => expectTypeOf(DsqlLive).toEqualTypeOf<Layer.Layer<Client, LayerError>>(),
  DsqlMigrator: () => expectTypeOf(Package.DsqlMigrator).toEqualTypeOf<typeof DsqlMigrator>(),
  DsqlTransaction: () => expectTypeOf(Package.DsqlTransaction).toEqualTypeOf<typeof DsqlTransaction>()
})

each("DsqlConfig", DsqlConfig, {
  DsqlConfig: () =>
    expectTypeOf<Context.Tag.Service<typeof DsqlConfig.DsqlConfig>>().toEqualTypeOf<DsqlConfig.Resolved>(),
  resolve: () => {
    expectTypeOf(DsqlConfig.resolve).parameters.toEqualTypeOf<
      [options: DsqlConfig.Options, regionElsewhere?: string | undefined]
    >()
    expectTypeOf(DsqlConfig.resolve).returns.toEqualTypeOf<Either.Either<DsqlConfig.Resolved, ConfigFailure>>()
  },
  fromString: () => {
    expectTypeOf(DsqlConfig.fromString).parameters.toEqualTypeOf<[text: string]>()
    expectTypeOf(DsqlConfig.fromString).returns.toEqualTypeOf<
      Either.Either<DsqlConfig.DataOptions, DsqlErrors.DsqlConfigError>
    >()
  },
  make: () => {
    expectTypeOf(DsqlConfig.make).parameters.toEqualTypeOf<[options: string | DsqlConfig.Options]>()
    expectTypeOf(DsqlConfig.make).returns.toEqualTypeOf<Effect.Effect<DsqlConfig.Resolved, ConfigFailure>>()
    // @ts-expect-error there is no password
    void DsqlConfig.make({ host, password: "secret" })
  },
  environment: () => expectTypeOf(DsqlConfig.environment).toEqualTypeOf<Config.Config<DsqlConfig.DataOptions>>(),
  layer: () => {
    expectTypeOf(DsqlConfig.layer).parameters.toEqualTypeOf<[options: string | DsqlConfig.Options]>()
    expectTypeOf(DsqlConfig.layer).returns.toEqualTypeOf<Layer.Layer<DsqlConfig.DsqlConfig, ConfigFailure>>()
  },
  layerConfig: () => {
    expectTypeOf(
      DsqlConfig.layerConfig({ host: Config.string("HOST"), pool: { max: Config.integer("MAX") } })
    ).toEqualTypeOf<Layer.Layer<DsqlConfig.DsqlConfig, ConfigFailure>>()
    expectTypeOf(DsqlConfig.layerConfig(Config.string("DATABASE_URL"), {})).toEqualTypeOf<
      Layer.Layer<DsqlConfig.DsqlConfig, ConfigFailure>
    >()
    // @ts-expect-error functions stand beside the Config
    void (() => DsqlConfig.layerConfig({ host: Config.string("HOST"), transformQueryNames: (name: string) => name }))
  },
  layerEnvironment: () =>
    expectTypeOf(DsqlConfig.layerEnvironment).toEqualTypeOf<Layer.Layer<DsqlConfig.DsqlConfig, ConfigFailure>>()
})

each("DsqlAuth", DsqlAuth, {
  DsqlCredentials: () =>
    expectTypeOf<Context.Tag.Service<typeof DsqlAuth.DsqlCredentials>["get"]>().toEqualTypeOf<
      Effect.Effect<DsqlAuth.Credentials, DsqlErrors.DsqlCredentialsError>
    >(),
  // Redacted from birth.
  DsqlToken: () =>
    expectTypeOf<Context.Tag.Service<typeof DsqlAuth.DsqlToken>["get"]>().toEqualTypeOf<
      Effect.Effect<Redacted.Redacted, DsqlErrors.DsqlCredentialsError | DsqlErrors.DsqlTokenError>
    >(),
  layerProvider: () => {
    expectTypeOf(DsqlAuth.layerProvider).toEqualTypeOf<
      (provider: DsqlAuth.Provider) => Layer.Layer<DsqlAuth.DsqlCredentials>
    >()
  },
  layerStatic: () => {
    expectTypeOf(DsqlAuth.layerStatic).toEqualTypeOf<
      (credentials: DsqlAuth.Credentials) => Layer.Layer<DsqlAuth.DsqlCredentials>
    >()
    // @ts-expect-error secrets are redacted
    void DsqlAuth.layerStatic({ accessKeyId: "AKIDEXAMPLE", secretAccessKey: "secret" })
  },
  layerProfile: () =>
    expectTypeOf(DsqlAuth.layerProfile).toEqualTypeOf<
      (profile: string) => Layer.Layer<DsqlAuth.DsqlCredentials, never, DsqlConfig.DsqlConfig>
    >(),
  layerCredentials: () =>
    expectTypeOf(DsqlAuth.layerCredentials).toEqualTypeOf<
      Layer.Layer<DsqlAuth.DsqlCredentials, never, DsqlConfig.DsqlConfig>
    >(),
  layerAssumedRole: () => {
    const roleArn = "arn:aws:iam::111122223333:role/orders"
    expectTypeOf(DsqlAuth.layerAssumedRole({ roleArn })).toEqualTypeOf<
      Layer.Layer<DsqlAuth.DsqlCredentials, DsqlErrors.DsqlConfigError, DsqlConfig.DsqlConfig>
    >()
    expectTypeOf(DsqlAuth.layerAssumedRole({ roleArn, base: fromVault })).toEqualTypeOf<
      Layer.Layer<DsqlAuth.DsqlCredentials, DsqlErrors.DsqlConfigError | VaultError, DsqlConfig.DsqlConfig | Vault>
    >()
  },
  sign: () =>
    expectTypeOf(DsqlAuth.sign).toEqualTypeOf<
      (request: DsqlAuth.SignRequest) => Effect.Effect<Redacted.Redacted, DsqlErrors.DsqlTokenError>
    >(),
  layerTokenFrom: () =>
    expectTypeOf(DsqlAuth.layerTokenFrom).toEqualTypeOf<
      (sign: DsqlAuth.Sign) => Layer.Layer<DsqlAuth.DsqlToken, never, DsqlConfig.DsqlConfig | DsqlAuth.DsqlCredentials>
    >(),
  layerToken: () =>
    expectTypeOf(DsqlAuth.layerToken).toEqualTypeOf<
      Layer.Layer<DsqlAuth.DsqlToken, never, DsqlConfig.DsqlConfig | DsqlAuth.DsqlCredentials>
    >()
})

each("DsqlConnection", DsqlConnection, {
  // Adds only our errors to an effect that uses one.
  DsqlConnection: () => {
    const lend = Effect.flatMap(DsqlConnection.DsqlConnection, ({ use }) => use(() => Effect.fail("mine" as const)))
    expectTypeOf(lend).toEqualTypeOf<Effect.Effect<never, "mine" | ConnectFailure, DsqlConnection.DsqlConnection>>()
    expectTypeOf<Context.Tag.Service<typeof DsqlConnection.DsqlConnection>["reserve"]>().toEqualTypeOf<
      Effect.Effect<DsqlConnection.Connection, ConnectFailure, Scope.Scope>
    >()
  },
  make: () =>
    expectTypeOf(DsqlConnection.make).toEqualTypeOf<
      Effect.Effect<
        Context.Tag.Service<typeof DsqlConnection.DsqlConnection>,
        DsqlErrors.DsqlConfigError | ConnectFailure,
        DsqlConfig.DsqlConfig | DsqlAuth.DsqlToken | Scope.Scope
      >
    >(),
  layer: () =>
    expectTypeOf(DsqlConnection.layer).toEqualTypeOf<
      Layer.Layer<
        DsqlConnection.DsqlConnection,
        DsqlErrors.DsqlConfigError | ConnectFailure,
        DsqlConfig.DsqlConfig | DsqlAuth.DsqlToken
      >
    >(),
  // Internal; declarations leave it out.
  makePoolOf: () => {}
})

each("DsqlClient", DsqlClient, {
  make: () =>
    expectTypeOf(DsqlClient.make).toEqualTypeOf<
      Effect.Effect<PgClient, never, DsqlConfig.DsqlConfig | DsqlConnection.DsqlConnection | Reactivity | Scope.Scope>
    >(),
  layer: () =>
    expectTypeOf(DsqlClient.layer).toEqualTypeOf<
      Layer.Layer<Client, never, DsqlConfig.DsqlConfig | DsqlConnection.DsqlConnection>
    >(),
  // Internal: it is not in the declarations that are published.
  makeOver: () => {}
})

each("DsqlLayer", DsqlLayer, {
  layer: () => {
    expectTypeOf(DsqlLayer.layer(host)).toEqualTypeOf<Layer.Layer<Client, LayerError>>()
    expectTypeOf(DsqlLayer.layer({ host })).toEqualTypeOf<Layer.Layer<Client, LayerError>>()
    // Swaps add what they need and how they fail.
    expectTypeOf(DsqlLayer.layer(host, { credentials: fromVault })).toEqualTypeOf<
      Layer.Layer<Client, LayerError | VaultError, Vault>
    >()
    const token = Layer.effect(
      DsqlAuth.DsqlToken,
      Effect.map(Effect.all([Vault, DsqlConfig.DsqlConfig]), () => ({ get: Effect.never }))
    )
    expectTypeOf(DsqlLayer.layer(host, { token })).toEqualTypeOf<Layer.Layer<Client, LayerError, Vault>>()
    expectTypeOf(DsqlLayer.layer(host, { credentials: fromVault, token })).toEqualTypeOf<
      Layer.Layer<Client, LayerError | VaultError, Vault>
    >()
    expectTypeOf(DsqlLayer.layer(host, { credentials: DsqlAuth.layerProfile("orders") })).toEqualTypeOf<
      Layer.Layer<Client, LayerError>
    >()
    // @ts-expect-error a layer of something else is no credentials layer
    DsqlLayer.layer(host, { credentials: Layer.succeed(Vault, { secret: "" }) })
  },
  layerConfig: () => {
    const config = { host: Config.string("HOST") }
    expectTypeOf(DsqlLayer.layerConfig(config)).toEqualTypeOf<Layer.Layer<Client, LayerError>>()
    expectTypeOf(DsqlLayer.layerConfig(Config.string("DATABASE_URL"))).toEqualTypeOf<Layer.Layer<Client, LayerError>>()
    expectTypeOf(DsqlLayer.layerConfig(config, {}, { credentials: fromVault })).toEqualTypeOf<
      Layer.Layer<Client, LayerError | VaultError, Vault>
    >()
  },
  DsqlLive: () => expectTypeOf(DsqlLayer.DsqlLive).toEqualTypeOf<Layer.Layer<Client, LayerError>>()
})

each("DsqlDoctor", DsqlDoctor, {
  examine: () => {
    expectTypeOf(DsqlDoctor.examine(host)).toEqualTypeOf<Effect.Effect<DsqlDoctor.Report>>()
    // How a layer fails is a part of the report; what it needs is not.
    expectTypeOf(DsqlDoctor.examine({ host }, { credentials: fromVault })).toEqualTypeOf<
      Effect.Effect<DsqlDoctor.Report, never, Vault>
    >()
    // @ts-expect-error there is no password
    void DsqlDoctor.examine({ host, password: "secret" })
  },
  examineEnvironment: () => {
    expectTypeOf(DsqlDoctor.examineEnvironment()).toEqualTypeOf<Effect.Effect<DsqlDoctor.Report>>()
    const token = Layer.effect(
      DsqlAuth.DsqlToken,
      Effect.map(Vault, () => ({ get: Effect.never }))
    )
    expectTypeOf(DsqlDoctor.examineEnvironment({ token })).toEqualTypeOf<
      Effect.Effect<DsqlDoctor.Report, never, Vault>
    >()
  }
})

/** What an effect that needs a vault and fails becomes in a transaction that is run again. */
type Retried<A = never> = Effect.Effect<A, VaultError | DsqlErrors.DsqlError, Vault | SqlClient>
const body = Effect.flatMap(Vault, () => Effect.fail(new VaultError()))

each("DsqlTransaction", DsqlTransaction, {
  isConflict: () => expectTypeOf(DsqlTransaction.isConflict).toEqualTypeOf<typeof DsqlErrors.isConflict>(),
  isRetryable: () => expectTypeOf(DsqlTransaction.isRetryable).toEqualTypeOf<typeof DsqlErrors.isRetryable>(),
  isTransient: () => expectTypeOf(DsqlTransaction.isTransient).toEqualTypeOf<typeof DsqlErrors.isTransient>(),
  schedule: () =>
    expectTypeOf(DsqlTransaction.schedule).toEqualTypeOf<
      (policy?: DsqlTransaction.RetryPolicy) => Schedule.Schedule<void, unknown>
    >(),
  withRetry: () => {
    expectTypeOf(body.pipe(DsqlTransaction.withRetry())).toEqualTypeOf<Retried>()
    expectTypeOf(DsqlTransaction.withRetry(body, { times: 3 })).toEqualTypeOf<Retried>()
    // What looks whether a COMMIT took effect may give another result, and need more.
    class Ledger extends Context.Tag("Ledger")<Ledger, object>() {}
    const verify = Effect.map(Ledger, (): Option.Option<"found"> => ({}) as Option.Option<"found">)
    expectTypeOf(body.pipe(DsqlTransaction.withRetry({ verify }))).toEqualTypeOf<
      Effect.Effect<"found", VaultError | DsqlErrors.DsqlError, Vault | Ledger | SqlClient>
    >()
    expectTypeOf(DsqlTransaction.withRetry(body, { verify })).toEqualTypeOf<
      Effect.Effect<"found", VaultError | DsqlErrors.DsqlError, Vault | Ledger | SqlClient>
    >()
  },
  retryStatement: () => {
    expectTypeOf(body.pipe(DsqlTransaction.retryStatement())).toEqualTypeOf<Retried>()
    expectTypeOf(DsqlTransaction.retryStatement(body, { name: "visit" })).toEqualTypeOf<Retried>()
    // @ts-expect-error a statement has no age
    void DsqlTransaction.retryStatement(body, { maxAge: "1 second" })
  }
})

describe("the types of a program", () => {
  it("stay in a transaction what they were", () => {
    const inTransaction = (sql: SqlClient) => sql.withTransaction(body)
    expectTypeOf(inTransaction).returns.toEqualTypeOf<Effect.Effect<never, VaultError | SqlError, Vault>>()
  })

  it("are complete once a layer is provided", () => {
    const program = Effect.flatMap(DsqlAuth.DsqlToken, ({ get }) => get).pipe(
      Effect.provide(DsqlAuth.layerToken),
      Effect.provide(DsqlAuth.layerStatic(credentials)),
      Effect.provide(DsqlConfig.layer(host))
    )
    expectTypeOf(program).toEqualTypeOf<
      Effect.Effect<Redacted.Redacted, ConfigFailure | DsqlErrors.DsqlCredentialsError | DsqlErrors.DsqlTokenError>
    >()
  })

  it("are tested for every export, or the tests do not compile", () => {
    const { schedule: _, ...others } = {} as TestsOf<typeof DsqlTransaction>
    // @ts-expect-error schedule is missing
    void (others satisfies TestsOf<typeof DsqlTransaction>)
    // @ts-expect-error there is no such export
    void ({ ...({} as TestsOf<typeof DsqlTransaction>), nothing: () => {} } satisfies TestsOf<typeof DsqlTransaction>)
  })
})
