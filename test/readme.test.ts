/**
 * Checks what the documents and the doc comments promise.
 *
 * Every fenced `ts` block is a complete module with its own imports; blocks share nothing. All of them are compiled in one
 * run against the sources. Every npm script a `sh` block names exists.
 */
import { execFileSync } from "node:child_process"
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { afterAll, assert, describe, it } from "vitest"
import { allBlocks, type Block, blocksOf, docCommentsOf, filesBelow, read, root } from "./support/documents.js"

/** What the compiler says about these blocks, in lines and files of the documents they come from. */
const compile = (blocks: ReadonlyArray<Block>): ReadonlyArray<string> => {
  const folder = mkdtempSync(join(tmpdir(), "effect-dsql-examples-"))
  workspaces.push(folder)
  symlinkSync(join(root, "node_modules"), join(folder, "node_modules"), "junction")
  writeFileSync(join(folder, "package.json"), JSON.stringify({ type: "module" }))
  writeFileSync(
    join(folder, "tsconfig.json"),
    JSON.stringify({
      extends: join(root, "tsconfig.json"),
      compilerOptions: {
        noUnusedLocals: false,
        noUnusedParameters: false,
        typeRoots: [join(root, "node_modules", "@types")]
      },
      include: ["**/*.ts"]
    })
  )
  for (const { path, line, lines } of blocks) {
    const file = join(folder, `${path}.${line}.ts`)
    mkdirSync(dirname(file), { recursive: true })
    // As many empty lines as stand above the block: the compiler then counts lines as the document does. Without an
    // export or import a file would be a script and share its names with the others.
    writeFileSync(file, ["\n".repeat(line - 1), ...lines, "export {}"].join("\n"))
  }
  try {
    execFileSync(join(root, "node_modules", ".bin", "tsc"), ["--pretty", "false"], { cwd: folder, encoding: "utf8" })
    return []
  } catch (error) {
    const output = (error as { readonly stdout?: string }).stdout ?? String(error)
    return output
      .trim()
      .split("\n")
      .map((complaint) => complaint.replace(/^(.+)\.\d+\.ts\(/, "$1("))
  }
}

const workspaces: Array<string> = []
afterAll(() => workspaces.forEach((folder) => rmSync(folder, { recursive: true, force: true })))

describe("ts blocks", () => {
  it("compile as they stand", () => {
    const blocks = allBlocks().filter(({ language }) => language === "ts")
    assert.isTrue(
      blocks.some(({ path }) => path === "README.md"),
      "README.md shows no code"
    )
    assert.deepStrictEqual(compile(blocks), [])
  })

  it("are what every @example of a doc comment is", () => {
    const bare = filesBelow("src", ".ts").flatMap((path) =>
      [...docCommentsOf(read(path)).matchAll(/^@example\n(?!```ts$)(.*)$/gm)].map(([, line]) => `${path}: ${line}`)
    )
    assert.deepStrictEqual(bare, [])
  })

  it("are reported with the lines of their document", () => {
    const text = [
      "# Sample",
      "",
      "```ts",
      `import * as Effect from "effect/Effect"`,
      "",
      "const n: number = Effect",
      "```"
    ]
    const comment = ["/**", " * ```ts", " * const s: string = 1", " * ```", " */"]
    const complaints = compile([
      ...blocksOf("SAMPLE.md", text.join("\n")),
      ...blocksOf("src/Sample.ts", docCommentsOf(comment.join("\n")))
    ])
    assert.deepStrictEqual(
      complaints.map((complaint) => complaint.split(":")[0]),
      ["SAMPLE.md(6,7)", "src/Sample.ts(3,7)"]
    )
  })
})

describe("sh blocks", () => {
  it("name npm scripts that exist", () => {
    const { scripts } = JSON.parse(read("package.json"))
    const named = allBlocks()
      .filter(({ language }) => language === "sh")
      .flatMap(({ path, line, lines }) =>
        [...lines.join("\n").matchAll(/\bnpm (?:run )?(?:-\S+ )*([\w:-]+)/g)].flatMap(([command, name]) =>
          command.startsWith("npm run") || name === "test" ? [{ at: `${path}:${line}`, name }] : []
        )
      )
    assert.deepStrictEqual(
      named.filter(({ name }) => name === undefined || !(name in scripts)),
      []
    )
  })
})
