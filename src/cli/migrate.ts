/** `effect-dsql migrate`: a folder of migrations against the cluster of the environment, or one that is gone afterwards. */
import * as Command from "@effect/cli/Command"
import * as Options from "@effect/cli/Options"
import type * as SqlClient from "@effect/sql/SqlClient"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { DsqlMigrationError, MigrationEvent, Plan, Status } from "../Migrator.js"
import { load } from "./load.js"
import { showProgress } from "./migrateProgress.js"

const options = {
  dir: Options.directory("dir").pipe(
    Options.withDescription(
      "Folder with the migrations: 0001_name.sql, and modules (.js, .mjs; .ts where Node reads it) with an Effect as default export."
    ),
    Options.withDefault("migrations")
  ),
  table: Options.text("table").pipe(
    Options.withDescription("Table of the history. Default: effect_sql_migrations."),
    Options.optional
  ),
  local: Options.boolean("local").pipe(
    Options.withDescription(
      "Use a local cluster that is empty at first and gone afterwards, to try the migrations. Default: the cluster of DSQL_HOST or DSQL_URL."
    )
  ),
  json: Options.boolean("json").pipe(Options.withDescription("Print JSON, for programs."))
}

interface Given {
  readonly dir: string
  readonly table: Option.Option<string>
  readonly local: boolean
}

type Migrator = typeof import("../Migrator.js")

/** Runs `use` with a client of the cluster that is meant. */
const withCluster = <A, E, R>(
  { dir, local, table }: Given,
  use: (
    migrator: Migrator,
    history: { readonly loader: ReturnType<Migrator["fromFileSystem"]>; readonly table: string | undefined }
  ) => Effect.Effect<A, E, R | SqlClient.SqlClient>
) =>
  Effect.gen(function* () {
    const migrator = yield* load(() => import("../Migrator.js"))
    const history = { loader: migrator.fromFileSystem(dir), table: Option.getOrUndefined(table) }
    if (local) {
      const { DsqlLocal } = yield* load(() => import("../Local.js"))
      return yield* Effect.provide(use(migrator, history), DsqlLocal.layerLive())
    }
    const { DsqlLive } = yield* load(() => import("../Layer.js"))
    return yield* Effect.provide(use(migrator, history), DsqlLive)
  })

const exitWith = (code: number) =>
  Effect.sync(() => {
    process.exitCode = code
  })

const plural = (n: number, word: string): string => `${n} ${word}${n === 1 ? "" : "s"}`

const run = Command.make("run", options, ({ json, ...given }) =>
  withCluster(given, (migrator, history) =>
    Effect.gen(function* () {
      const onEvent: (event: MigrationEvent) => Effect.Effect<void> = json
        ? () => Effect.void
        : showProgress(process.stdout)
      const ran = yield* migrator.run({ ...history, onEvent })
      yield* Console.log(
        json
          ? JSON.stringify({ ran: ran.map(([id, name]) => ({ id, name })) })
          : ran.length === 0
            ? "Nothing to do."
            : `${plural(ran.length, "migration")} applied.`
      )
    })
  )
).pipe(
  Command.withDescription("Runs all migrations that have not run yet. Exit codes: 0 when all are applied, 1 when not.")
)

const messagesOf = (problems: ReadonlyArray<DsqlMigrationError>) => problems.map(({ message }) => message)

const planText = ({ migrations, problems }: Plan, refused: number): string => {
  const shown = migrations.map(({ file, id, name, statements }) =>
    [
      `${id}_${name}${file === undefined ? "" : `  ${file}`}`,
      ...(statements === undefined
        ? ["  an Effect: its statements are known when it runs"]
        : statements.flatMap(({ line, refusal, statement }) => [
            `  ${line}: ${statement.replaceAll(/\s+/g, " ").slice(0, 100)}`,
            ...(refusal === undefined
              ? []
              : [
                  `    refused [${refusal.sqlState}]${refusal.rule === undefined ? "" : ` by ${refusal.rule}`}: ${refusal.message}`
                ])
          ]))
    ].join("\n")
  )
  const summary = [
    ...(problems.length === 0 ? [] : [`Nothing would be run: ${plural(problems.length, "problem")}.`]),
    ...(refused === 0 ? [] : [`${plural(refused, "statement")} would be refused.`])
  ]
  if (summary.length === 0) {
    summary.push(migrations.length === 0 ? "Nothing to do." : `${plural(migrations.length, "migration")} to apply.`)
  }
  return [...shown, ...messagesOf(problems), ...summary].join("\n")
}

const plan = Command.make("plan", options, ({ json, ...given }) =>
  withCluster(given, (migrator, history) =>
    Effect.gen(function* () {
      const plan = yield* migrator.plan(history)
      const { migrations, problems } = plan
      const refused = migrations
        .flatMap(({ statements = [] }) => statements)
        .filter(({ refusal }) => refusal !== undefined).length
      yield* Console.log(
        json ? JSON.stringify({ migrations, problems: messagesOf(problems), refused }) : planText(plan, refused)
      )
      if (refused > 0 || problems.length > 0) yield* exitWith(2)
    })
  )
).pipe(
  Command.withDescription(
    "Shows what would be run, and everything in it that could not be, by the service's rules or ours. Changes nothing. Exit codes: 0, 1 when it cannot be told, 2 when something could not be run."
  )
)

const statusText = ({ holder, migrations, problems }: Status): string =>
  [
    ...migrations.map(({ appliedAt, done, id, name, of, state }) => {
      const when = state === "applied" || state === "missing" ? `  ${appliedAt?.toISOString()}` : ""
      const far = state === "partial" ? `  ${done}${of === undefined ? "" : ` of ${of}`} statements` : ""
      return `${state.padEnd(7)}  ${id}_${name}${when}${far}`
    }),
    ...(holder === undefined ? [] : [`${holder} is migrating now.`]),
    ...messagesOf(problems)
  ].join("\n")

const status = Command.make("status", options, ({ json, ...given }) =>
  withCluster(given, (migrator, history) =>
    Effect.gen(function* () {
      const status = yield* migrator.status(history)
      yield* Console.log(
        json
          ? JSON.stringify({ ...status, problems: messagesOf(status.problems) })
          : status.migrations.length === 0
            ? "No migrations."
            : statusText(status)
      )
      if (status.problems.length > 0 || status.migrations.some(({ state }) => state !== "applied")) yield* exitWith(3)
    })
  )
).pipe(
  Command.withDescription(
    "Shows which migrations are applied. Changes nothing. Exit codes: 0 when all are, 1 when it cannot be told, 3 when some are not, or `run` would be refused."
  )
)

export const migrate = Command.make("migrate").pipe(
  Command.withDescription("Migrations of a folder: what would be run, running them, and how far a database is."),
  Command.withSubcommands([plan, run, status])
)
