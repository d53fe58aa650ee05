/** The psql of this machine, if there is one: what people type at a cluster. */
import { spawn, spawnSync } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { type Cluster, startCluster } from "../../../src/local/cluster.js"
import { signToken } from "../support.js"

const found = spawnSync("psql", ["--version"], { encoding: "utf8" })
const isInstalled = found.status === 0
if (!isInstalled) process.stderr.write("\npsql is not installed: the tests with it are SKIPPED\n")

describe.skipIf(!isInstalled)("psql", () => {
  let cluster: Cluster
  const folder = mkdtempSync(join(tmpdir(), "dsql-psql-"))
  beforeAll(async () => {
    cluster = await startCluster()
  })
  afterAll(async () => {
    await cluster.stop()
    rmSync(folder, { recursive: true })
  })

  /** Runs a script as a person types it; without alignment, so that it can be compared. */
  const run = async (script: string, options: Record<string, string> = {}) => {
    const settings = {
      host: cluster.endpoint,
      hostaddr: cluster.hostaddr,
      port: cluster.port,
      user: "admin",
      ...options
    }
    const target = Object.entries({
      dbname: "postgres",
      sslmode: "verify-full",
      sslrootcert: cluster.caFile,
      ...settings
    })
    const child = spawn("psql", ["-XqAtn", "-v", "ON_ERROR_STOP=1", target.map((pair) => pair.join("=")).join(" ")], {
      env: { PATH: process.env["PATH"], HOME: folder, PGPASSWORD: await signToken(cluster) }
    })
    let [output, errors] = ["", ""]
    child.stdout.on("data", (chunk: Buffer) => (output += chunk.toString()))
    child.stderr.on("data", (chunk: Buffer) => (errors += chunk.toString()))
    child.stdin.end(script)
    const code = await new Promise((resolve) => child.once("close", resolve))
    return { output, errors, code }
  }

  it("logs in over verified TLS", async () => {
    const { code, output } = await run("\\conninfo")
    expect(code).toBe(0)
    expect(output).toContain(`to database "postgres" as user "admin" on host "${cluster.endpoint}"`)
    expect(output).toContain("TLSv1.3")
    const distrustful = await run("SELECT 1", { sslrootcert: "/dev/null" })
    expect(distrustful).toMatchObject({ output: "", code: 2 })
  })

  it("describes tables", async () => {
    const { code, output } = await run(
      "CREATE TABLE owner (id int PRIMARY KEY, name text NOT NULL DEFAULT 'nobody');\n\\d owner\n\\dt\n\\di\n\\l\n\\du admin"
    )
    expect(code).toBe(0)
    expect(output).toContain("name|text||not null|'nobody'::text")
    expect(output).toContain("public|owner|table|admin")
    expect(output).toContain("public|owner_pkey|index|admin|owner")
  })

  it("copies files in and out", async () => {
    const [source, target] = [join(folder, "in.csv"), join(folder, "out.csv")]
    const rows = Array.from({ length: 3_000 }, (_, n) => `${n},"row, ${n}"\n`).join("")
    writeFileSync(source, rows)
    const { code, errors } = await run(
      `CREATE TABLE copied (n int, t text);
      \\copy copied FROM '${source}' CSV
      \\copy (SELECT * FROM copied ORDER BY n) TO '${target}' CSV`
    )
    expect({ code, errors }).toEqual({ code: 0, errors: "" })
    expect(readFileSync(target, "utf8")).toBe(rows)
  })

  it("puts results into variables, and runs what a query gives", async () => {
    const { output } = await run(
      "SELECT 40 + 2 AS answer \\gset\n\\echo :answer\nSELECT :'answer' || '!';\nSELECT 'SELECT ' || n FROM generate_series(1, 2) AS n \\gexec"
    )
    expect(output).toBe("42\n42!\n1\n2\n")
  })

  it("stops at an error, inside a transaction that is rolled back", async () => {
    const failed = await run("CREATE TABLE kept (n int);\nBEGIN;\nINSERT INTO kept VALUES (1);\nSELECT 1/0;\nCOMMIT;")
    expect(failed).toMatchObject({ code: 3, errors: expect.stringContaining("ERROR:  division by zero") })
    expect((await run("SELECT count(*) FROM kept")).output).toBe("0\n")
  })

  it("is told why its login is refused", async () => {
    const { code, errors } = await run("SELECT 1", { user: "stranger" })
    expect(code).toBe(2)
    expect(errors).toContain("FATAL:  unable to accept connection, access denied")
    expect(errors).toContain("HINT:  Wrong user to action mapping. user: stranger, action: DbConnectAdmin")
  })
})
