import { PgClient } from "@effect/sql-pg"
import { Redacted } from "effect"
import { dialling } from "../../test/local/dialling.js"
import type { Open } from "../contender.js"
import { effectClient } from "./effect.js"
import { tokenFor } from "./token.js"

export const effectSqlPg: Open = async (access, { connections }) => {
  const layer = PgClient.layer({
    host: access.host,
    port: access.port,
    username: "admin",
    database: "postgres",
    password: Redacted.make(await tokenFor(access)),
    ssl: { ca: access.ca },
    stream: () => dialling(access),
    maxConnections: connections
  })
  return effectClient(layer, connections)
}
