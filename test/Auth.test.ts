import { assert, describe, it } from "@effect/vitest"
import { Cause, Clock, Context, Deferred, Duration, Effect, Exit, Fiber, Layer, Redacted, TestClock } from "effect"
import { DsqlAuth, DsqlConfig, DsqlErrors } from "effect-dsql"

const host = "abcdefghijklmnopqrstuvwxyz.dsql.us-east-1.on.aws"

const credentials: DsqlAuth.Credentials = { accessKeyId: "AKIDEXAMPLE", secretAccessKey: Redacted.make("secret") }

/** A signer whose tokens say when they were made, and that fails while it is told to. */
const makeSigner = Effect.sync(() => {
  const signed: Array<DsqlAuth.SignRequest> = []
  const state = { failing: false }
  const sign: DsqlAuth.Sign = (request) =>
    Effect.gen(function* () {
      signed.push(request)
      // The real signer is asynchronous too.
      yield* Effect.yieldNow()
      if (state.failing) {
        return yield* new DsqlErrors.DsqlTokenError({ reason: "SigningFailed", host: request.host })
      }
      return Redacted.make(`signed at ${yield* Clock.currentTimeMillis}`)
    })
  return { signed, state, sign }
})

const tokens = (
  sign: DsqlAuth.Sign,
  options: Partial<DsqlConfig.Options> = {},
  provider = DsqlAuth.layerStatic(credentials)
) =>
  DsqlAuth.layerTokenFrom(sign).pipe(
    Layer.provide(provider),
    Layer.provide(DsqlConfig.layer({ host, ...options })),
    Layer.build,
    Effect.map(Context.get(DsqlAuth.DsqlToken))
  )

/** Expiring credentials, each valid for a minute from when it was asked for. */
const makeProvider = Effect.map(Effect.clock, (clock) => {
  const state = { calls: 0, failing: false }
  const provider: DsqlAuth.Provider = async () => {
    state.calls += 1
    if (state.failing) throw new Error("the provider is down")
    return {
      accessKeyId: `key ${state.calls}`,
      secretAccessKey: "secret",
      expiration: new Date(clock.unsafeCurrentTimeMillis() + 60_000)
    }
  }
  return { state, provider }
})

/** Lets promises of a provider settle, which the test clock knows nothing of. */
const settle = Effect.promise(() => new Promise<void>((resolve) => setImmediate(resolve)))

