/**
 * The pages of `docs`, done as a reader does them: blocks that begin with the name of a file are saved, `sh` blocks are run in
 * that folder in the order in which they stand, and print what the `text` block behind them says. All other `ts` blocks are
 * loaded. Each page begins in an empty folder, on the cluster on which those before it were tried.
 */
import { SqlClient } from "@effect/sql"
import { assert, layer } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import { DsqlLocal } from "effect-dsql/Local"
import { execFile } from "node:child_process"
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { assumedRole, server } from "./support/aws.js"
import { allBlocks, type Block, blocksOf, read, root } from "./support/documents.js"

/** Whose programs are to be run; on the others nothing is said to be run. */
const pages = [
  "getting-started",
  "authentication",
  "connections",
  "transactions",
  "migrations",
  "testing",
  "local-cluster",
  "operations",
  "adapters"
].map((name) => `docs/${name}.md`)

const nameOf = ({ language, lines }: Block): string | undefined =>
  language === "ts" ? /^\/\/ (\S+\.ts)$/.exec(lines[0] ?? "")?.[1] : undefined

/** What needs a network, an account or another terminal is left to the reader. */
const isRun = ({ language, lines }: Block): boolean =>
  language === "sh" && /^(?:npx tsx|npx vitest|npx effect-dsql migrate|mkdir|cat)/.test(lines[0] ?? "")

interface Outcome {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

const shell = (folder: string, script: string, environment: Readonly<Record<string, string>>): Promise<Outcome> =>
  new Promise((resolve) => {
    const env = { ...process.env, VITEST: undefined, NODE_ENV: undefined, ...environment }
    execFile("sh", ["-ec", script], { cwd: folder, env, encoding: "utf8" }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code ?? 1), stdout, stderr })
    })
  })

/** Where the `vitest.config.ts` of a page is saved, for the one that finds the package as if it were installed. */
const pageConfig = "vitest.page.ts"

/** A folder in which the package is found as if it were installed, and `npx` without a registry. */
const project = Effect.acquireRelease(
  Effect.sync(() => {
    const folder = mkdtempSync(join(tmpdir(), "dsql-page-"))
    const tool = (name: string): string => join(root, "node_modules", ".bin", name)
    const commands = join(folder, ".commands")
    mkdirSync(commands)
    symlinkSync(join(root, "node_modules"), join(folder, "node_modules"))
    writeFileSync(join(folder, "package.json"), JSON.stringify({ type: "module" }))
    writeFileSync(join(folder, "tsconfig.json"), JSON.stringify({ extends: join(root, "tsconfig.json") }))
    writeFileSync(
      join(folder, "vitest.config.ts"),
      `import { nestedConfig } from ${JSON.stringify(join(root, "test/support/nestedVitest.js"))}
import page from "./${pageConfig}"
export default nestedConfig(import.meta.url, { include: ["*.test.ts"], ...page.test })
`
    )
    writeFileSync(join(folder, pageConfig), "export default {}\n")
    writeFileSync(
      join(commands, "npx"),
      `#!/bin/sh
case $1 in
  effect-dsql) shift; exec ${tool("tsx")} ${join(root, "src/cli/main.ts")} "$@" ;;
  *) name=$1; shift; exec ${join(root, "node_modules", ".bin")}/$name "$@" ;;
esac
`
    )
    chmodSync(join(commands, "npx"), 0o755)
    return { folder, path: `${commands}:${process.env["PATH"]}` }
  }),
  ({ folder }) => Effect.sync(() => rmSync(folder, { recursive: true, force: true }))
)

/** What `effect-dsql local` tells a reader to export, and the page about roles. */
const environment = Effect.map(DsqlLocal, ({ arn, caFile, credentials, endpoint, hostaddr, port }) => ({
  DSQL_HOST: endpoint,
  DSQL_HOSTADDR: hostaddr,
  DSQL_PORT: String(port),
  DSQL_SSLROOTCERT: caFile,
  AWS_ACCESS_KEY_ID: credentials.accessKeyId,
  AWS_SECRET_ACCESS_KEY: Redacted.value(credentials.secretAccessKey),
  AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: "true",
  SERVICE_ARN: arn
}))

/** What differs from run to run: the time, and which states of a job are seen on its way. */
const comparable = (output: string): string =>
  output
    .replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, "<time>")
    .replaceAll(/^\S+ \d+ INDEX_BUILD (?:submitted|processing)\n/gm, "")

const expected = (blocks: ReadonlyArray<Block>, index: number): string | undefined =>
  blocks[index + 1]?.language === "text" ? `${blocks[index + 1]!.lines.join("\n")}\n` : undefined

