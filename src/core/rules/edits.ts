import { isWord, type Token } from "../lexer.js"
import { type ColumnDef, type Tree, type TypeName, walk } from "./tree.js"
import { unsizedNumeric } from "./types.js"

/** What the service means by something that PostgreSQL takes otherwise: a part of a text that becomes another. */
export interface Edit {
  readonly at: number
  readonly length: number
  readonly text: string
}

/** What `numeric` without a precision is in a column. */
const numericSize = "(18,6)"

/** How a statement must be changed so that PostgreSQL does what the service does. */
export const editsOf = (tree: Tree, text: string, start: number, tokens: ReadonlyArray<Token>): ReadonlyArray<Edit> => {
  const edits = [...numericEdits(tree, text, start, tokens)]
  if (tree.type === "AlterTableStmt") edits.push(...triggerEdits(start, tokens))
  return edits.toSorted((one, other) => one.at - other.at)
}

const numericEdits = (tree: Tree, text: string, start: number, tokens: ReadonlyArray<Token>): ReadonlyArray<Edit> => {
  const places = numericPlaces(tree)
  if (places.length === 0) return []
  const offsetOf = characterOffsets(text)
  return places.flatMap((place) => {
    const at = offsetOf(place)
    const index = tokens.findIndex((token) => token.start - start === at)
    const last = tokens[isWord(tokens[index], "pg_catalog") ? index + 2 : index]
    return last === undefined ? [] : [{ at: last.start - start + last.text.length, length: 0, text: numericSize }]
  })
}

/**
 * The service takes ENABLE and DISABLE TRIGGER ALL and does nothing. PostgreSQL would mean those of foreign keys too, which
 * only a superuser may touch.
 */
const triggerEdits = (start: number, tokens: ReadonlyArray<Token>): ReadonlyArray<Edit> =>
  tokens.flatMap((token, index) =>
    isWord(token, "all") && isWord(tokens[index - 1], "trigger")
      ? [{ at: token.start - start, length: token.text.length, text: "USER" }]
      : []
  )

const numericPlaces = ({ body, type }: Tree): ReadonlyArray<number> => {
  const places: Array<number> = []
  walk(type, body, (node, inner) => {
    if (node !== "ColumnDef" && node !== "CreateDomainStmt") return
    const place = unsizedNumeric((inner as Pick<ColumnDef, "typeName"> & { readonly typeName?: TypeName }).typeName)
    if (place !== undefined) places.push(place)
  })
  return places
}

/** Trees count the bytes of UTF-8. */
const characterOffsets = (text: string): ((bytes: number) => number) => {
  let at = 0
  let bytes = 0
  return (wanted) => {
    if (wanted < bytes) at = bytes = 0
    for (; bytes < wanted && at < text.length; at++) bytes += utf8Length(text.codePointAt(at)!)
    return at
  }
}

const utf8Length = (code: number): number => (code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4)

/** The text with all its edits, which must be in order. */
export const applyEdits = (text: string, edits: ReadonlyArray<Edit>): string => {
  let done = 0
  let edited = ""
  for (const { at, length, text: inserted } of edits) {
    edited += text.slice(done, at) + inserted
    done = at + length
  }
  return edited + text.slice(done)
}

/** Where something that stands at `at` in an edited text stood before. */
export const placeBefore = (at: number, edits: ReadonlyArray<Edit>): number => {
  let place = at
  for (const edit of edits) {
    if (place <= edit.at) break
    place = Math.max(edit.at, place - edit.text.length + edit.length)
  }
  return place
}
