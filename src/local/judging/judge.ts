import { judgeTree } from "../../core/rules/judge.js"
import type { Refusal } from "../../core/rules/rule.js"
import { type Role, roleOf } from "../../core/rules/transactions.js"
import type { Tree } from "../../core/rules/tree.js"
import { plainText, type Spelling, spellingOf } from "../../core/spellings.js"
import { splitStatements, type Statement } from "../../core/statements.js"
import type { Parser } from "./parser.js"

/** One statement of a text, judged by itself. */
export interface JudgedStatement {
  readonly text: string
  /** Whether nothing but comments stands there. */
  readonly isEmpty: boolean
  readonly spelling: Spelling | undefined
  readonly role: Role
  readonly refusal: Refusal | undefined
}

/** How many texts are remembered, and how long they may be: together some megabytes at the most. */
const countLimit = 2000
const lengthLimit = 10_000

/** Judges texts and remembers what it found. One serves all sessions of a cluster. */
export class Judge {
  readonly #parse: Parser
  readonly #known = new Map<string, ReadonlyArray<JudgedStatement> | undefined>()

  constructor(parse: Parser) {
    this.#parse = parse
  }

  /** How many texts it remembers now. */
  get size(): number {
    return this.#known.size
  }

  /** The statements of a text; `undefined` if PostgreSQL cannot read it, and then will say so. */
  judge(sql: string): ReadonlyArray<JudgedStatement> | undefined {
    if (this.#known.has(sql)) return this.#known.get(sql)
    const judged = this.#judge(sql)
    if (sql.length <= lengthLimit) {
      if (this.#known.size >= countLimit) this.#known.clear()
      this.#known.set(sql, judged)
    }
    return judged
  }

  #judge(sql: string): ReadonlyArray<JudgedStatement> | undefined {
    const judged: Array<JudgedStatement> = []
    for (const statement of splitStatements(sql)) {
      const one = statement.tokens.length === 0 ? empty(statement) : this.#judgeStatement(statement)
      if (one === undefined) return undefined
      judged.push(one)
    }
    return judged
  }

  #judgeStatement(statement: Statement): JudgedStatement | undefined {
    const spelling = spellingOf(statement)
    const plain = plainText(statement, spelling)
    const { text } = statement
    if (plain === undefined) {
      return { text, isEmpty: false, spelling, role: roleOf(undefined, spelling, () => false), refusal: undefined }
    }
    const parsed = this.#parse(plain)
    const tree = parsed === undefined ? undefined : treeOf(parsed)
    if (tree === undefined) return undefined
    const { refusal, types } = judgeTree(tree, spelling)
    return { text, isEmpty: false, spelling, role: roleOf(tree, spelling, (type) => types.has(type)), refusal }
  }
}

const empty = ({ text }: Statement): JudgedStatement => ({
  text,
  isEmpty: true,
  spelling: undefined,
  role: "other",
  refusal: undefined
})

const treeOf = (parsed: Readonly<Record<string, object>>): Tree | undefined => {
  const [entry] = Object.entries(parsed)
  return entry === undefined ? undefined : { type: entry[0], body: entry[1] }
}
