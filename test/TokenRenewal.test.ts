/** Renewals that take for ever: what statements do meanwhile, as a trace shows it. */
import { SqlClient } from "@effect/sql"
import { assert, layer } from "@effect/vitest"
import { Context, Deferred, Effect, Layer, type Tracer } from "effect"
import { DsqlAuth, type DsqlConfig, DsqlLayer } from "effect-dsql"
import { DsqlLocal } from "effect-dsql/Local"
import { following, movableTime } from "./support/movableTime.js"
import { until } from "./support/sockets.js"

const callers = 4

/** A tracer that notes when spans of these names begin and end. */
const noting = (names: ReadonlyArray<string>) =>
  Effect.map(Effect.tracer, (native) => {
    const notes: Array<string> = []
    const tracer: Tracer.Tracer = {
      ...native,
      span: (name, ...rest) => {
        const span = native.span(name, ...rest)
        if (!names.includes(name)) return span
        notes.push(`${name} begins`)
        const end = span.end.bind(span)
        return Object.assign(span, {
          end: (...how: Parameters<typeof end>) => {
            notes.push(`${name} ends`)
            end(...how)
          }
        })
      }
    }
    return { notes, tracer }
  })

/** A client whose first token is signed at once. Each other one is signed when `sign` lets it. */
const makeClient = (options: Partial<DsqlConfig.Options>) =>
  Effect.gen(function* () {
    const cluster = yield* DsqlLocal
    const { notes, tracer } = yield* noting(["DsqlToken.sign", "DsqlConnection.open", "sql.execute"])
    const state = { signatures: 0, gate: yield* Deferred.make<void>() }
    const token = DsqlAuth.layerTokenFrom((request) =>
      Effect.suspend(() =>
        Effect.zipRight(state.signatures++ === 0 ? Effect.void : Deferred.await(state.gate), DsqlAuth.sign(request))
      )
    )
    const db = DsqlLayer.layer(
      { ...cluster.options, ...options },
      { credentials: DsqlAuth.layerStatic(cluster.credentials), token }
    )
    const services = yield* Layer.build(db).pipe(Effect.withClock(following), Effect.withTracer(tracer))
    const sql = Context.get(services, SqlClient.SqlClient)
    const ask = Effect.withTracer(sql`SELECT 1 AS one`, tracer)
    const count = (note: string) => notes.filter((other) => other === note).length
    const signed = () => count("DsqlToken.sign ends")
    const callAll = Effect.all(
      Array.from({ length: callers }, () => ask),
      { concurrency: "unbounded" }
    )
    // Whoever is still dialling when time is moved has taken too long.
    const noneDials = until(() => count("DsqlConnection.open begins") === count("DsqlConnection.open ends"))
    return {
      notes,
      statements: Effect.zipLeft(callAll, noneDials),
      isWanted: () => state.signatures === signed() + 1,
      sign: Effect.gen(function* () {
        const { gate } = state
        state.gate = yield* Deferred.make<void>()
        yield* Deferred.succeed(gate, undefined)
        yield* until(() => state.signatures === signed())
      })
    }
  })

/** What a trace has of one renewal: all that begins and ends while it is under way. */
const duringRenewals = (notes: ReadonlyArray<string>): ReadonlyArray<Readonly<Record<string, number>>> => {
  const renewals: Array<Record<string, number>> = []
  let open: Record<string, number> | undefined
  for (const note of notes) {
    if (note === "DsqlToken.sign begins") open = {}
    else if (note === "DsqlToken.sign ends") {
      renewals.push(open!)
      open = undefined
    } else if (open !== undefined) open[note] = (open[note] ?? 0) + 1
  }
  // The first one is no renewal.
  return renewals.slice(1)
}

/**
 * Lets tokens be renewed, with statements every half minute. A token lasts for 15 minutes, is renewed after 11 to 13 of them,
 * and a login may begin with it until half a minute before its end. It is signed so many half minutes after that is wanted.
 */
const renew = (options: Partial<DsqlConfig.Options>, renewals: number, late: number) =>
  Effect.gen(function* () {
    const moveTime = yield* movableTime
    const { isWanted, notes, sign, statements } = yield* makeClient(options)
    const halfMinute = Effect.zipRight(moveTime("30 seconds"), statements)
    const { loginCount } = yield* DsqlLocal
    yield* statements
    const before = yield* loginCount
    for (let n = 0; n < renewals; n++) {
      yield* Effect.repeat(halfMinute, { until: isWanted })
      yield* Effect.replicateEffect(halfMinute, late)
      yield* sign
    }
    return { renewals: duringRenewals(notes), logins: (yield* loginCount) - before }
  })

layer(DsqlLocal.layer(), { excludeTestServices: true, timeout: "60 seconds" })(
  "no statement waits for a token",
  (it) => {
    it.scoped("that is renewed so late that the old one is dead, on connections that are open", () =>
      Effect.gen(function* () {
        const { logins, renewals } = yield* renew({ pool: { max: callers } }, 2, 10)
        assert.strictEqual(logins, 0)
        assert.lengthOf(renewals, 2)
        for (const { "sql.execute begins": begun, "sql.execute ends": ended, ...others } of renewals) {
          assert.isAtLeast(begun!, 10 * callers)
          assert.isAtLeast(ended!, begun!)
          assert.deepStrictEqual(others, {})
        }
      })
    )

    it.scoped("that is being renewed, on connections that have to be opened", () =>
      Effect.gen(function* () {
        const { logins, renewals } = yield* renew({ pool: { max: callers, maxLifetime: "30 seconds" } }, 3, 1)
        assert.isAtLeast(logins, 3 * 22)
        assert.lengthOf(renewals, 3)
        for (const renewal of renewals) {
          const {
            "DsqlConnection.open ends": opened = 0,
            "sql.execute begins": begun,
            "sql.execute ends": ended
          } = renewal
          assert.isAtLeast(opened, 1)
          assert.isAtLeast(begun!, callers)
          assert.isAtLeast(ended!, begun!)
        }
      })
    )
  }
)
