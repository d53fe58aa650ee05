import { once } from "node:events"
import { connect as connectTls } from "node:tls"
import pg from "pg"
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest"
import { type Cluster, type Identity, startCluster } from "../../src/local/cluster.js"
import {
  connect,
  dialling,
  dialTcp,
  dialTls,
  eventually,
  frame,
  gssRequest,
  Incoming,
  makeClient,
  refusal,
  signToken,
  sslRequest,
  startup,
  withClient
} from "./support.js"

let cluster: Cluster
beforeAll(async () => {
  cluster = await startCluster()
})
afterAll(() => cluster.stop())
afterEach(async () => {
  cluster.setTokenSkew(0)
  cluster.dropConnections()
  await eventually(() => cluster.connectionCount() === 0)
})

const denied = (hint: unknown) => ({
  severity: "FATAL",
  code: "08006",
  message: "unable to accept connection, access denied",
  hint
})

describe("a login with a right token", () => {
  it("works with either negotiation and is counted", async () => {
    const before = cluster.loginCount()
    for (const negotiation of ["direct", "postgres"] as const) {
      const user = await withClient(cluster, (c) => c.query("SELECT current_user, session_user"), { negotiation })
      expect(user.rows).toEqual([{ current_user: "admin", session_user: "admin" }])
    }
    expect(cluster.loginCount() - before).toBe(2)
  })

  it("reports the service's version and a session as the service's", async () => {
    const parameters = new Map<string, string>()
    const client = await makeClient(cluster, { options: "-c search_path=elsewhere" })
    // node-postgres shows the parameters only on its connection, which is not typed.
    const { connection } = client as unknown as { connection: NodeJS.EventEmitter }
    connection.on("parameterStatus", (status: { parameterName: string; parameterValue: string }) =>
      parameters.set(status.parameterName, status.parameterValue)
    )
    await client.connect()
    expect(parameters.get("server_version")).toBe("16.15")
    expect(parameters.get("is_superuser")).toBe("off")
    expect(parameters.get("TimeZone")).toBe("UTC")
    expect(parameters.get("server_encoding")).toBe("UTF8")
    const settings = await client.query(
      "SELECT current_database() AS db, current_setting('search_path') AS path, current_setting('transaction_isolation') AS isolation"
    )
    expect(settings.rows).toEqual([{ db: "postgres", path: "elsewhere", isolation: "repeatable read" }])
    await client.end()
  })

  it("makes admin the owner of database and public schema, but no superuser", async () => {
    await withClient(cluster, async (client) => {
      const role = await client.query(
        "SELECT rolsuper, rolcreaterole, rolcanlogin FROM pg_roles WHERE rolname = 'admin'"
      )
      expect(role.rows).toEqual([{ rolsuper: false, rolcreaterole: true, rolcanlogin: true }])
      for (const sql of ["TABLE public.owned (id int PRIMARY KEY)", "SCHEMA s", "TABLE s.t ()"]) {
        await client.query(`CREATE ${sql}`)
      }
      await client.query("DROP SCHEMA s CASCADE")
      await client.query("DROP TABLE owned")
      await expect(client.query("BEGIN; SET LOCAL ROLE dsql_internal")).rejects.toMatchObject({ code: "42501" })
      await client.query("ROLLBACK")
      await expect(client.query("COPY (SELECT 1) TO PROGRAM 'true'")).rejects.toMatchObject({ code: "42501" })
    })
  })

  it("works for identities that were added, with and without a session token", async () => {
    const plain: Identity = { accessKeyId: "AKIAOTHER00000000000", secretAccessKey: "other" }
    const temporary: Identity = { accessKeyId: "ASIAOTHER00000000000", secretAccessKey: "temp", sessionToken: "a/b+c=" }
    expect(await refusal(cluster, { identity: plain })).toMatchObject({ code: "08006" })
    cluster.addIdentity(plain)
    cluster.addIdentity(temporary)
    for (const identity of [plain, temporary]) {
      await withClient(cluster, (client) => client.query("SELECT 1"), { identity })
    }
    const invalid = denied("The security token included in the request is invalid")
    expect(await refusal(cluster, { identity: { ...temporary, sessionToken: "wrong" } })).toEqual(invalid)
    expect(await refusal(cluster, { identity: { ...plain, accessKeyId: temporary.accessKeyId } })).toEqual(invalid)
    expect(await refusal(cluster, { identity: { ...plain, sessionToken: "x" } })).toEqual(invalid)
  })
})

