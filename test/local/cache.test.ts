import { spawn } from "node:child_process"
import { once } from "node:events"
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync
} from "node:fs"
import { symlink } from "node:fs/promises"
import { hostname, tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest"
import { cacheCandidates, cached, isTrusted, openCache } from "../../src/local/cache.js"

const uid = process.getuid?.() ?? 0

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "dsql cache "))
})
afterEach(() => {
  vi.unstubAllEnvs()
  rmSync(folder, { recursive: true, force: true })
})

describe("the cache", () => {
  const user = { uid: 500, platform: "linux", cacheHome: undefined, home: "/home/a", tmp: "/var/tmp" }
  const fallbacks = ["/var/tmp/effect-dsql-500", "/tmp/effect-dsql-500"]

  it("lies where the platform has it", () => {
    expect(cacheCandidates(user)).toEqual(["/home/a/.cache/effect-dsql", ...fallbacks])
    expect(cacheCandidates({ ...user, cacheHome: "/caches" })).toEqual(["/caches/effect-dsql", ...fallbacks])
    expect(cacheCandidates({ ...user, cacheHome: "relative" })[0]).toBe("/home/a/.cache/effect-dsql")
    expect(cacheCandidates({ ...user, platform: "darwin" })[0]).toBe("/home/a/Library/Caches/effect-dsql")
    expect(cacheCandidates({ ...user, uid: 0, tmp: "/tmp" })).toEqual(["/var/cache/effect-dsql", "/tmp/effect-dsql-0"])
  })

  it("is never a folder that others could have filled", async () => {
    chmodSync(folder, 0o755)
    const [open, link, file, good] = ["open", "link", "file", "good"].map((name) => join(folder, name)) as [
      string,
      string,
      string,
      string
    ]
    mkdirSync(open)
    chmodSync(open, 0o777)
    mkdirSync(join(folder, "target"))
    await symlink(join(folder, "target"), link)
    writeFileSync(file, "")
    const me = { ...user, uid }
    expect(openCache(me, [open, link, file, join(file, "below"), good])).toBe(good)
    expect(isTrusted(good, uid + 1)).toBe(false)
    expect(() => openCache(me, [open, link])).toThrow(expect.objectContaining({ reason: "CannotRun" }))
  })

  it("builds an entry once, however many ask for it", async () => {
    let builds = 0
    const build = async () => void builds++
    const entries = await Promise.all([1, 2, 3].map(() => cached(folder, "entry", uid, build)))
    expect(new Set(entries)).toEqual(new Set([join(folder, "entry")]))
    await cached(folder, "entry", uid, build)
    expect(builds).toBe(1)
    expect(readdirSync(folder).sort()).toEqual(["entry", "lock"])
  })

  it("is filled by one of several builders, where nothing can be locked", async () => {
    vi.stubEnv("PATH", folder)
    let builds = 0
    let allAreThere = () => {}
    const together = new Promise<void>((resolve) => (allAreThere = resolve))
    const build = async (target: string) => {
      writeFileSync(join(target, "file"), "whole")
      if (++builds === 3) allAreThere()
      await together
    }
    const entries = await Promise.all([1, 2, 3].map(() => cached(folder, "entry", uid, build)))
    expect(new Set(entries)).toEqual(new Set([join(folder, "entry")]))
    expect(readFileSync(join(folder, "entry/file"), "utf8")).toBe("whole")
    expect(readdirSync(folder).sort()).toEqual(["entry", "lock"])
  })

  it("keeps nothing of a build that failed or whose builder died, and is not held up by it", async () => {
    const broken = () => Promise.reject(new Error("disk full"))
    await expect(cached(folder, "entry", uid, broken)).rejects.toThrow("disk full")
    expect(readdirSync(folder)).toEqual(["lock"])

    const child = spawn(process.execPath, ["-e", ""])
    await once(child, "exit")
    const others = [`build-${hostname()}-${process.pid}-alive`, `build-elsewhere.invalid-${child.pid}-x`]
    for (const name of [`build-${hostname()}-${child.pid}-dead`, ...others])
      mkdirSync(join(folder, name, "data"), { recursive: true })
    await cached(folder, "entry", uid, () => Promise.resolve())
    expect(readdirSync(folder).sort()).toEqual([...others, "entry", "lock"].sort())
  })

  it("forgets what other versions have left, once nobody has used it for a month", async () => {
    const build = () => Promise.resolve()
    const age = (name: string, days: number) => {
      const then = new Date(Date.now() - days * 24 * 60 * 60 * 1000)
      utimesSync(join(folder, name), then, then)
    }
    for (const name of ["one", "two", "three"]) await cached(folder, name, uid, build)
    age("one", 31)
    age("two", 31)
    age("three", 29)
    age("lock", 31)
    await cached(folder, "two", uid, build)
    await cached(folder, "four", uid, build)
    expect(readdirSync(folder).sort()).toEqual(["four", "lock", "three", "two"])
  })

  it("refuses an entry that is not trusted", async () => {
    mkdirSync(join(folder, "entry"))
    chmodSync(join(folder, "entry"), 0o777)
    await expect(cached(folder, "entry", uid, () => Promise.resolve())).rejects.toMatchObject({ reason: "CannotRun" })
  })
})
