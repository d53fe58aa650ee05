/** What the adapters stand on: the layers of this package in one runtime, for programs that speak in promises. */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as ManagedRuntime from "effect/ManagedRuntime"
import { callbackify } from "node:util"
import type { CustomTypesConfig } from "pg"
import * as Auth from "../Auth.js"
import { type DataOptions, DsqlConfig, environment, layerEnvironment, make } from "../Config.js"
import { type DsqlConfigError, type DsqlRegionError, isDsqlError } from "../Errors.js"
import { invalid } from "../internal/checks.js"
import { overlay } from "../internal/overlay.js"
import { read } from "../internal/variables.js"

/**
 * What to connect to and how: the options that are plain data ({@link DataOptions}), and these. Lengths of time are numbers
 * of milliseconds or texts such as `"15 minutes"`. What is left out, `host` included, is as the environment says
 * (`DSQL_HOST` and the others), else as the default.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options extends Partial<Omit<DataOptions, "unsafeRetryTransactions">> {
  /**
   * AWS credentials, or a provider of the AWS SDK such as `fromTemporaryCredentials(…)`; it is asked when a token is signed,
   * not for every connection. Default: those of `profile` if there is one, else what the AWS SDK finds.
   */
  readonly credentials?: Awaited<ReturnType<Auth.Provider>> | Auth.Provider | undefined
  /** Parsers for column types, as `pg` takes them. */
  readonly types?: CustomTypesConfig | undefined
}

/** Types are not checked everywhere, and what else there is would be taken for no options at all. */
const isObject = (options: unknown): options is object =>
  typeof options === "object" && options !== null && !Array.isArray(options)

/** The configuration that some options are. */
export const configOf = (
  options: string | Options | undefined
): Layer.Layer<DsqlConfig, DsqlConfigError | DsqlRegionError> => {
  if (options === undefined) return layerEnvironment
  if (typeof options === "string") return Layer.effect(DsqlConfig, make(options))
  if (!isObject(options)) {
    return Layer.fail(invalid("options", "must be a cluster's endpoint, a connection string or an object of options"))
  }
  const { credentials: _, host, types, ...data } = options
  if (host !== undefined) return Layer.effect(DsqlConfig, make({ ...data, host, types }))
  const all = Effect.map(read(environment), (found) => ({ ...overlay(found, data), host: found.host, types }))
  return Layer.effect(DsqlConfig, Effect.flatMap(all, make))
}

/** The token that some options log in with. */
export const tokenOf = (options: string | Options | undefined): Layer.Layer<Auth.DsqlToken, never, DsqlConfig> => {
  const credentials = isObject(options) ? options.credentials : undefined
  const provider =
    credentials === undefined
      ? Auth.layerCredentials
      : Auth.layerProvider(typeof credentials === "function" ? credentials : async () => credentials)
  return Layer.provide(Auth.layerToken, provider)
}

/** Effects as promises, which reject with the very error that an effect fails with. */
export type Run = <A>(effect: Effect.Effect<A, unknown>, signal?: AbortSignal | undefined) => Promise<A>

/** What an effect has come to. */
export const promised = async <A>(
  exit: Promise<Exit.Exit<A, unknown>>,
  signal?: AbortSignal | undefined
): Promise<A> => {
  const ended = await exit
  if (Exit.isSuccess(ended)) return ended.value
  if (signal?.aborted === true && Cause.isInterruptedOnly(ended.cause)) throw signal.reason
  // Inside of a span Effect puts a proxy around an error.
  const error = Cause.originalError(Cause.squash(ended.cause))
  // Where it was made there is nothing of the caller's program on the stack.
  if (isDsqlError(error)) Error.captureStackTrace(error)
  throw error
}

/** A promise; or nothing, where there is a callback. What that throws ends the process, as with the driver. */
export const orCallBack = <A>(
  promise: Promise<A>,
  callback: ((error: unknown, value: A) => void) | undefined
): Promise<A> | undefined => {
  if (callback === undefined) return promise
  callbackify(() => promise)(callback)
  return undefined
}

/** Something built from layers, with all that runs for it. */
export interface Opened<S> {
  readonly service: S
  readonly run: Run
  /** Ends all of it, in good order. */
  readonly close: () => Promise<void>
}

/** Builds a service, or rejects and leaves nothing behind. */
export const open = async <I, S>(tag: Context.Tag<I, S>, layer: Layer.Layer<I, unknown>): Promise<Opened<S>> => {
  const runtime = ManagedRuntime.make(layer)
  let isClosed = false
  const close = () => {
    isClosed = true
    return runtime.dispose()
  }
  // What is asked of something that has ended still gets an answer of its own.
  const run: Run = (effect, signal) => {
    const options = signal === undefined ? undefined : { signal }
    const exit = isClosed ? Effect.runPromiseExit(effect, options) : runtime.runPromiseExit(effect, options)
    return promised(exit, signal)
  }
  try {
    return { service: await promised(runtime.runPromiseExit(tag)), run, close }
  } catch (error) {
    await close()
    throw error
  }
}
