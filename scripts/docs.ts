/** Writes the documents that are made from the code: `npm run docs`. */
import { mkdirSync, writeFileSync } from "node:fs"
import { dirname } from "node:path"
import { fileURLToPath } from "node:url"
import { format } from "prettier"
import { apiPages } from "./api-reference.js"
import { connectorPages } from "./connector-pages.js"
import { errorPages } from "./error-pages.js"
import { pictures } from "./pictures.js"

const root = new URL("../", import.meta.url)

export const pathOf = (file: string): string => fileURLToPath(new URL(file, root))

const asMarkdown = (text: string): Promise<string> =>
  format(text, { parser: "markdown", printWidth: 120, proseWrap: "preserve", semi: false, trailingComma: "none" })

/** Their paths and texts, as the formatter leaves them. */
export const documents = (): Promise<ReadonlyArray<readonly [file: string, text: string]>> =>
  Promise.all([
    ...Object.entries({ ...errorPages(), ...connectorPages(), ...apiPages() }).map(
      async ([file, text]) => [file, await asMarkdown(text)] as const
    ),
    ...Object.entries(pictures())
  ])

if (process.argv.includes("--write")) {
  for (const [file, text] of await documents()) {
    mkdirSync(dirname(pathOf(file)), { recursive: true })
    writeFileSync(pathOf(file), text)
  }
}