layer(DsqlLocal.layer(), { excludeTestServices: true, timeout: "60 seconds" })("the page", (it) => {
  it.scoped.each(pages)(
    "%s does what it says",
    (page) =>
      Effect.gen(function* () {
        const variables = yield* environment
        const { folder, path } = yield* project
        const blocks = blocksOf(page, read(page))
        for (const [index, block] of blocks.entries()) {
          const name = nameOf(block)
          if (name !== undefined) {
            const saved = name === "vitest.config.ts" ? pageConfig : name
            writeFileSync(join(folder, saved), `${block.lines.join("\n")}\n`)
          }
          if (!isRun(block)) continue
          const at = `${page}:${block.line}`
          const { code, stderr, stdout } = yield* Effect.promise(() =>
            shell(folder, block.lines.join("\n"), { ...variables, PATH: path })
          )
          assert.strictEqual(code, 0, `${at}\n${stdout}${stderr}`)
          const output = expected(blocks, index)
          if (output !== undefined) assert.strictEqual(comparable(stdout), comparable(output), at)
        }
        const files = blocks.flatMap((block) => nameOf(block) ?? [])
        const configuration = blocks.filter((block) => nameOf(block) === "vitest.config.ts")
        const commands = [...configuration, ...blocks.filter(isRun)].flatMap(({ lines }) => lines)
        for (const file of files) {
          if (file === "vitest.config.ts") continue
          const isUsed = commands.some((line) => line.includes(file) || line.includes(file.replace(/\.ts$/, ".js")))
          assert.isTrue(isUsed, `${page} has ${file} and no command that runs it`)
        }
      }),
    240_000
  )
})

/** The cluster that the documents name. */
const documented = { clusterId: "abcdefghijklmnopqrstuvwxyz", region: "us-east-1" }

const assumed = { accessKeyId: "ASIAREPORTS000000000", secretAccessKey: "reports", sessionToken: "a-session" }

/** What those find that connect when they are loaded: the cluster by its name, a role to assume, a table. */
const surroundings = Effect.gen(function* () {
  const { addIdentity, caFile, hostaddr, port } = yield* DsqlLocal
  const { AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY } = yield* environment
  const sts = yield* server(() => assumedRole({ ...assumed, expiration: Date.now() + 3_600_000 }))
  const reports = yield* addIdentity({
    arn: "arn:aws:iam::111122223333:role/reports",
    accessKeyId: assumed.accessKeyId,
    secretAccessKey: Redacted.make(assumed.secretAccessKey),
    sessionToken: Redacted.make(assumed.sessionToken)
  })
  yield* Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    yield* sql`CREATE TABLE owner (id int PRIMARY KEY, name text, city text)`
    yield* sql`CREATE ROLE reports WITH LOGIN`
    yield* sql.unsafe(`AWS IAM GRANT reports TO '${reports}'`)
    yield* sql`CREATE SCHEMA reports`
    yield* sql`GRANT USAGE ON SCHEMA reports TO reports`
  }).pipe(Effect.provide(DsqlLocal.layerClient()))
  return {
    AWS_ACCESS_KEY_ID,
    AWS_SECRET_ACCESS_KEY,
    AWS_REGION: documented.region,
    AWS_ENDPOINT_URL_STS: sts.url,
    AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: "true",
    DSQL_HOST: `${documented.clusterId}.dsql.${documented.region}.on.aws`,
    LOCAL_CLUSTER_ADDRESS: `${hostaddr}:${port}`,
    NODE_EXTRA_CA_CERTS: caFile
  }
})

layer(DsqlLocal.layer(documented), { excludeTestServices: true, timeout: "60 seconds" })(
  "blocks without a name",
  (it) => {
    it.scoped(
      "can be loaded",
      () =>
        Effect.gen(function* () {
          const variables = yield* surroundings
          const { folder, path } = yield* project
          // Tests and programs would begin; the former need vitest, and both have been run where they have a name.
          const loaded = allBlocks().filter(
            (block) =>
              block.language === "ts" && nameOf(block) === undefined && !/vitest"|runMain/.test(block.lines.join("\n"))
          )
          const names = loaded.map((block, index) => {
            writeFileSync(join(folder, `block${index}.ts`), `${block.lines.join("\n")}\nexport {}\n`)
            return `./block${index}.js`
          })
          writeFileSync(
            join(folder, "all.ts"),
            `for (const name of ${JSON.stringify(names)}) {
  try { await import(name) } catch (error) { console.error(name, error) }
}
console.log("loaded")
process.exit()
`
          )
          const redirect = join(root, "test/support/redirect.ts")
          const { code, stderr, stdout } = yield* Effect.promise(() =>
            shell(folder, `npx tsx --import ${redirect} all.ts`, { ...variables, PATH: path })
          )
          const blamed = stderr.replaceAll(/\.\/block(\d+)\.js/g, (_, index: string) => {
            const { line, path } = loaded[Number(index)]!
            return `${path}:${line}`
          })
          assert.deepStrictEqual([code, stdout.endsWith("loaded\n"), blamed], [0, true, ""])
        }),
      240_000
    )
  }
)
