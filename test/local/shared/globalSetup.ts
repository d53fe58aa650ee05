/** As the README shows it: one cluster for all test files of a run. */
import { Effect, ManagedRuntime } from "effect"
import { DsqlLocal, type LocalAccess } from "effect-dsql/Local"
import type { TestProject } from "vitest/node"

export const setup = async (project: TestProject) => {
  const runtime = ManagedRuntime.make(DsqlLocal.layer())
  project.provide("dsql", await runtime.runPromise(Effect.flatMap(DsqlLocal, ({ access }) => access)))
  return () => runtime.dispose()
}

declare module "vitest" {
  export interface ProvidedContext {
    readonly dsql: LocalAccess
  }
}
