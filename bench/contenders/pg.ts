import pg from "pg"
import { dialling } from "../../test/local/dialling.js"
import type { Open } from "../contender.js"
import { nodePostgresClient } from "./nodePostgres.js"
import { tokenFor } from "./token.js"

const open =
  (named: boolean): Open =>
  async (access, { connections }) => {
    const config: pg.PoolConfig = {
      host: access.host,
      port: access.port,
      user: "admin",
      database: "postgres",
      password: await tokenFor(access),
      ssl: { ca: access.ca },
      // As ours does.
      sslnegotiation: "direct",
      stream: () => dialling(access),
      max: connections
    }
    return nodePostgresClient(new pg.Pool(config), connections, named)
  }

export const pgUnnamed = open(false)
export const pgNamed = open(true)
