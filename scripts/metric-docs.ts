/** Writes the table of metrics in `docs/observability.md`, which is made from their declarations. */
import { readFileSync, writeFileSync } from "node:fs"
import { format, resolveConfig } from "prettier"
import { all, type Definition } from "../src/internal/metrics.js"

export const file = new URL("../docs/observability.md", import.meta.url)

const row = ({ kind, labels, meaning, name, unit }: Definition): string =>
  `| \`${name}\` | ${kind} | ${unit} | ${labels.map((label) => `\`${label}\``).join(", ")} | ${meaning} |`

const table = ["| Name | Kind | Unit | Labels | Meaning |", "| --- | --- | --- | --- | --- |", ...all.map(row)].join(
  "\n"
)

const between = /(<!-- metrics: made by npm run docs:metrics -->\n)[^]*?(<!-- \/metrics -->)/

/** The document with the table as it is to be, and as the formatter leaves it. */
export const withTable = async (document: string): Promise<string> =>
  format(
    document.replace(between, (_, begin: string, end: string) => `${begin}\n${table}\n\n${end}`),
    { ...(await resolveConfig(file)), parser: "markdown" }
  )

if (process.argv.includes("--write")) writeFileSync(file, await withTable(readFileSync(file, "utf8")))
