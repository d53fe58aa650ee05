/**
 * The Aurora DSQL data layer for Effect.
 *
 * @since 0.1.0
 */
export * as DsqlAuth from "./Auth.js"
export * as DsqlBatch from "./Batch.js"
export * as DsqlClient from "./Client.js"
export * as DsqlConfig from "./Config.js"
export * as DsqlConnection from "./Connection.js"
export * as DsqlDoctor from "./Doctor.js"
export * as DsqlErrors from "./Errors.js"
export * as DsqlJobs from "./Jobs.js"
export * as DsqlLayer from "./Layer.js"
export { DsqlLive } from "./Layer.js"
export * as DsqlMigrator from "./Migrator.js"
export * as DsqlTransaction from "./Transaction.js"
