import { KeyObject, webcrypto } from "node:crypto"
import { ownRequire } from "./packages.js"

/** All PEM texts. */
export interface Certificates {
  readonly ca: string
  readonly certificate: string
  readonly key: string
}

type X509 = typeof import("@peculiar/x509")

const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const
const day = 24 * 60 * 60 * 1000

/** A certificate authority of its own for each cluster, and a certificate for the endpoints of a region. */
export const makeCertificates = async (region: string): Promise<Certificates> => {
  const x509 = loadX509()
  const makeKeys = () => webcrypto.subtle.generateKey(algorithm, true, ["sign", "verify"])
  const [caKeys, keys] = await Promise.all([makeKeys(), makeKeys()])
  const validity = { notBefore: new Date(Date.now() - day), notAfter: new Date(Date.now() + 5 * 365 * day) }
  const ca = await x509.X509CertificateGenerator.createSelfSigned({
    ...validity,
    serialNumber: "01",
    name: "CN=effect-dsql local cluster CA",
    signingAlgorithm: algorithm,
    keys: caKeys,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(caKeys.publicKey)
    ]
  })
  const names = `*.dsql.${region}.on.aws`
  const certificate = await x509.X509CertificateGenerator.create({
    ...validity,
    serialNumber: "02",
    subject: `CN=${names}`,
    issuer: ca.subject,
    publicKey: keys.publicKey,
    signingKey: caKeys.privateKey,
    signingAlgorithm: algorithm,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
      new x509.SubjectAlternativeNameExtension([{ type: "dns", value: names }]),
      await x509.AuthorityKeyIdentifierExtension.create(caKeys.publicKey)
    ]
  })
  return {
    ca: `${ca.toString("pem")}\n`,
    certificate: `${certificate.toString("pem")}\n`,
    key: KeyObject.from(keys.privateKey).export({ type: "pkcs8", format: "pem" }).toString()
  }
}

/**
 * The library injects dependencies by decorators and refuses to load without a `Reflect` polyfill, although it works
 * without any metadata. So empty methods stand there while it loads, synchronously and out of everybody's sight.
 */
const loadX509 = (): X509 => {
  const missing = ["getMetadata", "getOwnMetadata", "defineMetadata"].filter((name) => !(name in Reflect))
  try {
    for (const name of missing) {
      Object.defineProperty(Reflect, name, { configurable: true, value: () => undefined })
    }
    return ownRequire("@peculiar/x509") as X509
  } finally {
    for (const name of missing) Reflect.deleteProperty(Reflect, name)
  }
}
