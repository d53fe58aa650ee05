import { isTaken } from "../../core/rules/known.js"
import type { Refusal } from "../../core/rules/rule.js"
import { TransactionState } from "../../core/rules/transactions.js"
import { splitStatements, type Statement } from "../../core/statements.js"
import { Judge } from "./judge.js"
import { loadParser } from "./parser.js"

/** What would become of a statement of a file. */
export interface Explained {
  /** Where its first word stands, counted from 1. */
  readonly line: number
  /** On one line, without comments. */
  readonly statement: string
  readonly verdict:
    | { readonly _tag: "Accepted" }
    | { readonly _tag: "Refused"; readonly refusal: Refusal }
    /** No rule knows of statements like this. */
    | { readonly _tag: "Unjudged" }
    /** PostgreSQL cannot read it. */
    | { readonly _tag: "Unreadable" }
}

/**
 * Judges the statements of a file as if a client sent them one by one. Nothing is run, so what only the catalogs tell stays
 * out of it.
 */
export const explainSql = async (source: string): Promise<ReadonlyArray<Explained>> => {
  const judge = new Judge(await loadParser())
  const state = new TransactionState()
  return splitStatements(source)
    .filter(({ tokens }) => tokens.length > 0)
    .map((statement) => ({
      line: lineOf(source, statement.tokens[0]!.start),
      statement: onOneLine(statement),
      verdict: verdictOn(judge, state, statement)
    }))
}

const verdictOn = (judge: Judge, state: TransactionState, { text }: Statement): Explained["verdict"] => {
  const [judged] = judge.judge(text) ?? []
  if (judged === undefined) return { _tag: "Unreadable" }
  const { role, spelling, type } = judged
  const refusal = judged.refusal ?? state.run(role)
  state.endUnit()
  if (refusal !== undefined) return { _tag: "Refused", refusal }
  const isKnown = type === undefined ? spelling !== undefined : isTaken(type)
  return { _tag: isKnown ? "Accepted" : "Unjudged" }
}

const lineOf = (source: string, offset: number): number => source.slice(0, offset).split("\n").length

const onOneLine = ({ start, text, tokens }: Statement): string => {
  let end = tokens[0]!.start
  return tokens
    .map((token) => {
      const gap = token.start === end ? "" : " "
      end = token.start + token.text.length
      return gap + text.slice(token.start - start, end - start).replaceAll(/\s+/g, " ")
    })
    .join("")
}
