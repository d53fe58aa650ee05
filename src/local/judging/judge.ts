import { applyEdits, type Edit, editsOf } from "../../core/rules/edits.js"
import { judgeTree } from "../../core/rules/judge.js"
import type { Refusal } from "../../core/rules/rule.js"
import { type Role, roleOf } from "../../core/rules/transactions.js"
import { type CreateFunctionStmt, optionOf, type Tree } from "../../core/rules/tree.js"
import { plainText, type Spelling, spellingOf } from "../../core/spellings.js"
import { splitStatements, type Statement } from "../../core/statements.js"
import { TextCache } from "../statements/textCache.js"
import { droppingCall } from "./dropColumns.js"
import type { Parser } from "./parser.js"

/** One statement of a text, judged by itself. */
export interface JudgedStatement {
  /** With its whitespace, its comments and its semicolon. */
  readonly text: string
  /** Whether nothing but comments stands there. */
  readonly isEmpty: boolean
  readonly spelling: Spelling | undefined
  /** The type of its node in PostgreSQL's tree, if it is PostgreSQL's. */
  readonly type: string | undefined
  readonly role: Role
  readonly refusal: Refusal | undefined
  /** What PostgreSQL gets, where that is something else. */
  readonly edits: ReadonlyArray<Edit>
}

/** Judges texts and remembers what it found. One serves all sessions of a cluster. */
export class Judge {
  readonly #parse: Parser
  readonly #known = new TextCache((sql) => this.#judge(sql))

  constructor(parse: Parser) {
    this.#parse = parse
  }

  /** How many texts it remembers now. */
  get size(): number {
    return this.#known.size
  }

  /** The statements of a text; `undefined` if PostgreSQL cannot read it, and then will say so. */
  judge(sql: string): ReadonlyArray<JudgedStatement> | undefined {
    return this.#known.read(sql)
  }

  #judge(sql: string): ReadonlyArray<JudgedStatement> | undefined {
    try {
      const judged = splitStatements(sql).map((statement) => this.#judgeStatement(statement))
      return judged.some((statement) => statement === undefined) ? undefined : (judged as Array<JudgedStatement>)
    } catch (error) {
      // Nested too deeply for us; PostgreSQL has a limit of its own.
      if (error instanceof RangeError) return undefined
      throw error
    }
  }

  #judgeStatement(statement: Statement): JudgedStatement | undefined {
    const { text, tokens } = statement
    const nothing = { text, isEmpty: tokens.length === 0, type: undefined, refusal: undefined, edits: [] }
    if (nothing.isEmpty) return { ...nothing, spelling: undefined, role: "other" }
    const spelling = spellingOf(statement)
    const plain = plainText(statement, spelling)
    if (plain === undefined) return { ...nothing, spelling, role: roleOf(undefined, spelling, () => false) }
    const tree = this.#treeOf(plain)
    if (tree === undefined) return undefined
    const { refusal, types } = judgeTree(tree, tokens, spelling)
    const role = roleOf(tree, spelling, (type) => types.has(type))
    const refused = refusal ?? this.#judgeBody(tree)
    const call = refused === undefined ? droppingCall(tree, statement) : undefined
    const edits =
      refused !== undefined ? [] : call === undefined ? editsOf(tree, plain, statement.start, tokens) : [call]
    return { ...nothing, spelling, type: tree.type, role, refusal: refused, edits }
  }

  /** What is refused in the statements of a function, where they stand in a string. */
  #judgeBody({ body, type }: Tree): Refusal | undefined {
    if (type !== "CreateFunctionStmt") return undefined
    const source = optionOf((body as CreateFunctionStmt).options, "as")?.List?.items?.[0]?.String?.sval
    const judged = source === undefined ? undefined : this.#judge(source)
    return judged?.find(({ refusal }) => refusal !== undefined)?.refusal
  }

  #treeOf(sql: string): Tree | undefined {
    const [entry] = Object.entries(this.#parse(sql) ?? {})
    return entry === undefined ? undefined : { type: entry[0], body: entry[1] }
  }
}

/** What PostgreSQL gets for a statement that is not refused. */
export const sentText = ({ edits, text }: JudgedStatement): string => applyEdits(text, edits)