describe("a login is refused", () => {
  it("with a token of the wrong signer", async () => {
    const before = cluster.loginCount()
    const identity = { accessKeyId: cluster.accessKeyId, secretAccessKey: "wrong" }
    expect(await refusal(cluster, { identity })).toEqual(
      denied("The request signature we calculated does not match the signature you provided")
    )
    expect(await refusal(cluster, { identity: { ...identity, accessKeyId: "AKIAUNKNOWN000000000" } })).toEqual(
      denied("The security token included in the request is invalid")
    )
    expect(await refusal(cluster, { region: "eu-west-1" })).toEqual(
      denied("Credential should be scoped to a valid region")
    )
    const host = `zzzzzzzzzzzzzzzzzzzzzzzzzz.dsql.${cluster.region}.on.aws`
    expect(await refusal(cluster, { host })).toEqual(denied(`The token was signed for another host: ${host}`))
    expect(await refusal(cluster, { action: "DbConnect" })).toEqual(
      denied("Wrong user to action mapping. user: admin, action: DbConnect")
    )
    expect(cluster.loginCount()).toBe(before)
  })

  it("with what is no token", async () => {
    const hint = "The password is not an authentication token"
    expect(await refusal(cluster, { password: "secret" })).toEqual(denied(hint))
  })

  it("outside of the token's time, by the clock of the cluster alone", async () => {
    cluster.setTokenSkew(901_000)
    const expired = await refusal(cluster)
    expect(expired).toEqual(denied(expect.stringMatching(/^Signature expired: \w+ is now earlier than \w+$/)))
    cluster.setTokenSkew(-301_000)
    expect(await refusal(cluster)).toEqual(denied(expect.stringMatching(/^Signature not yet current: /)))
    cluster.setTokenSkew(890_000)
    await withClient(cluster, (client) => client.query("SELECT 1"))
  })

  it("to another database or role, and to the role that must not be known", async () => {
    expect(await refusal(cluster, { database: "template1" })).toMatchObject({
      severity: "FATAL",
      code: "3D000",
      message: 'database "template1" does not exist'
    })
    for (const user of ["stranger", "dsql_internal"]) {
      expect(await refusal(cluster, { user, action: "DbConnect" })).toEqual(denied(`Role ${user} does not exist`))
    }
  })

  it.each([
    ["-c nonsense=1", "nonsense"],
    ["-c search_path=a --statement-timeout=5", "statement_timeout"],
    ["-cTimeZone=UTC  -c work_mem=4\\ MB", "work_mem"]
  ])("with settings that a session may not have: %s", async (options, name) => {
    expect(await refusal(cluster, { options })).toEqual({
      severity: "FATAL",
      code: "0A000",
      message: `setting configuration parameter "${name}" not supported`,
      hint: undefined
    })
  })

  it("with values that PostgreSQL refuses, in its words", async () => {
    expect(await refusal(cluster, { options: "-c DateStyle=nope" })).toMatchObject({ severity: "FATAL", code: "22023" })
  })

  it("by a client that trusts another CA", async () => {
    const other = await startCluster()
    const { message } = await refusal(cluster, { ca: other.ca })
    await other.stop()
    expect(message).toMatch(/certificate|signature/)
  })

  it("without SNI, and under a name that is not the cluster's", async () => {
    const answer = async (servername: string) => {
      const socket = await dialTls(cluster, { servername, checkServerIdentity: () => undefined })
      const incoming = new Incoming(socket)
      socket.write(startup({ user: "admin", database: "postgres" }))
      return incoming.lastError()
    }
    const missing = await answer("")
    expect(missing?.get("C")).toBe("08006")
    expect(missing?.get("M")).toBe("unable to accept connection, sni was not received")
    const other = `zzzzzzzzzzzzzzzzzzzzzzzzzz.dsql.${cluster.region}.on.aws`
    const wrong = await answer(other)
    expect(wrong?.get("M")).toBe("unable to accept connection, access denied")
    expect(wrong?.get("H")).toBe(`There is no cluster at ${other}`)
  })
})

describe("a login that names the cluster in its options, as through an interface endpoint of PrivateLink", () => {
  const id = (): string => cluster.endpoint.split(".")[0]!
  const through = async (servername: string, options: string): Promise<pg.Client> => {
    const client = new pg.Client({
      user: "admin",
      database: "postgres",
      password: await signToken(cluster),
      ssl: { ca: cluster.ca, servername, checkServerIdentity: () => undefined },
      sslnegotiation: "direct",
      stream: () => dialling(cluster),
      options
    })
    client.on("error", () => {})
    await client.connect()
    return client
  }

  it.each(["", `vpce-1.dsql-fnh4.us-east-1.vpce.amazonaws.com`])("works under the name %j", async (servername) => {
    for (const option of [
      "-c amzn-cluster-id=",
      "--amzn-cluster-id=",
      String.raw`-c search_path="a\ b" -camzn_cluster_id=`
    ]) {
      const client = await through(servername, option + id())
      const { rows } = await client.query("SELECT current_setting('search_path') AS path")
      expect(rows).toEqual([{ path: option.includes("search_path") ? '"a b"' : '"$user", public' }])
      await client.end()
    }
  })

  it("is refused for another cluster than this", async () => {
    const other = "z".repeat(26)
    await expect(through(cluster.endpoint, `-c amzn-cluster-id=${other}`)).rejects.toMatchObject({
      message: "unable to accept connection, access denied",
      hint: `There is no cluster at ${other}.dsql.${cluster.region}.on.aws`
    })
  })
})

