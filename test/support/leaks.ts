/** Watches everything by which a secret could get out of a program, and looks for it there in every form. */
import { Cause, Effect, Exit, Fiber, Logger, LogLevel, Metric, type Tracer } from "effect"
import { inspect } from "node:util"

export const sinks = ["value", "log", "span", "failure", "metric", "warning", "console"] as const
export type Sink = (typeof sinks)[number]

export interface Watch {
  /** A value in the hands of a program, which may print it or log it. */
  readonly hand: (...values: ReadonlyArray<unknown>) => Effect.Effect<void>
  /** What has come out where. */
  readonly seen: Readonly<Record<Sink, Array<string>>>
}

/** As JSON, and all strings in it without the escapes that JSON gives them. */
const json = (value: unknown): string => {
  const met = new Set<unknown>()
  const strings: Array<string> = []
  try {
    const text = JSON.stringify(value, (key, inner: unknown) => {
      strings.push(key)
      if (typeof inner === "bigint") return String(inner)
      if (typeof inner === "string") strings.push(inner)
      if (typeof inner !== "object" || inner === null) return inner
      // What has been written once need not be written again, nor can it be where it is a part of itself.
      if (met.has(inner)) return "[again]"
      met.add(inner)
      return inner
    })
    return [text, ...strings].join("\n")
  } catch (error) {
    return `${String(error)}\n${strings.join("\n")}`
  }
}

/** A value in all the ways it may be printed; a table of attributes, say, is best seen by one, an error by another. */
export const show = (value: unknown): string =>
  [
    inspect(value, { depth: Infinity, maxStringLength: Infinity, maxArrayLength: Infinity, breakLength: Infinity }),
    json(value),
    value instanceof Error ? `${value.name} ${value.message} ${value.stack}` : ""
  ].join("\n")

const causes = (exit: Exit.Exit<unknown, unknown>): string =>
  Exit.isSuccess(exit)
    ? ""
    : [
        Cause.pretty(exit.cause),
        Cause.pretty(exit.cause, { renderErrorCause: true }),
        show(exit),
        show(exit.cause)
      ].join("\n")

/** All that Effect has; the last prints to the console and is seen there. */
const formats: ReadonlyArray<Logger.Logger<unknown, unknown>> = [
  Logger.stringLogger,
  Logger.logfmtLogger,
  Logger.jsonLogger,
  Logger.structuredLogger,
  Logger.prettyLogger({ mode: "tty" })
]

/** A BigInt in a message is more than Effect's loggers can write. */
const formatted = (format: () => unknown): string => {
  try {
    return show(format())
  } catch (error) {
    return String(error)
  }
}

/** While an effect runs, all that is logged at any level, traced, counted, printed or warned of is kept. */
export const watching = <A, E, R>(f: (watch: Watch) => Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const seen: Record<Sink, Array<string>> = {
      value: [],
      log: [],
      span: [],
      failure: [],
      metric: [],
      warning: [],
      console: []
    }
    const logger = Logger.make((entry) => {
      seen.log.push(show(entry.message), show(entry.cause), show([...entry.annotations]))
      for (const format of formats) seen.log.push(formatted(() => format.log(entry)))
    })
    const spans: Array<Tracer.Span> = []
    const tracer = yield* Effect.tracer
    const recording: Tracer.Tracer = {
      ...tracer,
      span: (...args) => {
        const span = tracer.span(...args)
        spans.push(span)
        return span
      }
    }
    const warned = (warning: Error) => void seen.warning.push(show(warning))
    const listeners = process.listeners("warning")
    const methods = ["debug", "error", "info", "log", "trace", "warn"] as const
    const original = { ...globalThis.console }
    const print = (...args: ReadonlyArray<unknown>) => void seen.console.push(...args.map(show))
    const hand: Watch["hand"] = (...values) =>
      Effect.forEach(
        values,
        (value) => {
          seen.value.push(show(value))
          // A span holds BigInts, which Effect's own loggers cannot write.
          return Effect.ignore(Effect.sandbox(Effect.logDebug("handed out", value)))
        },
        { discard: true }
      )

    const exit = yield* Effect.acquireUseRelease(
      Effect.sync(() => {
        // Node's own listener prints, past the console.
        process.removeAllListeners("warning").on("warning", warned)
        for (const method of methods) globalThis.console[method] = print
      }),
      () =>
        f({ hand, seen }).pipe(
          Effect.tap(() => Effect.withFiberRuntime((fiber) => Effect.flatMap(Fiber.dump(fiber), hand))),
          Effect.withTracer(recording),
          Effect.provide(Logger.replace(Logger.defaultLogger, logger)),
          Logger.withMinimumLogLevel(LogLevel.All),
          Effect.exit
        ),
      () =>
        Effect.promise(async () => {
          // Node tells of warnings in a tick of its own.
          await new Promise((resolve) => setImmediate(resolve))
          process.off("warning", warned)
          for (const listener of listeners) process.on("warning", listener)
          Object.assign(globalThis.console, original)
        })
    )
    seen.span.push(...spans.map(show))
    seen.metric.push(show(yield* Metric.snapshot))
    seen.failure.push(causes(exit))
    return { exit, seen }
  })

/** How a secret may look in a text. */
export const formsOf = (secret: string): ReadonlyArray<string> => {
  const bytes = Buffer.from(secret)
  const inJson = (text: string) => JSON.stringify(text).slice(1, -1)
  // In base64 it depends on how many bytes stand before, and the outermost characters on which.
  const base64 = [0, 1, 2].map((before) =>
    Buffer.concat([Buffer.alloc(before), bytes])
      .toString("base64")
      .slice(Math.ceil((before * 8) / 6), Math.floor(((before + bytes.length) * 8) / 6))
  )
  return [
    ...new Set([
      secret,
      encodeURIComponent(secret),
      encodeURIComponent(encodeURIComponent(secret)),
      inJson(secret),
      inJson(inJson(secret)),
      inspect(secret).slice(1, -1),
      ...base64,
      ...base64.map((text) => text.replaceAll("+", "-").replaceAll("/", "_")),
      bytes.toString("hex")
    ])
  ]
}

/** Which secrets are where. */
export const findings = (seen: Watch["seen"], secrets: Readonly<Record<string, string>>): ReadonlyArray<string> =>
  sinks.flatMap((sink) => {
    const text = seen[sink].join("\n")
    return Object.entries(secrets).flatMap(([name, secret]) =>
      formsOf(secret).some((form) => text.includes(form)) ? [`${sink}: ${name}`] : []
    )
  })
