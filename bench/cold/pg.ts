import pg from "pg"
import { dialling } from "../../test/local/dialling.js"
import { access, got } from "./row.js"

const pool = new pg.Pool({
  host: access.host,
  port: access.port,
  user: "admin",
  database: "postgres",
  password: process.env["BENCH_TOKEN"],
  ssl: { ca: access.ca },
  sslnegotiation: "direct",
  stream: () => dialling(access)
})
got((await pool.query("SELECT id FROM item WHERE id = 1")).rows)
await pool.end()
