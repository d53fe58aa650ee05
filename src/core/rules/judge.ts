import type { Spelling } from "../spellings.js"
import { type Refusal, refuse, type Rule, type Surroundings } from "./rule.js"
import { statementRules, transactionRules } from "./statements.js"
import { systemEntityRules } from "./systemEntities.js"
import { mixingRules } from "./transactions.js"
import { type Tree, walk } from "./tree.js"

/** All rules for single statements, in the order in which the service looks at them. */
export const statementOrder: ReadonlyArray<Rule> = [...transactionRules, ...systemEntityRules, ...statementRules]

/** All rules there are. */
export const rules: ReadonlyArray<Rule> = [...statementOrder, ...mixingRules]

const rulesByNode: ReadonlyMap<string, ReadonlyArray<readonly [place: number, rule: Rule]>> = (() => {
  const byNode = new Map<string, Array<readonly [number, Rule]>>()
  for (const [place, rule] of statementOrder.entries()) {
    const list = byNode.get(rule.node) ?? []
    byNode.set(rule.node, [...list, [place, rule]])
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
export const judgeTree = ({ body, type }: Tree, spelling: Spelling | undefined): Findings => {
  const around: Surroundings = { spelling, statement: type }
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
