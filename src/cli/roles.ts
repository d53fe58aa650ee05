/** `effect-dsql roles`: the SQL that makes a role, and the IAM policy of who logs in as it. Connects to nothing. */
import * as Args from "@effect/cli/Args"
import * as Command from "@effect/cli/Command"
import * as Options from "@effect/cli/Options"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { Policy } from "../core/roles.js"
import { clusterGiven, connectionOptions, onOneLine } from "./connectionOptions.js"
import { load } from "./load.js"

const options = {
  arn: Options.text("arn").pipe(
    Options.withDescription("The IAM user or role that logs in as it. May be given several times."),
    Options.repeated
  ),
  schema: Options.text("schema").pipe(
    Options.withDescription("A schema whose tables it is to use; made if it is not there. Default: none is granted."),
    Options.optional
  ),
  readOnly: Options.boolean("read-only").pipe(
    Options.withDescription("Grant SELECT alone. Default: SELECT, INSERT, UPDATE and DELETE.")
  ),
  host: connectionOptions.host,
  region: connectionOptions.region,
  account: Options.text("account").pipe(
    Options.withDescription("The cluster's AWS account, for the policy. Default: that of the first --arn."),
    Options.optional
  ),
  only: Options.choice("only", ["sql", "policy"]).pipe(
    Options.withDescription("Print one of both alone: `--only sql | psql …`."),
    Options.optional
  ),
  json: Options.boolean("json").pipe(Options.withDescription("Print JSON, for programs."))
}

const script = (statements: ReadonlyArray<string>): string => statements.map((statement) => `${statement};`).join("\n")

const textOf = (
  role: string,
  { policy, statements }: { readonly statements?: ReadonlyArray<string>; readonly policy?: Policy }
): string => {
  const json = policy === undefined ? undefined : JSON.stringify(policy, undefined, 2)
  if (statements === undefined) return json ?? ""
  if (json === undefined) return script(statements)
  return [
    ...(statements.length === 0
      ? [`-- ${role} is there from the first; no SQL is needed.`]
      : ["-- As admin, each statement in a transaction of its own, as psql runs them:", script(statements)]),
    "",
    `-- The least that the IAM policy of whoever logs in as ${role} must allow:`,
    json
  ].join("\n")
}

export const roles = Command.make(
  "roles",
  {
    role: Args.text({ name: "role" }).pipe(Args.withDescription("The database role: admin, or any other.")),
    ...options
  },
  ({ account, arn, host, json, only, readOnly, region, role, schema }) =>
    Effect.gen(function* () {
      const core = yield* load(() => import("../core/roles.js"))
      const checks = yield* load(() => import("../internal/roleGrants.js"))
      const grants = yield* checks.roleGrants({
        role,
        arns: arn,
        schema: Option.getOrUndefined(schema),
        access: readOnly ? "read-only" : "read-write"
      })
      const parts = Option.getOrUndefined(only)
      const policy = Effect.gen(function* () {
        const cluster = yield* clusterGiven({ host, region })
        const owner = Option.getOrUndefined(account) ?? checks.accountOf(grants.arns[0] ?? "") ?? ""
        const arn = core.clusterArn({ ...cluster, account: yield* checks.account(owner) })
        return core.policyFor(`dsql:${core.loginAction(role)}`, arn)
      })
      const printed = {
        ...(parts === "policy" ? {} : { statements: core.roleStatements(grants) }),
        ...(parts === "sql" ? {} : { policy: yield* policy })
      }
      yield* Console.log(json ? JSON.stringify({ role, ...printed }) : textOf(role, printed))
    }).pipe(Effect.mapError(onOneLine))
).pipe(
  Command.withDescription(
    "Prints the SQL that creates a database role, maps IAM identities to it, makes a schema if need be and grants it, in the order in which Aurora DSQL takes it, and the least IAM policy that logs in as it. Connects to nothing."
  )
)
