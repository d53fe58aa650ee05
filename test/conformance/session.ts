import pg from "pg"
import type { Answer } from "./probes.js"

/** How a client speaks. */
export type Protocol = "simple" | "extended"

export const protocols: ReadonlyArray<Protocol> = ["simple", "extended"]

/** What a statement was answered: a result for each statement that was run, and perhaps an error behind them. */
export interface Reply {
  readonly results: ReadonlyArray<Answer>
  readonly error?: { readonly sqlstate: string; readonly message: string }
}

/** What node-postgres keeps to itself. */
interface Internals {
  readonly connection: NodeJS.EventEmitter
}

/** Runs one text over a protocol and tells everything that came back, values as the server wrote them. */
export const ask = async (client: pg.Client, sql: string, protocol: Protocol): Promise<Reply> => {
  const tags: Array<string> = []
  const shapes: Array<{ columns: ReadonlyArray<string>; rows: Array<ReadonlyArray<string | null>> } | undefined> = []
  let current: { columns: ReadonlyArray<string>; rows: Array<ReadonlyArray<string | null>> } | undefined
  const { connection } = client as unknown as Internals
  const onTag = ({ text }: { readonly text: string }): void => {
    tags.push(text)
    shapes.push(current)
    current = undefined
  }
  const onColumns = ({ fields }: { readonly fields: ReadonlyArray<{ readonly name: string }> }): void => {
    current = { columns: fields.map(({ name }) => name), rows: [] }
  }
  const onRow = ({ fields }: { readonly fields: ReadonlyArray<string | null> }): void => void current?.rows.push(fields)
  connection.on("commandComplete", onTag).on("rowDescription", onColumns).on("dataRow", onRow)
  try {
    await client.query({ text: sql, types: asText, ...(protocol === "simple" ? {} : { queryMode: "extended" }) })
    return { results: together(tags, shapes) }
  } catch (error) {
    const { code, message } = error as pg.DatabaseError
    if (code === undefined) throw error
    return { results: together(tags, shapes), error: { sqlstate: code, message } }
  } finally {
    connection.off("commandComplete", onTag).off("rowDescription", onColumns).off("dataRow", onRow)
  }
}

const together = (
  tags: ReadonlyArray<string>,
  shapes: ReadonlyArray<Pick<Answer, "columns" | "rows"> | undefined>
): ReadonlyArray<Answer> => tags.map((tag, index) => ({ tag, ...shapes[index] }))

const asText = { getTypeParser: () => (value: string) => value } as unknown as pg.CustomTypesConfig
