import { DsqlAuth, DsqlLayer } from "effect-dsql"
import type { Open } from "../contender.js"
import { providerOf } from "./credentials.js"
import { effectClient } from "./effect.js"

export const ours: Open = (access, options) => {
  const { ca, host, hostaddr, port } = access
  const layer = DsqlLayer.layer(
    { host, hostaddr, port, tls: { ca }, pool: { max: options.connections, connectRate: 1000 } },
    options.inContainer === true ? {} : { credentials: DsqlAuth.layerProvider(providerOf(access)) }
  )
  return effectClient(layer, options.connections)
}
