import postgres from "postgres"
import { access, got } from "./row.js"

const sql = postgres({
  host: access.hostaddr,
  port: access.port,
  user: "admin",
  database: "postgres",
  password: process.env["BENCH_TOKEN"] ?? "",
  ssl: { servername: access.host, ca: access.ca }
})
got(await sql`SELECT id FROM item WHERE id = 1`)
await sql.end()
