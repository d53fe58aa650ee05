/** From AWS's connectors for Node to this package: a page for each, every option a row. */
import * as nodePostgres from "./connectors/nodePostgres.js"
import * as postgresJs from "./connectors/postgresJs.js"
import type { Row } from "./connectors/row.js"
import { cell } from "./tables.js"

const words: Readonly<Record<Row["verdict"], string>> = {
  same: "same",
  better: "better",
  ours: "by itself",
  none: "no"
}

const table = (title: string, rows: Readonly<Record<string, Row>>): string => `## ${title}

| Option | Here | |
| --- | --- | --- |
${Object.entries(rows)
  .map(([name, { here, verdict }]) => `| \`${name}\` | ${words[verdict]} | ${cell(here)} |`)
  .join("\n")}
`

const opening = (connector: string, driver: string, versions: string) => `# From AWS's connector for ${driver}

<!-- Written by \`npm run docs\`, from scripts/connectors. -->

What each option of \`${connector}\` (${versions}) is called here. **Same**: by this name, with this meaning. **Better**:
the same, and more. **By itself**: it is done without an option. **No**: why there is none. An option that is refused is an
error that says so, never silently ignored.
`

/** How the same is written with ours, beside what it was. */
const example = (made: string, ran: string): string => `\`\`\`ts
import { SqlClient } from "@effect/sql"
import { Effect } from "effect"
import { DsqlLayer, DsqlTransaction } from "effect-dsql"

// ${made}
export const Db = DsqlLayer.layer({
  host: "abcdefghijklmnopqrstuvwxyz.dsql.us-east-1.on.aws",
  user: "orders",
  pool: { max: 20 },
  retry: { times: 5 }
})

// ${ran}
export const transfer = Effect.flatMap(
  SqlClient.SqlClient,
  (sql) => sql\`UPDATE account SET cents = cents - 1 WHERE id = \${1}\`
).pipe(DsqlTransaction.withRetry())
\`\`\``

const nodePostgresPage = `${opening("@aws/aurora-dsql-node-postgres-connector", "node-postgres", "0.1.x")}
${example(
  'new AuroraDSQLPool({ host, user: "orders", max: 20, retry: { maxRetries: 5 } })',
  'pool.transaction(async (client) => { await client.query("UPDATE …", [1]) })'
)}

${table("Its own options", nodePostgres.own)}
${table("`retry`", nodePostgres.retry)}
${table("`logger`", nodePostgres.logger)}
${table("Classes and functions", nodePostgres.calls)}
${table("Options of node-postgres", nodePostgres.client)}
${table("Options of pg-pool", nodePostgres.pool)}
[Documentation](README.md)
`

const postgresJsPage = `${opening("@aws/aurora-dsql-postgresjs-connector", "postgres.js", "0.2.x")}
${example(
  'const sql = auroraDSQLPostgres({ host, username: "orders", max: 20, retry: { maxRetries: 5 } })',
  "sql.begin(async (sql) => { await sql`UPDATE …` })"
)}

${table("Its own options", postgresJs.own)}
${table("`retry`", nodePostgres.retry)}
${table("Functions", postgresJs.calls)}
${table("Options over WebSocket", postgresJs.webSocket)}
${table("Options of postgres.js", postgresJs.driver)}
[Documentation](README.md)
`

export const connectorPages = (): Readonly<Record<string, string>> => ({
  "docs/aws-node-postgres-connector.md": nodePostgresPage,
  "docs/aws-postgres-js-connector.md": postgresJsPage
})