describe("DsqlToken", () => {
  it.scoped("signs for the host, the region and the user's action, with the configured duration", () =>
    Effect.gen(function* () {
      const { sign, signed } = yield* makeSigner
      yield* (yield* tokens(sign)).get
      yield* (yield* tokens(sign, { user: "orders", tokenDuration: "1 hour" })).get
      assert.deepStrictEqual(signed, [
        { host, region: "us-east-1", action: "DbConnectAdmin", duration: 900, credentials },
        { host, region: "us-east-1", action: "DbConnect", duration: 3600, credentials }
      ])
    })
  )

  it.scoped("is signed once for callers at the same time, and not again while usable", () =>
    Effect.gen(function* () {
      const { sign, signed } = yield* makeSigner
      const { get } = yield* tokens(sign)
      const all = yield* Effect.all(
        Array.from({ length: 100 }, () => get),
        { concurrency: "unbounded" }
      )
      yield* TestClock.adjust("5 minutes")
      assert.deepStrictEqual(new Set([...all, yield* get].map(Redacted.value)), new Set(["signed at 0"]))
      assert.strictEqual(signed.length, 1)
    })
  )

  it.scoped("is read without suspending while usable", () =>
    Effect.gen(function* () {
      const { sign } = yield* makeSigner
      const { get } = yield* tokens(sign)
      yield* get
      assert(Exit.isSuccess(Effect.runSyncExit(get)))
    })
  )

  it.scoped("is renewed in the background between 75 and 85 % of its usable time", () =>
    Effect.gen(function* () {
      const { sign, signed } = yield* makeSigner
      const { get } = yield* tokens(sign)
      yield* get
      // 15 minutes less a margin of 30 seconds are 870 seconds.
      yield* TestClock.adjust(Duration.seconds(870 * 0.75 - 1))
      assert.strictEqual(signed.length, 1)
      yield* TestClock.adjust(Duration.seconds(870 * 0.1 + 2))
      assert.strictEqual(signed.length, 2)
      assert.match(Redacted.value(yield* get), /signed at [67]\d{5}$/)
    })
  )

  it.scoped("serves no token past its usable time", () =>
    Effect.gen(function* () {
      const { sign, signed } = yield* makeSigner
      const { get } = yield* tokens(sign)
      for (let minute = 0; minute < 6 * 60; minute += 2) {
        const age = (yield* Clock.currentTimeMillis) - Number(Redacted.value(yield* get).slice("signed at ".length))
        assert.isBelow(age, 870_000)
        yield* TestClock.adjust("2 minutes")
      }
      // One at the start, and one every 870 s × 0.75 … 0.85.
      assert.isAtLeast(signed.length, 1 + Math.floor((6 * 3600) / (870 * 0.85)))
      assert.isAtMost(signed.length, 1 + Math.ceil((6 * 3600) / (870 * 0.75)))
    })
  )

  it.scoped("goes on serving while renewal fails, and heals", () =>
    Effect.gen(function* () {
      const { sign, signed, state } = yield* makeSigner
      const { get } = yield* tokens(sign)
      yield* get
      state.failing = true
      yield* TestClock.adjust("14 minutes")
      assert.isAbove(signed.length, 2)
      assert.strictEqual(Redacted.value(yield* get), "signed at 0")
      state.failing = false
      yield* TestClock.adjust("1 minute")
      assert.notStrictEqual(Redacted.value(yield* get), "signed at 0")
    })
  )

  it.scoped("fails typed when nothing usable is left, keeps no failure, and recovers", () =>
    Effect.gen(function* () {
      const { sign, state } = yield* makeSigner
      const { get } = yield* tokens(sign)
      state.failing = true
      const error = yield* Effect.flip(get)
      assert.strictEqual(error._tag, "DsqlTokenError")
      state.failing = false
      assert.strictEqual(Redacted.value(yield* get), "signed at 0")
    })
  )

  it.scoped("signs on demand after a freeze in which no timer ran: once, for all who ask", () =>
    Effect.gen(function* () {
      const { sign, signed } = yield* makeSigner
      // A clock that jumps without waking anybody, like a frozen Lambda's.
      let now = 0
      const frozen: Clock.Clock = { ...Clock.make(), unsafeCurrentTimeMillis: () => now, sleep: () => Effect.never }
      const { get } = yield* tokens((request) =>
        Effect.map(sign(request), () => Redacted.make(`signed at ${now}`))
      ).pipe(Effect.withClock(frozen))
      assert.strictEqual(Redacted.value(yield* get), "signed at 0")
      now = Duration.toMillis("2 hours")
      const all = yield* Effect.all(
        Array.from({ length: 100 }, () => get),
        { concurrency: "unbounded" }
      )
      assert.deepStrictEqual(new Set(all.map(Redacted.value)), new Set([`signed at ${now}`]))
      assert.strictEqual(signed.length, 2)
    })
  )

  it.scoped("too short to have a usable time is signed for each login", () =>
    Effect.gen(function* () {
      const { sign, signed } = yield* makeSigner
      const { get } = yield* tokens(sign, { tokenDuration: "1 second" })
      yield* get
      yield* get
      assert.strictEqual(signed.length, 2)
      yield* TestClock.adjust("1 hour")
      assert.strictEqual(signed.length, 2)
    })
  )

  it.scoped("interrupting one caller leaves the signing to the others", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      const { get } = yield* tokens(() => Effect.as(Deferred.await(gate), Redacted.make("token")))
      const first = yield* Effect.fork(get)
      const second = yield* Effect.fork(get)
      yield* Effect.yieldNow()
      yield* Fiber.interrupt(first)
      yield* Deferred.succeed(gate, undefined)
      assert.strictEqual(Redacted.value(yield* Fiber.join(second)), "token")
    })
  )

  it.scoped("is not wedged by an interruption at any step of getting it", () =>
    Effect.gen(function* () {
      for (let step = 0; step < 60; step++) {
        const { get } = yield* tokens(() => Effect.as(Effect.yieldNow(), Redacted.make("token")))
        // The fiber yields after every few operations, so that each moment is one to be interrupted at.
        const caller = yield* Effect.fork(Effect.withMaxOpsBeforeYield(get, 16))
        for (let i = 0; i < step; i++) yield* Effect.yieldNow()
        yield* Fiber.interrupt(caller)
        const again = yield* get.pipe(Effect.timeoutOption("1 second"), Effect.fork)
        for (let i = 0; i < 200; i++) yield* Effect.yieldNow()
        assert.isTrue((yield* Fiber.poll(again))._tag === "Some", `hangs after an interruption at step ${step}`)
      }
    })
  )

  it.scoped("goes on being renewed after a signer or provider has thrown", () =>
    Effect.gen(function* () {
      const { sign, signed } = yield* makeSigner
      let broken = false
      const { get } = yield* tokens((request) => (broken ? Effect.die("a bug of the signer") : sign(request)))
      yield* get
      broken = true
      yield* TestClock.adjust("14 minutes")
      broken = false
      yield* TestClock.adjust("1 hour")
      assert.isAtLeast(signed.length, 5)
    })
  )

  it.effect("fails rather than hangs once its layer is gone", () =>
    Effect.gen(function* () {
      const { sign } = yield* makeSigner
      const { get } = yield* Effect.scoped(tokens(sign))
      const exit = yield* Effect.exit(get)
      assert(Exit.isFailure(exit) && Cause.isInterruptedOnly(exit.cause))
    })
  )
})

