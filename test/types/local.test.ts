import { expectTypeOf } from "@effect/vitest"
import type { Context, Effect, Layer, Scope } from "effect"
import type { DsqlAuth, DsqlConfig, DsqlErrors } from "effect-dsql"
import * as Local from "effect-dsql/Local"
import { DsqlLocal, type DsqlLocalError, type LocalAccess, type LocalCluster } from "effect-dsql/Local"
import * as DsqlTesting from "effect-dsql/Testing"
import { type Client, type ConfigFailure, each, type Facts, type LayerError } from "./support.js"

each("DsqlTesting", DsqlTesting, {
  DsqlUnscriptedError: () =>
    expectTypeOf<Facts<DsqlTesting.DsqlUnscriptedError>>().toEqualTypeOf<{
      readonly _tag: "DsqlUnscriptedError"
      readonly sql: string
      readonly params: ReadonlyArray<unknown>
      readonly scripted: ReadonlyArray<string>
    }>(),
  ageLimitExceeded: () => expectTypeOf(DsqlTesting.ageLimitExceeded).toEqualTypeOf<() => DsqlErrors.DsqlLimitError>(),
  checkViolation: () =>
    expectTypeOf(DsqlTesting.checkViolation).toEqualTypeOf<
      (violated: DsqlTesting.Violation) => DsqlErrors.DsqlConstraintError
    >(),
  commitOutcomeUnknown: () =>
    expectTypeOf(DsqlTesting.commitOutcomeUnknown).toEqualTypeOf<() => DsqlErrors.DsqlCommitOutcomeUnknownError>(),
  conflict: () =>
    expectTypeOf(DsqlTesting.conflict).toEqualTypeOf<(reason?: "Data" | "Schema") => DsqlErrors.DsqlConflictError>(),
  connectionLost: () => expectTypeOf(DsqlTesting.connectionLost).toEqualTypeOf<() => DsqlErrors.DsqlConnectionError>(),
  connectionRefused: () =>
    expectTypeOf(DsqlTesting.connectionRefused).toEqualTypeOf<
      (reason?: "TooManyConnections" | "RateExceeded" | "ClusterWaking") => DsqlErrors.DsqlConnectionError
    >(),
  foreignKeyViolation: () =>
    expectTypeOf(DsqlTesting.foreignKeyViolation).toEqualTypeOf<
      (violated: DsqlTesting.Violation) => DsqlErrors.DsqlConstraintError
    >(),
  notNullViolation: () =>
    expectTypeOf(DsqlTesting.notNullViolation).toEqualTypeOf<
      (
        violated: Omit<DsqlTesting.Violation, "constraint"> & { readonly column: string }
      ) => DsqlErrors.DsqlConstraintError
    >(),
  rowLimitExceeded: () => expectTypeOf(DsqlTesting.rowLimitExceeded).toEqualTypeOf<() => DsqlErrors.DsqlLimitError>(),
  serverError: () =>
    expectTypeOf(DsqlTesting.serverError).toEqualTypeOf<
      (server: DsqlErrors.ServerError) => DsqlErrors.DsqlStatementError
    >(),
  unavailable: () => expectTypeOf(DsqlTesting.unavailable).toEqualTypeOf<() => DsqlErrors.DsqlUnavailableError>(),
  uniqueViolation: () =>
    expectTypeOf(DsqlTesting.uniqueViolation).toEqualTypeOf<
      (violated: DsqlTesting.Violation) => DsqlErrors.DsqlConstraintError
    >(),
  layerConfig: () =>
    expectTypeOf(DsqlTesting.layerConfig).toEqualTypeOf<
      (options?: Partial<DsqlConfig.Options>) => Layer.Layer<DsqlConfig.DsqlConfig, ConfigFailure>
    >(),
  layerCredentials: () =>
    expectTypeOf(DsqlTesting.layerCredentials).toEqualTypeOf<
      (credentials?: Partial<DsqlAuth.Credentials>) => Layer.Layer<DsqlAuth.DsqlCredentials>
    >(),
  TestToken: () =>
    expectTypeOf<Context.Tag.Service<typeof DsqlTesting.TestToken>>().toEqualTypeOf<{
      readonly set: (token: string) => Effect.Effect<void>
      readonly fail: (error: DsqlErrors.DsqlCredentialsError | DsqlErrors.DsqlTokenError) => Effect.Effect<void>
      readonly gets: Effect.Effect<number>
    }>(),
  layerToken: () =>
    expectTypeOf(DsqlTesting.layerToken).toEqualTypeOf<
      (token?: string) => Layer.Layer<DsqlAuth.DsqlToken | DsqlTesting.TestToken>
    >(),
  answer: () =>
    expectTypeOf(DsqlTesting.answer).toEqualTypeOf<
      (
        match: DsqlTesting.Match,
        reply: DsqlTesting.Answer["reply"],
        options?: DsqlTesting.AnswerOptions
      ) => DsqlTesting.Answer
    >(),
  answerOnce: () =>
    expectTypeOf(DsqlTesting.answerOnce).toEqualTypeOf<
      (match: DsqlTesting.Match, reply: DsqlTesting.Answer["reply"]) => DsqlTesting.Answer
    >(),
  Script: () =>
    expectTypeOf<Context.Tag.Service<typeof DsqlTesting.Script>["recorded"]>().toEqualTypeOf<
      Effect.Effect<ReadonlyArray<DsqlTesting.Recorded>>
    >(),
  layerClient: () =>
    expectTypeOf(DsqlTesting.layerClient).toEqualTypeOf<
      (
        answers?: ReadonlyArray<DsqlTesting.Answer>,
        options?: Partial<DsqlConfig.Options>
      ) => Layer.Layer<Client | DsqlTesting.Script, ConfigFailure>
    >()
})

