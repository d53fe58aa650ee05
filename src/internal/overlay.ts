/** Options over options. */
import type { DataOptions } from "../Config.js"

/** Any of the options that are plain data; `undefined` says nothing. */
export type SomeOptions = { readonly [Name in keyof DataOptions]?: DataOptions[Name] | undefined }

const defined = <A extends object>(options: A | undefined): A =>
  Object.fromEntries(Object.entries(options ?? {}).filter(([, value]) => value !== undefined)) as A

/** What `over` says in the place of what `base` says, group by group. */
export const overlay = (base: SomeOptions, over: SomeOptions): SomeOptions => ({
  ...base,
  ...defined(over),
  tls: { ...base.tls, ...defined(over.tls) },
  pool: { ...base.pool, ...defined(over.pool) },
  retry: { ...base.retry, ...defined(over.retry) },
  session: { ...base.session, ...over.session }
})