describe("the opening of a connection", () => {
  it("needs TLS", async () => {
    const socket = await dialTcp(cluster)
    const incoming = new Incoming(socket)
    socket.write(startup({ user: "admin", database: "postgres" }))
    const error = await incoming.lastError()
    expect(error?.get("S")).toBe("FATAL")
    expect(error?.get("C")).toBe("08P01")
    expect(error?.get("M")).toContain("TLS is required")
  })

  it("declines GSS encryption and goes on", async () => {
    const socket = await dialTcp(cluster)
    socket.write(gssRequest)
    expect(String((await once(socket, "data"))[0])).toBe("N")
    socket.write(sslRequest)
    expect(String((await once(socket, "data"))[0])).toBe("S")
    const tls = connectTls({ socket, servername: cluster.endpoint, ca: cluster.ca })
    await once(tls, "secureConnect")
    tls.destroy()
  })

  it("refuses words in the clear in front of encrypted ones", async () => {
    for (const request of [sslRequest, gssRequest]) {
      const socket = await dialTcp(cluster)
      const incoming = new Incoming(socket)
      socket.write(Buffer.concat([request, startup({ user: "admin" })]))
      expect((await incoming.lastError())?.get("M")).toBe("received unencrypted data after SSL request")
    }
  })

  it("closes direct TLS without ALPN, and with another protocol", async () => {
    const socket = await dialTls(cluster, { ALPNProtocols: undefined })
    await new Incoming(socket).until("")
    await expect(dialTls(cluster, { ALPNProtocols: ["http/1.1"] })).rejects.toThrow(/no application protocol/)
  })

  it("refuses TLS below 1.2", async () => {
    const old = { minVersion: "TLSv1.1", maxVersion: "TLSv1.1", ciphers: "DEFAULT@SECLEVEL=0" } as const
    await expect(dialTls(cluster, old)).rejects.toThrow(/protocol version/)
  })

  it("survives garbage, half messages and clients that go at any point", async () => {
    const packet = startup({ user: "admin", database: "postgres" })
    const plain = [
      Buffer.alloc(0),
      Buffer.from("GET / HTTP/1.1\r\n\r\n"),
      Buffer.from([0, 0, 0, 7, 1, 2, 3]),
      Buffer.from([0xff, 0xff, 0xff, 0xff, 0xff]),
      Buffer.from([0, 0, 0, 8, 9, 9, 9, 9]),
      sslRequest.subarray(0, 5),
      Buffer.from([0x16, 3, 1, 0, 5, 1, 2, 3, 4, 5]),
      Buffer.from([0x16, 0xff, 0xff, 0xff, 0xff])
    ]
    const encrypted = [
      Buffer.from("nonsense nonsense"),
      packet.subarray(0, 11),
      startup({ user: "admin" }, 2 << 16),
      startup({}),
      startup({ user: "" }),
      Buffer.concat([packet.subarray(0, packet.length - 1), Buffer.of(7)]),
      Buffer.concat([packet, frame("Q", "SELECT 1\0")]),
      Buffer.concat([packet, frame("p", "no zero at the end")]),
      Buffer.concat([packet, Buffer.from([0x70, 0x7f, 0xff, 0xff, 0xff])]),
      Buffer.concat([packet, frame("X", "")])
    ]
    const finish = async (socket: Awaited<ReturnType<typeof dialTcp>>, bytes: Buffer) => {
      const incoming = new Incoming(socket)
      socket.end(bytes)
      await incoming.until("")
    }
    for (const bytes of plain) await finish(await dialTcp(cluster), bytes)
    for (const bytes of encrypted) await finish(await dialTls(cluster), bytes)
    for (const bytes of encrypted) (await dialTls(cluster)).end(bytes).destroy()
    await eventually(() => cluster.connectionCount() === 0)
    await withClient(cluster, (client) => client.query("SELECT 1"))
  })

  it("negotiates newer protocol versions down to 3.0", async () => {
    const socket = await dialTls(cluster)
    const incoming = new Incoming(socket)
    socket.write(startup({ user: "admin", database: "postgres", "_pq_.test": "1" }, (3 << 16) + 2))
    const [negotiate, authentication] = await incoming.until("R")
    expect(negotiate?.raw.toString("latin1")).toBe("v\0\0\0\x16\0\x03\0\0\0\0\0\x01_pq_.test\0")
    expect(authentication?.raw.readInt32BE(5)).toBe(3)
    socket.write(frame("p", `${await signToken(cluster)}\0`))
    expect((await incoming.until("Z")).at(-1)?.type).toBe("Z")
    socket.destroy()
  })
})

describe("the certificate", () => {
  it("names the endpoints of the region and nothing else", async () => {
    const socket = await dialTls(cluster)
    const certificate = socket.getPeerCertificate()
    expect(certificate.subjectaltname).toBe(`DNS:*.dsql.${cluster.region}.on.aws`)
    expect(socket.getProtocol()).toBe("TLSv1.3")
    socket.destroy()
    await expect(connect(cluster, { servername: "localhost" })).rejects.toThrow(/altnames/)
  })
})
