import { assert, describe, it } from "vitest"
import { endpointOf, parseHost } from "../src/core/endpoint.js"
import { judge, type ServerError } from "../src/core/serverError.js"
import { margin, renewAt, usableUntil } from "../src/core/tokenLifetime.js"

const id = "abcdefghijklmnopqrstuvwxyz"

describe("parseHost", () => {
  const endpoints = [
    [`${id}.dsql.us-east-1.on.aws`, "us-east-1"],
    [`${id}.dsql-fnh4.eu-central-1.on.aws`, "eu-central-1"],
    [`  ${id.toUpperCase()}.DSQL.us-gov-west-1.on.aws. `, "us-gov-west-1"]
  ] as const
  it.each(endpoints)("reads %j as an endpoint in %s", (text, region) => {
    const host = text.trim().toLowerCase().replace(/\.$/, "")
    assert.deepStrictEqual(parseHost(text), { kind: "endpoint", host, clusterId: id, region })
  })

  it("reads 26 characters as a cluster id", () => {
    assert.deepStrictEqual(parseHost(id), { kind: "clusterId", clusterId: id })
    assert.strictEqual(endpointOf(id, "us-east-1"), `${id}.dsql.us-east-1.on.aws`)
  })

  const refused = [
    ["", /empty/],
    ["localhost", /hostaddr/],
    ["127.0.0.1", /hostaddr/],
    ["::1", /hostaddr/],
    ["[fe80::1]", /hostaddr/],
    ["vpce-0abc.dsql-fnh4.us-east-1.vpce.amazonaws.com", /hostaddr/],
    [id.slice(1), /26/],
    [`${id}a`, /26/],
    [`${id}.dsql.us-east-1.amazonaws.com`, /on\.aws/],
    [`${id}.dsql..on.aws`, /on\.aws/],
    [`a${id}.dsql.us-east-1.on.aws`, /26-character/],
    [`${id}.dsql.us-east-1.on.aws.example.com`, /on\.aws/]
  ] as const
  it.each(refused)("refuses %j and says why", (text, why) => {
    const host = parseHost(text)
    assert(host.kind === "invalid")
    assert.match(host.why, why)
  })
})

describe("token lifetime", () => {
  it("keeps a margin of a tenth, at least a second, at most 30", () => {
    assert.strictEqual(margin(900_000), 30_000)
    assert.strictEqual(margin(60_000), 6_000)
    assert.strictEqual(margin(2_000), 1_000)
  })

  it("counts from the whole second that the token carries", () => {
    assert.strictEqual(usableUntil({ signedAt: 1_999, duration: 60_000, credentialsExpireAt: undefined }), 55_000)
  })

  it("ends before the credentials do", () => {
    assert.strictEqual(usableUntil({ signedAt: 0, duration: 60_000, credentialsExpireAt: 10_000 }), 9_000)
    assert.strictEqual(usableUntil({ signedAt: 0, duration: 60_000, credentialsExpireAt: 90_000 }), 54_000)
  })

  it("is renewed at 75 to 85 % of the usable time", () => {
    assert.strictEqual(renewAt(1_000, 101_000, 0), 76_000)
    assert.approximately(renewAt(1_000, 101_000, 0.9999), 86_000, 20)
  })
})

describe("judge", () => {
  const error = (sqlState: string, message = "", hint?: string): ServerError => ({ sqlState, message, hint })
  const denied = "unable to accept connection, access denied"
  const table: ReadonlyArray<readonly [ServerError, ReturnType<typeof judge>]> = [
    [error("08006", denied, "Signature expired: …"), { kind: "Authentication", reason: "SignatureExpired" }],
    [
      error("08006", denied, "Wrong user to action mapping. user: admin, action: DbConnect"),
      { kind: "Authentication", reason: "WrongUserForAction" }
    ],
    [error("08006", denied, "Role orders does not exist"), { kind: "Authentication", reason: "UnknownRole" }],
    [
      error("08006", denied, "User: arn:aws:iam::1:user/a is not authorized to access this resource"),
      { kind: "Authentication", reason: "AccessDenied" }
    ],
    [error("08006", denied), { kind: "Authentication", reason: "AccessDenied" }],
    [error("28000", "something else"), { kind: "Authentication", reason: "Other" }],
    [error("53300"), { kind: "Connection", reason: "TooManyConnections" }],
    [error("53400"), { kind: "Connection", reason: "RateExceeded" }],
    [
      error("XX000", "unable to accept connection, waking up cluster, please retry later"),
      { kind: "Connection", reason: "ClusterWaking" }
    ],
    [error("08P01", "unable to accept connection, sni was not received"), { kind: "Connection", reason: "Tls" }],
    [error("57P01", "terminating connection"), { kind: "Connection", reason: "Closed" }],
    [error("40001", "change conflicts with another transaction (OC000)"), { kind: "Conflict", reason: "Data" }],
    [error("40001", "schema has been updated (OC001)"), { kind: "Conflict", reason: "Schema" }],
    [error("40001", "could not serialize access"), { kind: "Conflict", reason: "Unknown" }],
    [error("OC001", "schema"), { kind: "Conflict", reason: "Schema" }],
    [error("54000", "transaction row limit exceeded"), { kind: "Limit", reason: "Rows" }],
    [error("54000", "transaction size limit 10mb exceeded"), { kind: "Limit", reason: "Size" }],
    [error("54000", "transaction age limit of 300s exceeded"), { kind: "Limit", reason: "Age" }],
    [error("54000", "maximum row size exceeded"), { kind: "Limit", reason: "RowSize" }],
    [error("54000", "key size too large"), { kind: "Limit", reason: "KeySize" }],
    [error("54011", "tables can have at most 255 columns"), { kind: "Limit", reason: "Objects" }],
    [error("54001", "stack depth limit exceeded"), { kind: "Limit", reason: "Depth" }],
    [error("53200", "query requires too much temp space, out of memory."), { kind: "Limit", reason: "Memory" }],
    [error("53100", "Current cluster size exceeds cluster size limit."), { kind: "Limit", reason: "Storage" }],
    [error("0A000", "unsupported statement: Listen"), { kind: "Unsupported", feature: "Listen" }],
    [error("0A000", "CREATE TRIGGER not supported"), { kind: "Unsupported", feature: "CREATE TRIGGER not supported" }],
    [error("XX000", "server unavailable"), { kind: "Unavailable" }],
    [error("23505"), { kind: "Constraint", reason: "Unique" }],
    [error("23503"), { kind: "Constraint", reason: "ForeignKey" }],
    [error("23514"), { kind: "Constraint", reason: "Check" }],
    [error("23502"), { kind: "Constraint", reason: "NotNull" }],
    [error("57014", "canceling statement"), { kind: "Query" }],
    [error("42601", "syntax error"), { kind: "Query" }]
  ]
  it.each(table)("%j", (error, verdict) => {
    assert.deepStrictEqual(judge(error), verdict)
  })
})
