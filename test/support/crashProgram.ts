/** A program whose server is killed under load: says how it went, and must then end by itself. */
import { NodeRuntime } from "@effect/platform-node"
import { Console, Effect } from "effect"
import { DsqlLocal } from "effect-dsql/Local"
import { crashUnderLoad } from "./crash.js"
import { withInstruments } from "./instruments.js"

crashUnderLoad.pipe(
  Effect.flatMap(({ after, connectionsInTheEnd }) =>
    Console.log(JSON.stringify({ after: after.length, connectionsInTheEnd }))
  ),
  Effect.provide(DsqlLocal.layer(withInstruments)),
  NodeRuntime.runMain
)
