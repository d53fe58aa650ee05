/** Writes `docs/local-cluster-rules.md`, which is made from the rules. */
import { writeFileSync } from "node:fs"
import { format } from "prettier"
import { mixingRules } from "../src/core/rules/transactions.js"
import { rules } from "../src/core/rules/judge.js"
import type { Rule } from "../src/core/rules/rule.js"

const cell = (text: string): string => text.replaceAll("|", "\\|")

const row = ({ date, id, mark, message, source, sqlState, statement }: Rule): string =>
  `| \`${id}\` | ${cell(statement)} | ${sqlState} | \`${cell(message)}\` | ${mark} | ${source}, ${date} |`

const counted = (mark: Rule["mark"]): string => `${rules.filter((rule) => rule.mark === mark).length} ${mark}`

/** Looked at by PostgreSQL, when it has the catalogs before it; see `src/local/judging/schema.ts`. */
const checks: ReadonlyArray<readonly [statement: string, sqlState: string, message: string, mark: string]> = [
  ["ALTER TABLE … DROP COLUMN of the primary key", "0A000", "cannot drop primary key column <name>", "recorded"],
  [
    "an index with a column of type json, jsonb, bytea, interval or timetz",
    "0A000",
    "datatype <type> is not supported in a key",
    "recorded"
  ],
  [
    "identity for a column that is no bigint",
    "0A000",
    "datatype <type> not supported, identity column type must be bigint",
    "recorded"
  ],
  [
    "set_config of a parameter whose name is not a constant",
    "0A000",
    'setting configuration parameter "<name>" not supported',
    "documented"
  ],
  [
    "CREATE INDEX without ASYNC where disable_sync_create_index is off and the table is not empty",
    "0A000",
    "unsupported mode. please use CREATE INDEX ASYNC.",
    "inferred"
  ],
  ["a text search configuration that is not simple, a collation that is not C", "42704", "PostgreSQL's own", "recorded"]
]

const text = `# What the local cluster refuses

Made from the rules by \`npm run docs:rules\`; do not edit. ${rules.length} rules: ${counted("recorded")}, ${counted("documented")}, ${counted("inferred")}.

Every statement is read with the grammar of PostgreSQL 16 and held against these rules, wherever in it something stands: in
a common table expression, a view, the body of a function. What no rule knows PostgreSQL decides. \`rules: "off"\` switches
all of it off. \`effect-dsql local --explain-sql FILE\` says of each statement of a file what becomes of it.

- **Mark**: \`recorded\`, a real cluster gave this answer; \`documented\`, AWS describes it; \`inferred\`, it follows the pattern
  of those, or nothing is known but that the service does not have it.
- **Source**: \`probes\`, the recorded answers in \`test/conformance\`; \`reports\`, what users of the service have quoted;
  \`guide\`, the Aurora DSQL User Guide; \`tools\`, programs of AWS's; \`pattern\`, none.
- Parts in angle brackets come from the statement. Of several rules for one statement, the first in this order counts.
- In a block that is aborted, 25P02 comes before any of these; a refusal aborts its block.

| Rule | Statement | SQLSTATE | Message | Mark | Source |
| --- | --- | --- | --- | --- | --- |
${rules
  .filter((rule) => !mixingRules.includes(rule))
  .map(row)
  .join("\n")}

## Transactions

A simple query with several statements, and a pipeline up to its Sync, are one transaction.

| Rule | Statement | SQLSTATE | Message | Mark | Source |
| --- | --- | --- | --- | --- | --- |
${mixingRules.map(row).join("\n")}

GRANT, REVOKE, COMMENT, \`CREATE INDEX ASYNC\` and \`AWS IAM\` are DDL. INSERT, UPDATE, DELETE, also within a query, and
COPY FROM are DML; a query that only reads is neither, which is inferred.

## What only the catalogs tell

| Statement | SQLSTATE | Message | Mark |
| --- | --- | --- | --- |
${checks.map(([statement, sqlState, message, mark]) => `| ${statement} | ${sqlState} | \`${message}\` | ${mark} |`).join("\n")}

How much of everything there may be (rows, bytes, indexes, schemas, …) is on the page of
[the local cluster](local-cluster.md).

## What is taken otherwise

- \`numeric\` without a size is \`numeric(18,6)\` in columns and domains; in casts it is left alone, as nothing is known of them.
- \`disable_sync_create_index\` can be set, shown and reset, and \`off\` allows \`CREATE INDEX\` on an empty table.
- \`DROP TRIGGER IF EXISTS\` and \`ALTER TABLE … ENABLE TRIGGER ALL\` have nothing to do, and say so.

## What differs from the recorded answers

\`npm run conformance\` holds the cluster against 242 recorded answers; those that differ, and why, stand in
\`test/conformance/differences.ts\`. With \`DSQL_LIVE_HOST\` it runs against a real cluster.
`
/** As the formatter leaves it. */
export const ruleDocs = (): Promise<string> =>
  format(text, { parser: "markdown", printWidth: 120, proseWrap: "preserve" })

export const file = new URL("../docs/local-cluster-rules.md", import.meta.url)

if (process.argv.includes("--write")) writeFileSync(file, await ruleDocs())
