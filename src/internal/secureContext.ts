/** Whom TLS trusts: the authorities of a configuration, read and parsed. */
import * as Effect from "effect/Effect"
import { X509Certificate } from "node:crypto"
import { readFile } from "node:fs/promises"
import { createSecureContext, type SecureContext } from "node:tls"
import type { Resolved } from "../Config.js"
import { DsqlConfigError } from "../Errors.js"

const caError = ({ caFile }: Resolved["tls"], detail: string, cause: unknown) =>
  new DsqlConfigError({
    reason: "InvalidOption",
    option: caFile === undefined ? "tls.ca" : "tls.caFile (DSQL_SSLROOTCERT)",
    detail,
    cause
  })

const readCa = (tls: Resolved["tls"]): Effect.Effect<string | undefined, DsqlConfigError> => {
  const { ca, caFile } = tls
  return caFile === undefined
    ? Effect.succeed(ca)
    : Effect.tryPromise({
        try: () => readFile(caFile, "utf8"),
        catch: (cause) =>
          caError(tls, `cannot read ${caFile}; if it came from a local cluster, that cluster has ended`, cause)
      })
}

/** OpenSSL passes over what is no certificate. */
const assertCertificate = (ca: string | undefined) => (ca === undefined ? undefined : new X509Certificate(ca))

/** Made once for all connections, since parsing the certificates costs more than a handshake. */
export const secureContextFor = (tls: Resolved["tls"]): Effect.Effect<SecureContext, DsqlConfigError> =>
  Effect.flatMap(readCa(tls), (ca) =>
    Effect.try({
      try: () => {
        assertCertificate(ca)
        return createSecureContext({ ca, minVersion: "TLSv1.2" })
      },
      catch: (cause) =>
        caError(
          tls,
          `${tls.caFile ?? "the text"} holds no certificate in PEM form (-----BEGIN CERTIFICATE-----)`,
          cause
        )
    })
  )
