import { ownRequire } from "../packages.js"

type Library = Pick<typeof import("libpg-query"), "loadModule" | "parseSync">

/** A statement as PostgreSQL's grammar reads it: an object with one key, the type of its node. */
export type ParsedStatement = Readonly<Record<string, object>>

/** Reads one statement; `undefined` if it is none. */
export type Parser = (sql: string) => ParsedStatement | undefined

/** Loads PostgreSQL's grammar. It is compiled once in a process, however often it is asked for. */
export const loadParser = async (): Promise<Parser> => {
  const library = ownRequire("libpg-query") as Library
  await library.loadModule()
  return (sql) => {
    try {
      const { stmts } = library.parseSync(sql) as { readonly stmts?: ReadonlyArray<{ readonly stmt: ParsedStatement }> }
      return stmts?.length === 1 ? stmts[0]!.stmt : undefined
    } catch (error) {
      // What cannot be read, or is too deep, is PostgreSQL's to refuse; anything else is a defect here.
      if (error instanceof RangeError || (error instanceof Error && error.name === "SqlError")) return undefined
      throw error
    }
  }
}
