/**
 * Names turned from the program's into the database's and back, in rows and in JSON values. It reaches as far as what
 * `@effect/sql` has for it, which fails on an array that begins with `null`, on one that holds more than objects, and on a
 * key `__proto__`: all of them are JSON.
 */

type Rename = (name: string) => string

/** A result has few names and repeats them often. */
const remembering = (rename: Rename): Rename => {
  const known = new Map<string, string>()
  return (name) => {
    const renamed = known.get(name) ?? rename(name)
    known.set(name, renamed)
    return renamed
  }
}

const isPlain = (value: unknown): value is object =>
  typeof value === "object" && value !== null && Object.getPrototypeOf(value) === Object.prototype

const renameKeys = (object: object, rename: Rename, ofValue: (value: unknown) => unknown) =>
  Object.fromEntries(Object.entries(object).map(([name, value]) => [rename(name), ofValue(value)]))

const valueWith = (rename: Rename) => {
  const renamed = (value: unknown): unknown => {
    if (Array.isArray(value)) {
      return isPlain(value.find((element) => element !== null && element !== undefined)) ? value.map(renamed) : value
    }
    return isPlain(value) ? renameKeys(value, rename, renamed) : value
  }
  return renamed
}

/** A JSON value with other keys. */
export const renameValue = (rename: Rename, value: unknown): unknown => valueWith(remembering(rename))(value)

/** Rows with other names, and with `intoJson` in their values too. */
export const renameRows =
  (rename: Rename, intoJson: boolean) =>
  <A extends object>(rows: ReadonlyArray<A>): ReadonlyArray<A> => {
    const once = remembering(rename)
    const ofValue = intoJson ? valueWith(once) : (value: unknown) => value
    return rows.map((row) => renameKeys(row, once, ofValue) as A)
  }
