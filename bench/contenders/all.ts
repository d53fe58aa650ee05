import type { Contender, Open } from "../contender.js"

/** Loads nothing of what the others need: a process holds the contender that it measures, and no more. */
const contender = (name: string, program: string | undefined, load: () => Promise<Open>, signs = false): Contender => ({
  name,
  signs,
  program,
  open: async (access, options) => (await load())(access, options)
})

/** The one that all are compared to comes first. */
export const contenders: ReadonlyArray<Contender> = [
  contender("pg", "pg", async () => (await import("./pg.js")).pgUnnamed),
  contender("pg, named statements", undefined, async () => (await import("./pg.js")).pgNamed),
  contender("postgres", "postgresJs", async () => (await import("./postgresJs.js")).postgresJs),
  contender("AWS's connector", "awsConnector", async () => (await import("./awsConnector.js")).awsConnector, true),
  contender("@effect/sql-pg", "effectSqlPg", async () => (await import("./effectSqlPg.js")).effectSqlPg),
  contender("effect-dsql", "ours", async () => (await import("./ours.js")).ours, true)
]

export const ours = contenders.find(({ name }) => name === "effect-dsql")!
