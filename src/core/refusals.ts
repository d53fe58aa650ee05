/**
 * Options and connection parameters of other drivers that have no place here, and why. What they are for is done
 * otherwise, or cannot be done on Aurora DSQL.
 */
import { timeoutRefusal } from "./settings.js"

const groups: ReadonlyArray<{ readonly names: string; readonly why: string }> = [
  {
    names: "password pass passfile service servicefile",
    why: "a cluster takes no password: every login carries a token signed with AWS credentials (profile, or a credentials layer)"
  },
  {
    names: "statement_timeout lock_timeout query_timeout command_timeout idle_in_transaction_session_timeout",
    why: timeoutRefusal
  },
  {
    names:
      "ssl sslmode requiressl rejectUnauthorized servername sslsni sslcompression sslcrl sslcrldir ssl_min_protocol_version ssl_max_protocol_version",
    why: "TLS is always on and always verified, at least TLS 1.2; tls (sslrootcert, sslnegotiation) says whom to trust and how to begin"
  },
  {
    names:
      "cert key sslcert sslkey sslpassword sslcertmode require_auth requirepeer channel_binding krbsrvname gsslib gssencmode gssdelegation",
    why: "the token is all there is to a login: no client certificate, Kerberos or other method has a part in it"
  },
  {
    names: "target_session_attrs load_balance_hosts replication",
    why: "a cluster is one endpoint, always writable: there is no other server to choose"
  },
  { names: "client_encoding", why: "it is always UTF8, which the driver needs; leave it out" },
  {
    names: "fallback_application_name",
    why: "give your program's name as application_name (applicationName); ours stands behind it in any case"
  },
  {
    names: "keepalives keepalives_interval keepalives_count tcp_user_timeout",
    why: "of TCP's keep-alive only the time before the first probe can be set: keepalives_idle (keepAlive)"
  },
  {
    names: "statement_cache_size prepare_threshold prepare",
    why: "statements with parameters are always prepared, at most 100 for each connection; a single one goes without by .unprepared"
  }
]

/** `statement_timeout` and `statementTimeout` are one name here. */
const folded = (name: string): string => name.replaceAll("_", "").toLowerCase()

const reasons: ReadonlyMap<string, string> = new Map(
  groups.flatMap(({ names, why }) => names.split(" ").map((name) => [folded(name), why] as const))
)

/** Why there is no such option; `undefined` where nothing is known about it. */
export const refusalOf = (name: string): string | undefined => reasons.get(folded(name))
