import { dirname, join } from "node:path"
import { type InternalSession, withInternalSession } from "../../src/local/internalSession.js"
import { internalUser } from "../../src/local/template.js"

/** A session of PostgreSQL's superuser on a local cluster, for what Aurora DSQL has nothing that could do it. */
export const asSuperuser = <A>(caFile: string, use: (session: InternalSession) => Promise<A>): Promise<A> =>
  withInternalSession(join(dirname(caFile), ".s.PGSQL.5432"), internalUser, "postgres", use)
