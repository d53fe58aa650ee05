/** A local cluster whose conflicts come at COMMIT, as those of the service. */
import { Effect, Layer } from "effect"
import { DsqlLocal } from "effect-dsql/Local"
import { type ClusterOptions, startCluster } from "../../src/local/cluster.js"
import { fromCluster } from "../../src/LocalCluster.js"

export const conflictingCluster = (options: ClusterOptions = {}): Layer.Layer<DsqlLocal> =>
  Layer.scoped(
    DsqlLocal,
    Effect.acquireRelease(
      Effect.promise(() => startCluster({ conflicts: "service", ...options })),
      (cluster) => Effect.promise(() => cluster.stop())
    ).pipe(Effect.map(fromCluster))
  )
