/**
 * Unit tests of code that uses this package, without a database: configuration, credentials and a token made up for the
 * test, and a client that answers from a script. What needs real SQL belongs on the local cluster (`effect-dsql/Local`).
 *
 * ```ts
 * import { SqlClient } from "@effect/sql"
 * import { assert, it } from "@effect/vitest"
 * import { Effect } from "effect"
 * import * as DsqlTesting from "effect-dsql/Testing"
 *
 * const rename = (id: number, name: string) =>
 *   Effect.flatMap(SqlClient.SqlClient, (sql) =>
 *     sql.withTransaction(sql`UPDATE owner SET name = ${name} WHERE id = ${id}`)
 *   )
 *
 * it.effect("renames in a transaction", () =>
 *   Effect.gen(function* () {
 *     const script = yield* DsqlTesting.Script
 *     yield* script.answer(/^UPDATE owner/, { rowCount: 1 })
 *     yield* rename(7, "Ana")
 *     const recorded = yield* script.recorded
 *     assert.deepStrictEqual(
 *       recorded.map(({ sql }) => sql),
 *       ["BEGIN", "UPDATE owner SET name = $1 WHERE id = $2", "COMMIT"]
 *     )
 *   }).pipe(Effect.provide(DsqlTesting.layerClient()))
 * )
 * ```
 *
 * @since 0.1.0
 */
import * as Reactivity from "@effect/experimental/Reactivity"
import type { PgClient } from "@effect/sql-pg/PgClient"
import { SqlClient } from "@effect/sql/SqlClient"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import { type Credentials, DsqlCredentials, DsqlToken, layerStatic } from "./Auth.js"
import { DsqlConfig, type Options, resolve, type Resolved } from "./Config.js"
import type { DsqlConfigError, DsqlCredentialsError, DsqlError, DsqlRegionError, DsqlTokenError } from "./Errors.js"
import { pgTag } from "./internal/pgTag.js"
import * as client from "./testing/client.js"
import {
  type Answer,
  type AnswerOptions,
  type DropMoment,
  type Recorded,
  ScriptState,
  type Step
} from "./testing/script.js"
import { endpoint } from "./testing/serverErrors.js"

export {
  type Answer,
  type AnswerOptions,
  type DropMoment,
  DsqlUnscriptedError,
  type Match,
  type Outcome,
  type Recorded,
  type Reply,
  type Step
} from "./testing/script.js"
export {
  ageLimitExceeded,
  checkViolation,
  commitOutcomeUnknown,
  conflict,
  connectionLost,
  connectionRefused,
  foreignKeyViolation,
  notNullViolation,
  rowLimitExceeded,
  serverError,
  unavailable,
  uniqueViolation,
  type Violation
} from "./testing/serverErrors.js"

// -------------------------------------------------------------------------------------------------- configuration

/** The environment is not asked: a test must not depend on whose machine it runs on. */
const testConfig = (options: Partial<Options>): Effect.Effect<Resolved, DsqlConfigError | DsqlRegionError> =>
  resolve({ host: endpoint, ...options })

/**
 * The configuration of a cluster that does not exist, `unittestunittestunittest00` in `us-east-1`, with the usual defaults.
 * Options take the place of any of it, and fail as they would for a real client; the environment is not read.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerConfig = (
  options: Partial<Options> = {}
): Layer.Layer<DsqlConfig, DsqlConfigError | DsqlRegionError> => Layer.effect(DsqlConfig, testConfig(options))

/**
 * Credentials that nobody knows: the key id `AKIAIOSFODNN7EXAMPLE` of AWS's documents, and a made-up secret. With an
 * `expiration`, they expire by the test's clock.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerCredentials = (credentials: Partial<Credentials> = {}): Layer.Layer<DsqlCredentials> =>
  layerStatic({
    accessKeyId: "AKIAIOSFODNN7EXAMPLE",
    secretAccessKey: Redacted.make("not-a-secret"),
    ...credentials
  })

// ---------------------------------------------------------------------------------------------------------- token

/**
 * What a test does with the token of {@link layerToken}.
 *
 * @since 0.1.0
 * @category tags
 */
export class TestToken extends Context.Tag("effect-dsql/Testing/TestToken")<
  TestToken,
  {
    /** From now on the token is this one. */
    readonly set: (token: string) => Effect.Effect<void>
    /** From now on, until the next `set`, getting a token fails. */
    readonly fail: (error: DsqlCredentialsError | DsqlTokenError) => Effect.Effect<void>
    /** How often a token was asked for. */
    readonly gets: Effect.Effect<number>
  }
>() {}

