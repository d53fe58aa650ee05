/** What is in `docs` beside the code blocks, which test/readme.test.ts compiles. */
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { dirname, join, normalize } from "node:path"
import { fileURLToPath } from "node:url"
import { assert, describe, it } from "vitest"
import { documents } from "../scripts/docs.js"
import { pages } from "../scripts/error-pages.js"
import type { PackageError } from "./errors/cases.js"

const root = fileURLToPath(new URL("..", import.meta.url))
const read = (file: string): string => readFileSync(join(root, file), "utf8")
const below = (folder: string): ReadonlyArray<string> =>
  readdirSync(join(root, folder), { recursive: true, encoding: "utf8" }).map((file) => join(folder, file))

const made = await documents()
const written = below("docs").filter((file) => file.endsWith(".md"))

describe("what is made from the code", () => {
  it.each(made)("is in %s as it is; npm run docs writes it", (file, text) => {
    assert.strictEqual(read(file), text)
  })

  it("is all that there is in its folders", () => {
    const folders = new Set(made.map(([file]) => dirname(file)).filter((folder) => folder !== "docs"))
    for (const folder of folders) {
      const files = made.map(([file]) => file).filter((file) => dirname(file) === folder)
      assert.sameMembers([...below(folder)], files, folder)
    }
  })
})

describe("the pages about errors", () => {
  const samples = Object.entries(pages).flatMap(([tag, { reasons }]) =>
    Object.entries<{ readonly sample: PackageError }>(reasons).map(([reason, { sample }]) => ({ tag, reason, sample }))
  )

  it.each(samples)("show an error that is what it is said to be: $tag $reason", ({ reason, sample, tag }) => {
    assert.deepStrictEqual([sample._tag, "reason" in sample ? sample.reason : "-"], [tag, reason])
  })
})

/** As GitHub makes them. */
const anchorsOf = (text: string): ReadonlyArray<string> =>
  [...text.matchAll(/^#+ (.+)$/gm)].map(([, title]) =>
    title!
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, "")
      .replaceAll(" ", "-")
  )

describe("links", () => {
  const sources = ["README.md", "CONTRIBUTING.md", "examples/README.md", ...written]

  it.each(sources)("of %s lead somewhere", (source) => {
    const text = read(source).replace(/^```[\s\S]*?^```/gm, "")
    for (const [link, target, anchor] of text.matchAll(/\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)/g)) {
      const file = target === "" ? source : normalize(join(dirname(source), target!))
      assert.isTrue(existsSync(join(root, file)), `${source}: ${link}`)
      if (anchor !== undefined) assert.include(anchorsOf(read(file)), anchor, `${source}: ${link}`)
    }
  })

  const linkedFrom = (source: string): ReadonlyArray<string> =>
    [...read(source).matchAll(/\]\((?!https?:)([^)#\s]+)/g)].map(([, target]) =>
      normalize(join(dirname(source), target!))
    )

  it("lead from README.md to every page in at most two steps", () => {
    const first = linkedFrom("README.md")
    const second = first.filter((file) => file.endsWith(".md")).flatMap(linkedFrom)
    const reached = new Set([...first, ...second])
    const far = written.filter((file) => !reached.has(file) && !file.startsWith("docs/errors/"))
    assert.deepStrictEqual(far, [])
  })
})
