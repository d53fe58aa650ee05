import { DsqlSigner } from "@aws-sdk/dsql-signer"
import * as fc from "effect/FastCheck"
import { describe, expect, it } from "vitest"
import { tokenHint } from "../../src/local/refusals.js"
import { Iam, type Identity } from "../../src/local/iam.js"
import { credentialsOf } from "./support.js"
import { maxClockAhead, type TokenContext, type TokenVerdict, verifyToken } from "../../src/local/token.js"

const host = "abcdefghijklmnopqrstuvwxyz.dsql.us-east-1.on.aws"
const longTerm: Identity = {
  accessKeyId: "AKIAIOSFODNN7EXAMPLE",
  secretAccessKey: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
}
const temporary: Identity = { ...longTerm, accessKeyId: "ASIAIOSFODNN7EXAMPLE", sessionToken: "IQoJb3/+=abc%20&x==" }

const iam = new Iam()
const principals = { longTerm: iam.add(longTerm), temporary: iam.add(temporary) }

const sign = (
  identity: Identity = longTerm,
  options: { region?: string; hostname?: string; expiresIn?: number } = {}
) => new DsqlSigner({ hostname: host, region: "us-east-1", credentials: credentialsOf(identity), ...options })

/** The signer takes the real time; `now` is that of the token. */
const admin = async (...args: Parameters<typeof sign>) => {
  const token = await sign(...args).getDbConnectAdminAuthToken()
  const [, date = ""] = /X-Amz-Date=(\w+)/.exec(token) ?? []
  return { token, date, now: Date.parse(date.replace(/(....)(..)(..T..)(..)(..)/, "$1-$2-$3:$4:$5")) }
}

const judge = (token: string, context: Partial<TokenContext> & { now: number }): TokenVerdict =>
  verifyToken(token, {
    host,
    region: "us-east-1",
    user: "admin",
    findPrincipal: (id) => iam.find(id),
    ...context
  })

const reasonOf = (verdict: TokenVerdict): string => (verdict._tag === "Accepted" ? "accepted" : verdict.refusal.reason)
const hintOf = (verdict: TokenVerdict): string => (verdict._tag === "Accepted" ? "" : tokenHint(verdict.refusal))

const replaceParameter = (token: string, name: string, value: string) =>
  token.replace(new RegExp(`${name}=[^&]*`), `${name}=${value}`)

describe("a token of the AWS signer", () => {
  it("is accepted for admin", async () => {
    const { token, now } = await admin()
    expect(judge(token, { now })).toEqual({ _tag: "Accepted", principal: principals.longTerm })
  })

  it("is accepted with a session token", async () => {
    const { token, now } = await admin(temporary)
    expect(judge(token, { now })).toEqual({ _tag: "Accepted", principal: principals.temporary })
  })

  it("is accepted for another user with DbConnect", async () => {
    const { now } = await admin()
    expect(reasonOf(judge(await sign().getDbConnectAuthToken(), { now, user: "orders" }))).toBe("accepted")
  })

  it("is accepted whatever the order of its parameters", async () => {
    const { token, now } = await admin()
    const [path, search = ""] = token.split("?")
    expect(reasonOf(judge(`${path}?${search.split("&").reverse().join("&")}`, { now }))).toBe("accepted")
  })

  it("lives from five minutes before its date until its expiry", async () => {
    const { token, now } = await admin(longTerm, { expiresIn: 60 })
    const at = (later: number) => reasonOf(judge(token, { now: now + later }))
    expect(at(-maxClockAhead - 1)).toBe("NotYetValid")
    expect(at(-maxClockAhead)).toBe("accepted")
    expect(at(59_999)).toBe("accepted")
    expect(at(60_000)).toBe("Expired")
  })
})

