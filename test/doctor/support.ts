/** Examinations of the local cluster with something broken, and how they are looked at. */
import { assert } from "@effect/vitest"
import { Cause, ConfigProvider, Effect, Exit, Layer } from "effect"
import { DsqlAuth, type DsqlConfig, DsqlDoctor } from "effect-dsql"
import { DsqlLocal } from "effect-dsql/Local"

export const names = [
  "configuration",
  "credentials",
  "region",
  "dns",
  "tcp",
  "tls",
  "clock",
  "token",
  "login",
  "role",
  "settings",
  "statement",
  "limits"
] as const

/** Examines the cluster of the context, with options in the place of its own. */
export const examined = (
  options: Partial<DsqlConfig.Options> = {},
  how: DsqlDoctor.ExamineOptions<unknown> = {}
): Effect.Effect<DsqlDoctor.Report, never, DsqlLocal> =>
  Effect.flatMap(DsqlLocal, (cluster) =>
    withoutDefects(
      DsqlDoctor.examine(
        { ...cluster.options, ...options },
        { credentials: DsqlAuth.layerStatic(cluster.credentials), ...how }
      )
    )
  )

/** Whatever is broken is in the report: no failure, no defect. */
export const withoutDefects = <R>(
  examination: Effect.Effect<DsqlDoctor.Report, never, R>
): Effect.Effect<DsqlDoctor.Report, never, R> =>
  Effect.map(Effect.exit(examination), (exit) => {
    assert(Exit.isSuccess(exit), Exit.isFailure(exit) ? Cause.pretty(exit.cause) : "")
    assert.deepStrictEqual(
      exit.value.steps.map(({ name }) => name),
      [...names]
    )
    return exit.value
  })

/** The same through the environment, whose variables can be set and taken away as a cure says. */
export const examinedWith = (variables: Readonly<Record<string, string>>) =>
  Effect.flatMap(DsqlLocal, (cluster) => {
    const all = {
      DSQL_HOST: cluster.endpoint,
      DSQL_HOSTADDR: cluster.hostaddr,
      DSQL_PORT: String(cluster.port),
      DSQL_SSLROOTCERT: cluster.caFile,
      ...variables
    }
    return withoutDefects(
      DsqlDoctor.examineEnvironment({ credentials: DsqlAuth.layerStatic(cluster.credentials) }).pipe(
        Effect.provide(
          Layer.setConfigProvider(ConfigProvider.fromMap(new Map(Object.entries(all)), { pathDelim: "_" }))
        )
      )
    )
  })

/** Does to variables what a command says. */
export const obeying = (
  variables: Readonly<Record<string, string>>,
  command: string
): Readonly<Record<string, string>> => {
  const [, unset] = /^unset ([A-Z_ ]+)$/.exec(command) ?? []
  const [, name, value] = /^export ([A-Z_]+)='?([^']+)'?$/.exec(command) ?? []
  assert(unset !== undefined || name !== undefined, `not for a shell: ${command}`)
  return unset === undefined
    ? { ...variables, [name!]: value! }
    : Object.fromEntries(Object.entries(variables).filter(([name]) => !unset.split(" ").includes(name)))
}

export const stepOf = ({ steps }: DsqlDoctor.Report, name: DsqlDoctor.StepName): DsqlDoctor.Step =>
  steps.find((step) => step.name === name)!

/** What stands out: every step that is not ok, and for whom the skipped ones wait. */
export const outcomes = ({ steps }: DsqlDoctor.Report): Readonly<Record<string, string>> =>
  Object.fromEntries(
    steps.flatMap(({ name, outcome, waitsFor }) => (outcome === "ok" ? [] : [[name, waitsFor ?? outcome]]))
  )

/** All steps behind one wait for it. */
export const waitingFor = (
  name: DsqlDoctor.StepName,
  ...steps: ReadonlyArray<DsqlDoctor.StepName>
): Readonly<Record<string, string>> => Object.fromEntries(steps.map((step) => [step, name]))
