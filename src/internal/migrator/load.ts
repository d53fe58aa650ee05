/** Loading migrations: those of the loaders of `@effect/sql`, and files of SQL. */
import type { FileSystem } from "@effect/platform/FileSystem"
import type { Loader, ResolvedMigration } from "@effect/sql/Migrator"
import type * as SqlClient from "@effect/sql/SqlClient"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import { createHash } from "node:crypto"
import { canonicalText, readScript, type Unit } from "../../core/script.js"
import { DsqlMigrationError } from "./error.js"
import { type Migration, type Named, nameOf, SqlFile, type Step } from "./model.js"

/** Under this key the effect that loads a file of SQL carries its path: such a file may be read at any time. */
const sqlFileKey: unique symbol = Symbol.for("effect-dsql/Migrator/SqlFile")

const sha256 = (text: string): string => createHash("sha256").update(text).digest("hex")

/** What a statement is known by: its text without layout and comments, and its parameters. */
export const checksumOf = (
  statements: ReadonlyArray<Parameters<typeof canonicalText>[0]>,
  parameters?: string
): string => sha256(statements.map(canonicalText).join(";") + (parameters === undefined ? "" : `\n${parameters}`))

export const sqlFile = (
  path: string,
  text: Effect.Effect<string, DsqlMigrationError>
): Effect.Effect<SqlFile, DsqlMigrationError> =>
  Object.assign(
    Effect.map(text, (text) => new SqlFile(path, text)),
    { [sqlFileKey]: path }
  )

const isSqlFile = (load: unknown): boolean => typeof load === "object" && load !== null && sqlFileKey in load

const withText = (named: Named, { path, text }: SqlFile): Migration => {
  const { problems, units } = readScript(text)
  const steps = units.map((unit, index): Step & { readonly unit: Unit } => ({
    kind: unit.kind,
    position: index + 1,
    line: unit.line,
    text: unit.text,
    checksum: checksumOf(unit.statements.map(({ tokens }) => tokens)),
    unit
  }))
  return {
    ...named,
    kind: "sql",
    file: path,
    steps,
    problems: problems.map(
      ({ detail, line, text }) =>
        new DsqlMigrationError({
          reason: "Script",
          migration: nameOf(named),
          file: path,
          line,
          statement: text,
          detail
        })
    )
  }
}

const notLoaded = (named: Named, detail: string, cause?: unknown) =>
  new DsqlMigrationError({ reason: "Loader", migration: nameOf(named), detail, cause })

const unloadable = (named: Named, error: DsqlMigrationError): Migration => ({
  ...named,
  kind: "effect",
  effect: Effect.fail(error),
  problems: [error]
})

/** What `@effect/sql` takes: an Effect, or a module that has one as its default export. */
const effectOf = (named: Named, loaded: unknown): Migration => {
  const exported = (value: unknown): unknown =>
    typeof value === "object" && value !== null && !Effect.isEffect(value) && "default" in value ? value.default : value
  const effect = exported(exported(loaded))
  return Effect.isEffect(effect)
    ? {
        ...named,
        kind: "effect",
        effect: effect as Effect.Effect<unknown, unknown, SqlClient.SqlClient>,
        problems: []
      }
    : unloadable(named, notLoaded(named, "its default export is no Effect; export one: `export default Effect.gen(…)`"))
}

/** Loads a migration. Modules that are not `needed` are left alone, since what ran years ago need not load any more. */
const load = (
  [id, name, loading]: ResolvedMigration,
  isNeeded: boolean
): Effect.Effect<Migration, never, SqlClient.SqlClient> => {
  const named = { id, name }
  if (!isNeeded && !isSqlFile(loading)) {
    return Effect.succeed({ ...named, kind: "effect", effect: Effect.void, problems: [] })
  }
  return (loading as Effect.Effect<unknown, unknown, SqlClient.SqlClient>).pipe(
    Effect.map((loaded) => (loaded instanceof SqlFile ? withText(named, loaded) : effectOf(named, loaded))),
    Effect.catchAllCause((cause) => {
      if (Cause.isInterruptedOnly(cause)) return Effect.failCause(cause as Cause.Cause<never>)
      const failure = Cause.squash(cause)
      const isOurs = failure instanceof DsqlMigrationError
      return Effect.succeed(unloadable(named, isOurs ? failure : notLoaded(named, "it could not be loaded", failure)))
    })
  )
}

/** All migrations in the order of their numbers. */
export const resolve = <R>(loader: Loader<R>): Effect.Effect<ReadonlyArray<ResolvedMigration>, DsqlMigrationError, R> =>
  loader.pipe(
    Effect.mapError((cause) =>
      // Ours pass through the loader's type.
      (cause as unknown) instanceof DsqlMigrationError
        ? (cause as unknown as DsqlMigrationError)
        : new DsqlMigrationError({ reason: "Loader", detail: "the migrations could not be listed", cause })
    ),
    Effect.map((resolved) => resolved.toSorted(([a], [b]) => a - b))
  )

export const loadAll = (
  resolved: ReadonlyArray<ResolvedMigration>,
  isApplied: (id: number) => boolean
): Effect.Effect<ReadonlyArray<Migration>, never, SqlClient.SqlClient> =>
  Effect.forEach(resolved, (migration) => load(migration, !isApplied(migration[0])))

/** Files as `@effect/sql` names them, and `.sql`; others are no migrations. */
const fileName = /^(\d+)_([^.]+)\.(js|ts|mjs|mts|sql)$/

/** The path of a module, as `import` takes it. */
const moduleUrl = (path: string): string =>
  /^[a-z]+:\/\//i.test(path) ? path : `file://${encodeURI(path).replaceAll("?", "%3F").replaceAll("#", "%23")}`

export const fromFolder = (
  fs: FileSystem,
  folder: string
): Effect.Effect<ReadonlyArray<ResolvedMigration>, DsqlMigrationError> =>
  fs.readDirectory(folder).pipe(
    Effect.mapError(
      (cause) => new DsqlMigrationError({ reason: "Loader", detail: `the folder ${folder} could not be read`, cause })
    ),
    Effect.flatMap((files) =>
      Effect.zip(
        Effect.succeed(files),
        Effect.orElseSucceed(fs.realPath(folder), () => folder)
      )
    ),
    Effect.map(([files, absolute]) =>
      files.flatMap((file): ReadonlyArray<ResolvedMigration> => {
        const [, id, name, kind] = fileName.exec(file) ?? []
        if (id === undefined || name === undefined) return []
        const path = `${folder}/${file}`
        const text = Effect.mapError(fs.readFileString(path), (cause) =>
          notLoaded({ id: Number(id), name }, "it could not be read", cause)
        )
        return [
          [
            Number(id),
            name,
            kind === "sql"
              ? sqlFile(path, text)
              : Effect.promise(
                  () => import(/* @vite-ignore */ /* webpackIgnore: true */ moduleUrl(`${absolute}/${file}`))
                )
          ]
        ]
      })
    )
  )
