/** The pages about errors: `docs/errors`, one for each tag, and their table. */
import * as DsqlErrors from "../src/Errors.js"
import { withoutPage } from "../src/internal/pages.js"
import { cluster, unscripted } from "./errors/local.js"
import { authentication, connection } from "./errors/login.js"
import type { Page, Reason, Tag } from "./errors/page.js"
import { config, credentials, region, token } from "./errors/settings.js"
import { constraint, limit, query, unavailable, unsupported } from "./errors/statements.js"
import { commit, conflict, transaction } from "./errors/transactions.js"
import { batch, jobs, migration } from "./errors/work.js"
import { cell } from "./tables.js"

/** A tag without a page does not compile. */
export const pages: { readonly [T in Tag]: Page<T> } = {
  DsqlConfigError: config,
  DsqlRegionError: region,
  DsqlCredentialsError: credentials,
  DsqlTokenError: token,
  DsqlAuthenticationError: authentication,
  DsqlConnectionError: connection,
  DsqlTransactionError: transaction,
  DsqlConflictError: conflict,
  DsqlCommitOutcomeUnknownError: commit,
  DsqlLimitError: limit,
  DsqlUnsupportedError: unsupported,
  DsqlUnavailableError: unavailable,
  DsqlConstraintError: constraint,
  DsqlQueryError: query,
  DsqlBatchError: batch,
  DsqlJobError: jobs,
  DsqlMigrationError: migration,
  DsqlLocalError: cluster,
  DsqlUnscriptedError: unscripted
}

interface AnyPage {
  readonly means: string
  readonly reasons: Readonly<Record<string, Reason>>
  readonly more?: string
}

const all = Object.entries<AnyPage>(pages)

/** Asked of the code, not written down. */
const again = ({ sample }: Reason): string =>
  DsqlErrors.isTransient(sample) ? "`withRetry` does" : DsqlErrors.isRetryable(sample) ? "may be" : "no"

const named = (reason: string): string => (reason === "-" ? "–" : `\`${reason}\``)

const note = "<!-- Written by `npm run docs`, from scripts/errors and the code. -->"

const page = (tag: string, { means, more, reasons }: AnyPage): string => `# ${tag}

${note}

${means}

| Reason | Cause | Cure | Run again |
| --- | --- | --- | --- |
${Object.entries(reasons)
  .map(([name, reason]) => `| ${named(name)} | ${cell(reason.cause)} | ${cell(reason.cure)} | ${again(reason)} |`)
  .join("\n")}

## How it shows

${Object.entries(reasons)
  .map(
    ([name, { sample }]) =>
      `${name === "-" ? "" : `${named(name)}:\n\n`}\`\`\`text\n${withoutPage(sample.message)}\n\`\`\``
  )
  .join("\n\n")}

${more === undefined ? "" : `## More\n\n${more}\n\n`}[All errors](README.md)
`

const index = `# Errors

${note}

Every statement fails with \`SqlError\`, as everywhere in \`@effect/sql\`; its \`cause\` is always one of these. \`DsqlErrors.refine\`
lifts it into the typed channel, \`DsqlErrors.isConflict\` and \`DsqlErrors.isRetryable\` look inside a \`SqlError\` as well.
Layers, \`DsqlTransaction.withRetry\`, migrations, jobs and batches fail with these errors themselves. Each message ends with
the path of its page here; the folder \`docs\` is a part of the package.

**Run again** says on each page what the code says: \`withRetry\` does (\`isTransient\`); it may be run again without doing it twice
(\`isRetryable\`), but waiting or another setting is more likely to help; or no. \`isRetryable\` is never true where running
the work again could do it twice.

| Error | Reasons | Means |
| --- | --- | --- |
${all
  .map(([tag, { means, reasons }]) => {
    const names = Object.keys(reasons).map(named).join(", ")
    return `| [\`${tag}\`](${tag}.md) | ${names} | ${cell(means.slice(0, means.indexOf(". ") + 1 || undefined))} |`
  })
  .join("\n")}

\`\`\`ts
import { SqlClient } from "@effect/sql"
import { Effect } from "effect"
import { DsqlErrors } from "effect-dsql"

export const addOwner = (id: number, name: string) =>
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    yield* sql\`INSERT INTO owner \${sql.insert({ id, name })}\`
  }).pipe(
    DsqlErrors.refine,
    Effect.catchTag("DsqlConstraintError", (error) => Effect.logInfo(\`already there: \${error.constraint}\`))
  )
\`\`\`

Each carries the facts as fields; its \`cause\` is the original: the driver's error, Node's or the AWS SDK's. No token, secret
key or session token is in any of them, nor in logs, spans and inspected values. What a credential provider of yours throws is
passed on as it is, so keep secrets out of its errors.
`

export const errorPages = (): Readonly<Record<string, string>> => ({
  "docs/errors/README.md": index,
  ...Object.fromEntries(all.map(([tag, described]) => [`docs/errors/${tag}.md`, page(tag, described)]))
})
