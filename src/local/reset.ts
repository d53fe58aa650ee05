import { setTimeout as delay } from "node:timers/promises"
import { LocalClusterError } from "./errors.js"
import { withInternalSession } from "./internalSession.js"
import { createDatabase } from "./systemSchema.js"

/** The copy that the database is made from; nobody else connects to it. */
const pristine = "template1"

const evict = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'postgres'"
const evictionPause = 2
const evictionTime = 1_000

/** Makes the database anew, with no role but `admin`. Whoever is connected is thrown out. */
export const resetDatabase = (socketPath: string, internalUser: string): Promise<void> =>
  withInternalSession(socketPath, internalUser, pristine, async ({ run }) => {
    // DROP DATABASE itself looks only every 100 ms whether those it throws out have gone.
    const deadline = performance.now() + evictionTime
    while ((await run(evict)).length > 0 && performance.now() < deadline) await delay(evictionPause)
    await run("DROP DATABASE IF EXISTS postgres WITH (FORCE)")
    const roles = await run(
      "SELECT quote_ident(rolname) FROM pg_roles WHERE rolname NOT IN ('admin', current_user) AND rolname NOT LIKE 'pg\\_%'"
    )
    if (roles.length > 0) await run(`DROP ROLE ${roles.map(([name]) => name).join(", ")}`)
    await run("ALTER ROLE admin RESET ALL")
    await run(createDatabase)
  }).catch((error: unknown) => {
    throw new LocalClusterError("ResetFailed", `The local cluster could not be reset: ${String(error)}`, error)
  })
