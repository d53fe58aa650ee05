/** A deployer: runs the migrations of a folder on a cluster that runs elsewhere, and prints what happens. */
import { NodeContext, NodeRuntime } from "@effect/platform-node"
import { Console, Effect } from "effect"
import { DsqlMigrator } from "effect-dsql"
import { DsqlLocal, type LocalAccess } from "effect-dsql/Local"

const access = JSON.parse(process.env["ACCESS"]!) as LocalAccess

DsqlMigrator.run({
  loader: DsqlMigrator.fromFileSystem(process.env["MIGRATIONS"]!),
  lease: process.env["LEASE"] === "short" ? "1 second" : undefined,
  onEvent: (event) => Console.log(event._tag)
}).pipe(
  Effect.flatMap((ran) => Console.log(`ran ${ran.length}`)),
  Effect.provide([DsqlLocal.layerFrom(access), NodeContext.layer]),
  NodeRuntime.runMain
)