/**
 * A token in the hands of the test. It is `not-a-token` until {@link TestToken} says otherwise.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerToken = (token = "not-a-token"): Layer.Layer<DsqlToken | TestToken> =>
  Layer.effectContext(
    Effect.sync(() => {
      let current: Context.Tag.Service<DsqlToken>["get"] = Effect.succeed(Redacted.make(token))
      let gets = 0
      return Context.make(DsqlToken, {
        get: Effect.suspend(() => {
          gets++
          return current
        })
      }).pipe(
        Context.add(TestToken, {
          set: (token) =>
            Effect.sync(() => {
              current = Effect.succeed(Redacted.make(token))
            }),
          fail: (error) =>
            Effect.sync(() => {
              current = Effect.fail(error)
            }),
          gets: Effect.sync(() => gets)
        })
      )
    })
  )

// --------------------------------------------------------------------------------------------------------- client

/**
 * An answer for {@link layerClient}: what the statements that `match` give. `reply` may be a function of the parameters and
 * the text.
 *
 * @since 0.1.0
 * @category constructors
 */
export const answer = (
  match: Answer["match"],
  reply: Answer["reply"],
  { times = Infinity }: AnswerOptions = {}
): Answer => ({ match, reply, times })

/**
 * An {@link answer} that is given once.
 *
 * @since 0.1.0
 * @category constructors
 */
export const answerOnce = (match: Answer["match"], reply: Answer["reply"]): Answer => answer(match, reply, { times: 1 })

/**
 * What a test tells the scripted client, and learns from it. Answers that are given a number of times come first, in the
 * order in which they were scripted; when they are used up, the last one scripted without a number. (Mocks of vitest do it
 * so.) A statement without an answer fails with a {@link DsqlUnscriptedError}.
 *
 * BEGIN, COMMIT and ROLLBACK need no answer. As on a server, a failed statement aborts its transaction: what follows fails
 * with SQLSTATE 25P02, and COMMIT with the reason `Aborted`.
 *
 * @since 0.1.0
 * @category tags
 */
export class Script extends Context.Tag("effect-dsql/Testing/Script")<
  Script,
  {
    readonly answer: (match: Answer["match"], reply: Answer["reply"], options?: AnswerOptions) => Effect.Effect<void>
    readonly answerOnce: (match: Answer["match"], reply: Answer["reply"]) => Effect.Effect<void>
    /**
     * Makes the next step of a kind fail, or as many of them as `times` says, whatever answers are scripted:
     * `failNext("COMMIT", conflict(), { times: 2 })`, `failNext("statement", conflict("Schema"))`,
     * `failNext("connect", connectionRefused("ClusterWaking"))`. A transaction connects once, a statement
     * outside of one each time; statements of an aborted transaction are not counted.
     */
    readonly failNext: (step: Step, error: DsqlError, options?: AnswerOptions) => Effect.Effect<void>
    /** Lets the next step of a kind, or as many as `times` says, take so long by the clock before it is answered or fails. */
    readonly delayNext: (step: Step, duration: Duration.DurationInput, options?: AnswerOptions) => Effect.Effect<void>
    /**
     * Breaks the connection of the next transaction that comes to commit. `recorded` tells what became of it: `before` has no
     * COMMIT, `during` one with an error, `after` one without, which took effect. A program sees `DsqlConnectionError` in the
     * first case and `DsqlCommitOutcomeUnknownError` in the others.
     */
    readonly dropAtCommit: (moment: DropMoment, options?: AnswerOptions) => Effect.Effect<void>
    /** Everything that was run so far, in order. */
    readonly recorded: Effect.Effect<ReadonlyArray<Recorded>>
  }
>() {}

/**
 * A `SqlClient` and `PgClient` that answer from a script: SQL text, transforms, transactions and errors are those of the
 * real client, rows are those of the test. No connection is opened and no token asked for.
 *
 * Every build of this layer has a script of its own. Provide it to each test, so that none sees what another has scripted
 * or run: `it.effect("…", () => test.pipe(Effect.provide(DsqlTesting.layerClient())))`. The `layer(…)` of `@effect/vitest`
 * builds once for all of its tests, and within one build a layer in a constant is shared; `Layer.fresh` takes it out of that.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerClient = (
  answers: ReadonlyArray<Answer> = [],
  options: Partial<Options> = {}
): Layer.Layer<SqlClient | PgClient | Script, DsqlConfigError | DsqlRegionError> =>
  Layer.scopedContext(
    Effect.gen(function* () {
      const state = new ScriptState(answers)
      const sql = yield* client.make(state, yield* testConfig(options))
      return Context.make(pgTag, sql).pipe(
        Context.add(SqlClient, sql),
        Context.add(Script, {
          answer: (match, reply, options) => Effect.sync(() => state.add(answer(match, reply, options))),
          answerOnce: (match, reply) => Effect.sync(() => state.add(answerOnce(match, reply))),
          failNext: (step, error, { times = 1 } = {}) => Effect.sync(() => state.addFailures(step, error, times)),
          delayNext: (step, duration, { times = 1 } = {}) => Effect.sync(() => state.addDelays(step, duration, times)),
          dropAtCommit: (moment, { times = 1 } = {}) => Effect.sync(() => state.addDrops(moment, times)),
          recorded: Effect.sync(() => state.recorded())
        })
      )
    })
  ).pipe(Layer.provide(Reactivity.layer))