describe("DsqlCredentials", () => {
  it.scoped("a provider without expiration is asked once per signature", () =>
    Effect.gen(function* () {
      const { sign, signed } = yield* makeSigner
      let calls = 0
      const provider = DsqlAuth.layerProvider(async () => {
        calls += 1
        return { accessKeyId: "id", secretAccessKey: "secret" }
      })
      const { get } = yield* tokens(sign, {}, provider)
      yield* Effect.all([get, get, get], { concurrency: "unbounded" })
      assert.strictEqual(calls, 1)
      assert.strictEqual(signed.length, 1)
      yield* TestClock.adjust("14 minutes")
      yield* settle
      assert.strictEqual(calls, 2)
    })
  )

  it.scoped("that expire before the token are renewed in time", () =>
    Effect.gen(function* () {
      const { sign, signed } = yield* makeSigner
      const { provider, state } = yield* makeProvider
      const { get } = yield* tokens(sign, {}, DsqlAuth.layerProvider(provider))
      yield* get
      for (let second = 0; second < 600; second += 5) {
        yield* TestClock.adjust("5 seconds")
        yield* settle
        yield* get
        const used = signed.at(-1)?.credentials
        assert.isAbove(used?.expiration ?? 0, yield* Clock.currentTimeMillis)
      }
      assert.isAtLeast(state.calls, 600 / 51)
      assert.isAtMost(state.calls, 600 / 40)
    })
  )

  it.scoped("that have long to go are not asked for again", () =>
    Effect.gen(function* () {
      const { sign } = yield* makeSigner
      let calls = 0
      const provider = DsqlAuth.layerProvider(async () => {
        calls += 1
        return { accessKeyId: "id", secretAccessKey: "secret", expiration: new Date(Duration.toMillis("6 hours")) }
      })
      const { get } = yield* tokens(sign, {}, provider)
      for (let hour = 0; hour < 5; hour++) {
        yield* get
        yield* TestClock.adjust("1 hour")
        yield* settle
      }
      assert.strictEqual(calls, 1)
    })
  )

  it.scoped("failing providers fail typed, with the cause", () =>
    Effect.gen(function* () {
      const { sign } = yield* makeSigner
      const cause = new Error("no route to the metadata service")
      const { get } = yield* tokens(
        sign,
        {},
        DsqlAuth.layerProvider(() => Promise.reject(cause))
      )
      const error = yield* Effect.flip(get)
      assert(error._tag === "DsqlCredentialsError")
      assert.strictEqual(error.reason, "ProviderFailed")
      assert.strictEqual(error.cause, cause)
    })
  )

  it.scoped("that are no credentials are refused before anything is signed", () =>
    Effect.gen(function* () {
      const { sign, signed } = yield* makeSigner
      const wrong: ReadonlyArray<unknown> = [
        undefined,
        {},
        { accessKeyId: "", secretAccessKey: "secret" },
        { accessKeyId: "id", secretAccessKey: "secret", expiration: "2030-01-01T00:00:00Z" },
        { accessKeyId: "id", secretAccessKey: "secret", expiration: new Date(NaN) }
      ]
      for (const value of wrong) {
        const provider = async () => value as Awaited<ReturnType<DsqlAuth.Provider>>
        const { get } = yield* tokens(sign, {}, DsqlAuth.layerProvider(provider))
        const error = yield* Effect.flip(get)
        assert(error._tag === "DsqlCredentialsError")
        assert.strictEqual(error.reason, "ProviderFailed")
      }
      const { get } = yield* tokens(sign, {}, DsqlAuth.layerStatic({ ...credentials, expiration: 0 }))
      const expired = yield* Effect.flip(get)
      assert(expired._tag === "DsqlCredentialsError")
      assert.strictEqual(expired.reason, "Expired")
      assert.strictEqual(signed.length, 0)
    })
  )

  it.scoped("go on serving near their end while the provider fails", () =>
    Effect.gen(function* () {
      const { provider, state } = yield* makeProvider
      const { get } = yield* Effect.provide(DsqlAuth.DsqlCredentials, DsqlAuth.layerProvider(provider))
      const first = yield* get
      state.failing = true
      yield* TestClock.adjust("50 seconds")
      assert.strictEqual(yield* get, first)
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual((yield* Effect.flip(get)).reason, "ProviderFailed")
    })
  )

  it.scoped("already expired ones are refused before anything is signed", () =>
    Effect.gen(function* () {
      const { sign, signed } = yield* makeSigner
      yield* TestClock.adjust("1 hour")
      const { get } = yield* tokens(
        sign,
        {},
        DsqlAuth.layerProvider(async () => ({
          accessKeyId: "id",
          secretAccessKey: "secret",
          expiration: new Date(1000)
        }))
      )
      const error = yield* Effect.flip(get)
      assert(error._tag === "DsqlCredentialsError")
      assert.strictEqual(error.reason, "Expired")
      assert.strictEqual(signed.length, 0)
    })
  )

  it.scoped("of an unknown profile fail as ProfileNotFound", () =>
    Effect.gen(function* () {
      const { sign } = yield* makeSigner
      for (const layer of [DsqlAuth.layerProfile("no-such-profile"), DsqlAuth.layerCredentials]) {
        const { get } = yield* DsqlAuth.layerTokenFrom(sign).pipe(
          Layer.provide(layer),
          Layer.provide(DsqlConfig.layer({ host, profile: "no-such-profile" })),
          Layer.build,
          Effect.map(Context.get(DsqlAuth.DsqlToken))
        )
        const error = yield* Effect.flip(get)
        assert(error._tag === "DsqlCredentialsError")
        assert.strictEqual(error.reason, "ProfileNotFound")
        assert.include(error.message, "no-such-profile")
      }
    })
  )
})

describe("sign", () => {
  it.effect("makes the presigned URL that the service takes, without its scheme", () =>
    Effect.gen(function* () {
      const token = Redacted.value(
        yield* DsqlAuth.sign({ host, region: "us-east-1", action: "DbConnectAdmin", duration: 60, credentials })
      )
      assert.isTrue(token.startsWith(`${host}/?`))
      const query = new URL(`https://${token}`).searchParams
      assert.strictEqual(query.get("Action"), "DbConnectAdmin")
      assert.strictEqual(query.get("X-Amz-Expires"), "60")
      assert.match(query.get("X-Amz-Credential") ?? "", /^AKIDEXAMPLE\/\d{8}\/us-east-1\/dsql\/aws4_request$/)
    })
  )

  it.effect("fails typed with credentials that cannot sign, and does not show them", () =>
    Effect.gen(function* () {
      const broken = { accessKeyId: "id", secretAccessKey: Redacted.make(undefined as unknown as string) }
      const error = yield* Effect.flip(
        DsqlAuth.sign({ host, region: "us-east-1", action: "DbConnect", duration: 60, credentials: broken })
      )
      assert.strictEqual(error._tag, "DsqlTokenError")
    })
  )
})
