import { isPunctuation, type Token } from "../lexer.js"
import type { Spelling } from "../spellings.js"
import { alterTableRules } from "./alterTable.js"
import { indexRules } from "./indexes.js"
import { objectRules } from "./objects.js"
import { queryRules } from "./queries.js"
import { type Refusal, refuse, type Rule, type Surroundings } from "./rule.js"
import { settingRules } from "./settings.js"
import { statementRules, transactionRules } from "./statements.js"
import { systemEntityRules } from "./systemEntities.js"
import { columnRules, keyRules, sequenceRules, tableKindRules } from "./tables.js"
import { mixingRules } from "./transactions.js"
import { type Tree, walk } from "./tree.js"

/**
 * The rules for single statements in the order in which the service looks at them: at the statement as a whole, then at
 * what it says of tables, then at what needs names and types. Within a phase what stands first in the text counts.
 */
const phases: ReadonlyArray<ReadonlyArray<Rule>> = [
  [...transactionRules, ...systemEntityRules, ...objectRules, ...statementRules],
  ...settingRules.map((rule) => [rule]),
  tableKindRules,
  ...alterTableRules.map((rule) => [rule]),
  ...indexRules.map((rule) => [rule]),
  columnRules,
  ...sequenceRules.map((rule) => [rule]),
  ...keyRules.map((rule) => [rule]),
  queryRules
]

/** All rules there are. */
export const rules: ReadonlyArray<Rule> = [...phases.flat(), ...mixingRules]

const rulesByNode: ReadonlyMap<string, ReadonlyArray<readonly [place: number, rule: Rule]>> = (() => {
  const byNode = new Map<string, ReadonlyArray<readonly [number, Rule]>>()
  for (const [place, phase] of phases.entries()) {
    for (const rule of phase) byNode.set(rule.node, [...(byNode.get(rule.node) ?? []), [place, rule]])
  }
  return byNode
})()

/** What a tree was found to hold. */
export interface Findings {
  readonly refusal: Refusal | undefined
  /** The types of all its nodes. */
  readonly types: ReadonlySet<string>
}

/** Judges a statement: of the rules that refuse something in it, the first in their order counts. */
export const judgeTree = (
  { body, type }: Tree,
  tokens: ReadonlyArray<Token>,
  spelling: Spelling | undefined
): Findings => {
  const around: Surroundings = { spelling, statement: type, outerTokens: () => outer(tokens) }
  const types = new Set<string>()
  let best = Number.POSITIVE_INFINITY
  let refusal: Refusal | undefined
  walk(type, body, (node, inner) => {
    types.add(node)
    for (const [place, rule] of rulesByNode.get(node) ?? []) {
      if (place >= best) continue
      const parts = rule.find(inner, around)
      if (parts === undefined) continue
      best = place
      refusal = refuse(rule, parts)
    }
  })
  return { refusal, types }
}

/** Those that stand in no parentheses. */
const outer = (tokens: ReadonlyArray<Token>): ReadonlyArray<Token> => {
  let depth = 0
  return tokens.filter((token) => {
    if (isPunctuation(token, ")")) depth--
    const isOuter = depth === 0
    if (isPunctuation(token, "(")) depth++
    return isOuter
  })
}
