import { calledNames, kindOf, type StatementKind, type Targets, targetsOf } from "../../core/statementKind.js"
import { shadowOf, type Shadow } from "../../core/shadow.js"
import { isWord } from "../../core/lexer.js"
import { splitStatements, type Statement } from "../../core/statements.js"
import { hiddenSchema } from "../systemSchema.js"

/** What is known of a statement by its text. */
export interface KnownStatement {
  readonly kind: StatementKind
  readonly source: Statement
  readonly calls: ReadonlySet<string>
  readonly targets: Targets
  readonly shadow: Shadow | undefined
}

/** Longer ones are seldom sent twice. */
const lengthLimit = 10_000
const countLimit = 2_000

/** Reads texts of statements, and remembers what it read: clients send the same ones again and again. */
export class Texts {
  readonly #known = new Map<string, ReadonlyArray<KnownStatement>>()

  /** The statements that a text consists of, without empty ones. */
  read(sql: string): ReadonlyArray<KnownStatement> {
    const known = this.#known.get(sql)
    if (known !== undefined) return known
    const statements = splitStatements(sql)
      .filter(({ tokens }) => tokens.length > 0)
      .map(know)
    if (sql.length <= lengthLimit) {
      if (this.#known.size >= countLimit) this.#known.clear()
      this.#known.set(sql, statements)
    }
    return statements
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