describe("a refused token", () => {
  it("that has expired says since when", async () => {
    const { token, now } = await admin(longTerm, { expiresIn: 60 })
    const verdict = judge(token, { now: now + 61_000 })
    const written = (time: number) => `${new Date(time).toISOString().slice(0, 19).replace(/[-:]/g, "")}Z`
    expect(hintOf(verdict)).toBe(
      `Signature expired: ${written(now + 60_000)} is now earlier than ${written(now + 61_000)}`
    )
  })

  it("for the wrong action says which", async () => {
    const { token, now } = await admin()
    const connect = await sign().getDbConnectAuthToken()
    expect(hintOf(judge(connect, { now }))).toBe("Wrong user to action mapping. user: admin, action: DbConnect")
    expect(hintOf(judge(token, { now, user: "orders" }))).toBe(
      "Wrong user to action mapping. user: orders, action: DbConnectAdmin"
    )
  })

  it("may come from the wrong signer", async () => {
    const other = "zzzzzzzzzzzzzzzzzzzzzzzzzz.dsql.us-east-1.on.aws"
    const cases: Array<[string, { token: string; now: number }]> = [
      ["WrongSignature", await admin({ ...longTerm, secretAccessKey: "x" })],
      ["UnknownAccessKey", await admin({ ...longTerm, accessKeyId: "AKIAXXXXXXXXXXXXXXXX" })],
      ["WrongSessionToken", await admin({ ...longTerm, sessionToken: "x" })],
      ["WrongSessionToken", await admin({ ...temporary, sessionToken: "x" })],
      [
        "WrongSessionToken",
        await admin({ accessKeyId: temporary.accessKeyId, secretAccessKey: temporary.secretAccessKey })
      ],
      ["WrongScope", await admin(longTerm, { region: "eu-west-1" })],
      ["WrongHost", await admin(longTerm, { hostname: other })]
    ]
    for (const [reason, { token, now }] of cases) expect(reasonOf(judge(token, { now }))).toBe(reason)
  })

  it("may be malformed or changed", async () => {
    const { token, date, now } = await admin()
    const set = (name: string, value: string) => replaceParameter(token, name, value)
    const scope = (key: string, ...rest: Array<string>) => set("X-Amz-Credential", [key, ...rest].join("%2F"))
    const key = longTerm.accessKeyId
    const day = date.slice(0, 8)
    const cases: Array<[string, string]> = [
      ["Malformed", ""],
      ["Malformed", "correct horse battery staple"],
      ["Malformed", `https://${token}`],
      ["Malformed", token.replace("/?", "?")],
      ["Malformed", token.replace("/?", "/x?")],
      ["Malformed", `${token}#`],
      ["Malformed", `${token}&`],
      ["Malformed", `${token}&Action=DbConnectAdmin`],
      ["Malformed", `${token}&x=%`],
      ["Malformed", token.replace("Action=", "Act=")],
      ["Malformed", set("X-Amz-Date", "20261399T000000Z")],
      ["Malformed", set("X-Amz-Date", "yesterday")],
      ["Malformed", set("X-Amz-Credential", key)],
      ["Malformed", set("X-Amz-Signature", "")],
      ["WrongAlgorithm", set("X-Amz-Algorithm", "AWS4-HMAC-SHA1")],
      ["WrongScope", scope(key, day, "us-east-1", "dsql", "aws3_request")],
      ["WrongScope", scope(key, day, "us-east-1", "s3", "aws4_request")],
      ["WrongScope", scope(key, day, "us-west-2", "dsql", "aws4_request")],
      ["WrongScope", scope(key, "20200101", "us-east-1", "dsql", "aws4_request")],
      ["WrongSignedHeaders", set("X-Amz-SignedHeaders", "host%3Bx-a")],
      ["InvalidExpires", set("X-Amz-Expires", "0")],
      ["InvalidExpires", set("X-Amz-Expires", "604801")],
      ["InvalidExpires", set("X-Amz-Expires", "-1")],
      ["InvalidExpires", set("X-Amz-Expires", "1e3")],
      ["WrongSignature", set("X-Amz-Expires", "901")],
      ["WrongSignature", set("Action", "DbConnect")],
      ["WrongSignature", token.replace(host, host.toUpperCase())],
      ["WrongSignature", `${token}&more=1`],
      ["WrongSignature", set("X-Amz-Signature", "a".repeat(63))],
      ["WrongSessionToken", `${token}&X-Amz-Security-Token=x`]
    ]
    for (const [reason, changed] of cases)
      expect([changed, reasonOf(judge(changed, { now }))]).toEqual([changed, reason])
    for (const part of ["terminator", "service", "region", "date"] as const) {
      expect(tokenHint({ reason: "WrongScope", part })).not.toBe("")
    }
  })

  it("has one character changed, anywhere", async () => {
    const { token, now } = await admin(temporary)
    const character = fc.constantFrom(..."abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789%&=-/?#+ ")
    fc.assert(
      fc.property(fc.nat(token.length - 1), character, (index, char) => {
        const changed = token.slice(0, index) + char + token.slice(index + 1)
        // Only the hexadecimal digits of a percent escape may be written in two ways.
        fc.pre(changed.replace(/%../g, (escape) => escape.toUpperCase()) !== token)
        return judge(changed, { now })._tag === "Refused"
      }),
      { numRuns: 2000 }
    )
  })

  it("is any text", () => {
    fc.assert(fc.property(fc.string(), (text) => judge(text, { now: 0 })._tag === "Refused"))
    fc.assert(fc.property(fc.string(), (text) => judge(`${host}/?${text}`, { now: 0 })._tag === "Refused"))
  })
})
