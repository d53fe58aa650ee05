/** What an error must be shown to be: how it comes about, and what a program and an operator can learn from it. */
import type { SqlClient } from "@effect/sql"
import type { PgClient } from "@effect/sql-pg"
import { Effect, Layer, type Scope } from "effect"
import {
  DsqlAuth,
  type DsqlBatch,
  type DsqlConfig,
  type DsqlErrors,
  type DsqlJobs,
  DsqlLayer,
  type DsqlMigrator
} from "effect-dsql"
import { DsqlLocal, type DsqlLocalError } from "effect-dsql/Local"
import type { DsqlUnscriptedError } from "effect-dsql/Testing"
import { layerSaying, type Refusals } from "../support/service.js"

export type PackageError =
  | DsqlErrors.DsqlError
  | DsqlBatch.DsqlBatchError
  | DsqlJobs.DsqlJobError
  | DsqlMigrator.DsqlMigrationError
  | DsqlLocalError
  | DsqlUnscriptedError
export type Tag = PackageError["_tag"]
type ErrorOf<T extends Tag> = Extract<PackageError, { readonly _tag: T }>

/** Where the chain of causes ends: in an error of this class, with this code or SQLSTATE, or with this name. */
export interface Origin {
  readonly name: string
  readonly code?: string
}

export interface Case<E = PackageError> {
  readonly when: string
  /** Fails with the error, or with a `SqlError` around it. */
  readonly fails: Effect.Effect<unknown, unknown, DsqlLocal | Scope.Scope>
  readonly facts?: { readonly [K in Exclude<keyof E, keyof Error | "_tag">]?: unknown }
  /** What the message tells to do. */
  readonly next: RegExp
  readonly is?: ReadonlyArray<"conflict" | "retryable" | "transient">
  /** Default: the error is its own origin. */
  readonly origin?: Origin
}

/** Where no test of this file can go: another file raises it. */
export interface Elsewhere {
  readonly elsewhere: string
}

/** The reasons of an error, or `-` of one that has none. A reason without a row, or a row without one, does not compile. */
export type Rows<T extends Tag> = {
  readonly [Reason in ErrorOf<T> extends { readonly reason: infer R extends string } ? R : "-"]:
    ReadonlyArray<Case<ErrorOf<T>>> | Elsewhere
}

/** The driver's error for an ErrorResponse. */
export const server = (code: string): Origin => ({ name: "error", code })

/** Builds a layer, which must fail. */
export const build = <E>(layer: Layer.Layer<never, E>): Effect.Effect<void, E> =>
  Effect.scoped(Layer.build(layer)).pipe(Effect.asVoid)

type Client = SqlClient.SqlClient | PgClient.PgClient

/** A client of the local cluster, with other options or layers. */
export const connect = (options: Partial<DsqlConfig.Options>, swaps?: DsqlLayer.Swaps) =>
  Effect.flatMap(DsqlLocal, (cluster) =>
    build(
      DsqlLayer.layer(
        { ...cluster.options, ...options },
        { credentials: DsqlAuth.layerStatic(cluster.credentials), ...swaps }
      )
    )
  )

/** On a client of the local cluster. */
export const locally = <A, E, R>(effect: Effect.Effect<A, E, R | Client>, options?: Partial<DsqlConfig.Options>) =>
  Effect.provide(effect, DsqlLocal.layerClient(options))

/** On a client of a server that refuses things. */
export const against = <A, E, R>(refusals: Refusals, effect: Effect.Effect<A, E, R | Client>) =>
  Effect.provide(effect, layerSaying(refusals))
