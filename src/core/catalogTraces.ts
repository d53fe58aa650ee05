import { identifierName, isPunctuation, isWord, type Token } from "./lexer.js"

/** Where an object stands in the catalog. Without a schema it is that of the session. */
export type CatalogObject =
  | { readonly kind: "relation"; readonly schema: string | undefined; readonly name: string }
  | { readonly kind: "index"; readonly schema: string | undefined; readonly name: string }
  | { readonly kind: "schema" | "role"; readonly name: string }
  | { readonly kind: "type"; readonly schema: string | undefined; readonly name: string }
  | OfTable<"column">
  | OfTable<"constraint">
  | OfTable<"validated">

interface OfTable<Kind extends string> {
  readonly kind: Kind
  readonly schema: string | undefined
  readonly table: string
  readonly name: string
}

/**
 * What a statement that changes the schema leaves in the catalog: by `object`, which is there (`present`) or gone afterwards,
 * one can tell whether it took effect. `again` may simply be run once more. `unknown` leaves nothing that one could tell by.
 */
export type Trace =
  | { readonly _tag: "object"; readonly object: CatalogObject; readonly present: boolean }
  | { readonly _tag: "again" }
  | { readonly _tag: "unknown" }

const again: Trace = { _tag: "again" }
const unknown: Trace = { _tag: "unknown" }

interface Name {
  readonly schema: string | undefined
  readonly name: string
}

/** Reads a statement word by word. */
class Reader {
  private at = 0

  constructor(private readonly tokens: ReadonlyArray<Token>) {}

  /** Takes these words if they come next. */
  take(words: string): boolean {
    const all = words.split(" ")
    if (!all.every((word, index) => isWord(this.tokens[this.at + index], word))) return false
    this.at += all.length
    return true
  }

  /** The next of these words, if it is one of them. */
  oneOf(...choices: ReadonlyArray<string>): string | undefined {
    return choices.find((words) => this.take(words))
  }

  identifier(): string | undefined {
    const token = this.tokens[this.at]
    const name = token === undefined ? undefined : identifierName(token)
    if (name !== undefined) this.at++
    return name
  }

  name(): Name | undefined {
    const first = this.identifier()
    if (first === undefined || !isPunctuation(this.tokens[this.at], ".")) {
      return first === undefined ? undefined : { schema: undefined, name: first }
    }
    this.at++
    const name = this.identifier()
    return name === undefined ? undefined : { schema: first, name }
  }
}

const trace = (object: CatalogObject | undefined, present: boolean): Trace =>
  object === undefined ? unknown : { _tag: "object", object, present }

const relation = (name: Name | undefined): CatalogObject | undefined =>
  name === undefined ? undefined : { kind: "relation", ...name }

const named = (kind: "schema" | "role", name: string | undefined): CatalogObject | undefined =>
  name === undefined ? undefined : { kind, name }

const typed = (name: Name | undefined): CatalogObject | undefined =>
  name === undefined ? undefined : { kind: "type", ...name }

const kinds = ["table", "view", "sequence", "schema", "role", "user", "domain"] as const

const objectOf = (kind: string, reader: Reader): CatalogObject | undefined => {
  switch (kind) {
    case "schema":
      return named("schema", reader.identifier())
    case "role":
    case "user":
      return named("role", reader.identifier())
    case "domain":
      return typed(reader.name())
    default:
      return relation(reader.name())
  }
}

const ofCreate = (reader: Reader): Trace => {
  if (reader.take("or replace")) return again
  reader.take("unique")
  if (reader.take("index")) return ofCreateIndex(reader)
  const kind = reader.oneOf(...kinds) ?? (reader.take("recursive view") ? "view" : undefined)
  if (kind === undefined) return unknown
  return reader.take("if not exists") ? again : trace(objectOf(kind, reader), true)
}