each("Local", Local, {
  DsqlLocalError: () =>
    expectTypeOf<Facts<DsqlLocalError>>().toMatchTypeOf<{
      readonly _tag: "DsqlLocalError"
      readonly reason: string
      readonly detail: string
    }>(),
  make: () =>
    expectTypeOf(Local.make).toEqualTypeOf<
      (options?: Local.LocalOptions) => Effect.Effect<LocalCluster, DsqlLocalError, Scope.Scope>
    >(),
  DsqlLocal: () => {
    expectTypeOf<Context.Tag.Service<typeof DsqlLocal>>().toEqualTypeOf<LocalCluster>()
    expectTypeOf<LocalCluster["stop" | "start" | "restart" | "reset"]>().toEqualTypeOf<
      Effect.Effect<void, DsqlLocalError>
    >()
  }
})

/** The layers of the class, without what every tag has. */
type LocalLayers = Omit<typeof DsqlLocal, keyof Context.TagClass<unknown, string, unknown> | "prototype">

each<LocalLayers>("DsqlLocal", DsqlLocal, {
  layer: () =>
    expectTypeOf(DsqlLocal.layer).toEqualTypeOf<
      (options?: Local.LocalOptions) => Layer.Layer<DsqlLocal, DsqlLocalError>
    >(),
  layerClient: () =>
    expectTypeOf(DsqlLocal.layerClient).toEqualTypeOf<
      (options?: Partial<DsqlConfig.Options>) => Layer.Layer<Client, LayerError, DsqlLocal>
    >(),
  layerFrom: () =>
    expectTypeOf(DsqlLocal.layerFrom).toEqualTypeOf<
      (access: LocalAccess, options?: Partial<DsqlConfig.Options>) => Layer.Layer<Client, LayerError>
    >(),
  layerLive: () =>
    expectTypeOf(DsqlLocal.layerLive).toEqualTypeOf<
      (
        options?: Local.LocalOptions,
        clientOptions?: Partial<DsqlConfig.Options>
      ) => Layer.Layer<Client | DsqlLocal, LayerError | DsqlLocalError>
    >()
})
