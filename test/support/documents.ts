/** The code blocks of documents and doc comments. */
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { assert } from "vitest"

export const root = fileURLToPath(new URL("../..", import.meta.url))
export const read = (path: string): string => readFileSync(join(root, path), "utf8")

export const filesBelow = (folder: string, extension: string): ReadonlyArray<string> =>
  existsSync(join(root, folder))
    ? readdirSync(join(root, folder), { recursive: true, encoding: "utf8" })
        .filter((file) => file.endsWith(extension))
        .map((file) => join(folder, file))
    : []

/** Without the reference, whose blocks are those of the doc comments. */
export const documents = [
  "README.md",
  "CONTRIBUTING.md",
  ...filesBelow("docs", ".md").filter((path) => !path.startsWith(join("docs", "api"))),
  ...filesBelow("examples", ".md")
]

export interface Block {
  readonly path: string
  /** The line of the opening fence, counted from 1. */
  readonly line: number
  readonly language: string
  readonly lines: ReadonlyArray<string>
}

export const blocksOf = (path: string, text: string): ReadonlyArray<Block> => {
  const blocks: Array<Block> = []
  let open: { readonly line: number; readonly language: string; readonly lines: Array<string> } | undefined
  for (const [index, line] of text.split("\n").entries()) {
    const fence = /^\s*```(\w*)/.exec(line)
    if (fence === null) open?.lines.push(line)
    else if (open === undefined) open = { line: index + 1, language: fence[1] ?? "", lines: [] }
    else {
      blocks.push({ path, ...open })
      open = undefined
    }
  }
  assert.isUndefined(open, `${path}:${open?.line} opens a code block that nothing closes`)
  return blocks
}

/** The doc comments of a source file, everything else blank, so that lines keep their numbers. */
export const docCommentsOf = (text: string): string =>
  text
    .split("\n")
    .map((line) => /^\s*\* ?(?!\/)(.*)$/.exec(line)?.[1] ?? "")
    .join("\n")

export const allBlocks = (): ReadonlyArray<Block> => [
  ...documents.flatMap((path) => blocksOf(path, read(path))),
  ...filesBelow("src", ".ts").flatMap((path) => blocksOf(path, docCommentsOf(read(path))))
]