/** Its job must be found again too, so that it is not enough to run it once more. */
const ofCreateIndex = (reader: Reader): Trace => {
  reader.take("async")
  reader.take("if not exists")
  if (reader.take("on")) return unknown
  const name = reader.identifier()
  if (name === undefined || !reader.take("on")) return unknown
  reader.take("only")
  const table = reader.name()
  return trace(table === undefined ? undefined : { kind: "index", schema: table.schema, name }, true)
}

const ofDrop = (reader: Reader): Trace => {
  const kind = reader.oneOf(...kinds, "index")
  if (kind === undefined) return unknown
  return reader.take("if exists") ? again : trace(objectOf(kind, reader), false)
}

const ofAlterTable = (reader: Reader): Trace => {
  reader.take("async")
  reader.take("if exists")
  reader.take("only")
  const table = reader.name()
  if (table === undefined) return unknown
  const inTable = (kind: "column" | "constraint" | "validated", present: boolean): Trace => {
    const name = reader.identifier()
    return trace(name === undefined ? undefined : { kind, schema: table.schema, table: table.name, name }, present)
  }
  // All actions of a statement take effect together, so the first one tells of them all.
  if (reader.take("add constraint")) return inTable("constraint", true)
  if (reader.oneOf("add unique", "add primary", "add check", "add foreign", "add exclude") !== undefined) return unknown
  if (reader.oneOf("add column", "add") !== undefined) {
    return reader.take("if not exists") ? again : inTable("column", true)
  }
  if (reader.take("drop constraint")) return reader.take("if exists") ? again : inTable("constraint", false)
  if (reader.oneOf("drop column", "drop") !== undefined) {
    return reader.take("if exists") ? again : inTable("column", false)
  }
  if (reader.take("validate constraint")) return inTable("validated", true)
  if (reader.take("rename to")) return trace(relation({ schema: table.schema, name: reader.identifier() ?? "" }), true)
  if (reader.take("rename constraint")) return ofRename(reader, () => inTable("constraint", true))
  if (reader.oneOf("rename column", "rename") !== undefined) return ofRename(reader, () => inTable("column", true))
  if (reader.take("set schema")) return trace(relation({ schema: reader.identifier(), name: table.name }), true)
  if (reader.take("owner to")) return again
  if (reader.oneOf("alter column", "alter") !== undefined) {
    reader.identifier()
    return reader.oneOf("set default", "drop default", "drop not null", "set storage") === undefined ? unknown : again
  }
  return unknown
}

/** Behind `RENAME` comes the old name, then TO and the new one. */
const ofRename = (reader: Reader, target: () => Trace): Trace =>
  reader.identifier() !== undefined && reader.take("to") ? target() : unknown

const ofAlter = (reader: Reader): Trace => {
  if (reader.take("table")) return ofAlterTable(reader)
  if (reader.take("default privileges")) return again
  const kind = reader.oneOf(...kinds, "index")
  if (kind === undefined) return unknown
  reader.take("if exists")
  const name = reader.name()
  if (name === undefined) return unknown
  if (reader.take("owner to")) return again
  if (!reader.take("rename to")) return kind === "role" || kind === "user" ? again : unknown
  const renamed = reader.identifier()
  if (renamed === undefined) return unknown
  if (kind === "schema") return trace(named("schema", renamed), true)
  if (kind === "role" || kind === "user") return trace(named("role", renamed), true)
  const target = { schema: name.schema, name: renamed }
  return trace(kind === "domain" ? typed(target) : relation(target), true)
}

/** What a statement that commits by itself leaves behind. */
export const traceOf = (tokens: ReadonlyArray<Token>): Trace => {
  const reader = new Reader(tokens)
  if (reader.take("create")) return ofCreate(reader)
  if (reader.take("drop")) return ofDrop(reader)
  if (reader.take("alter")) return ofAlter(reader)
  if (reader.oneOf("grant", "revoke", "comment", "analyze", "truncate") !== undefined) return again
  if (reader.take("call")) {
    const name = reader.name()
    return name?.schema === "sys" && name.name === "wait_for_job" ? again : unknown
  }
  return unknown
}
