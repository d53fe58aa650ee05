import { calledNames, kindOf, type StatementKind, type Targets, targetsOf } from "../../core/statementKind.js"
import { shadowOf, type Shadow } from "../../core/shadow.js"
import { isWord } from "../../core/lexer.js"
import { splitStatements, type Statement } from "../../core/statements.js"
import { hiddenSchema } from "../systemSchema.js"
import { TextCache } from "./textCache.js"

/** What is known of a statement by its text. */
export interface KnownStatement {
  readonly kind: StatementKind
  readonly source: Statement
  readonly calls: ReadonlySet<string>
  readonly targets: Targets
  readonly shadow: Shadow | undefined
}

/** Reads texts of statements, and remembers what it read. */
export class Texts {
  readonly #known = new TextCache((sql) =>
    splitStatements(sql)
      .filter(({ tokens }) => tokens.length > 0)
      .map(know)
  )

  /** The statements that a text consists of, without empty ones. */
  read(sql: string): ReadonlyArray<KnownStatement> {
    return this.#known.read(sql)
  }
}

const know = (source: Statement): KnownStatement => {
  const { tokens } = source
  return {
    // The service's own statements, which change the catalog, are calls by now; see `ownStatements.ts`.
    kind: tokens.some((token) => isWord(token, hiddenSchema)) ? "ddl" : kindOf(tokens),
    source,
    calls: calledNames(tokens),
    targets: targetsOf(tokens),
    shadow: shadowOf(source)
  }
}
