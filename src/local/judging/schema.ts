/** What the rules need inside the database; see `systemSchema.ts`. */

/** Has no values, so that PostgreSQL quotes whatever it is given in its refusal. */
export const refusalType = "_dsql.refusal"

export const judgingSchema: ReadonlyArray<string> = [`CREATE TYPE ${refusalType} AS ENUM ()`]
