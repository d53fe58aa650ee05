import type { Token } from "../lexer.js"
import type { Spelling } from "../spellings.js"
import type { Nodes } from "./tree.js"

/** What is known of a rule: a real cluster gave this answer, AWS describes it, or it follows from what is known otherwise. */
export type Mark = "recorded" | "documented" | "inferred"

/** What a rule may look at beside the node itself. */
export interface Surroundings {
  readonly spelling: Spelling | undefined
  /** The type of the statement's own node. */
  readonly statement: string
  /** The tokens of the statement that stand in no parentheses. */
  readonly outerTokens: () => ReadonlyArray<Token>
}

/** What stands in the place of the parts in angle brackets. */
export type Parts = Readonly<Record<string, string>>

/** Something that the service refuses. */
export interface Rule {
  /** Never changes: reports and documents name a rule by it. */
  readonly id: string
  /** What is refused, in the words of SQL. */
  readonly statement: string
  readonly sqlState: string
  /** What the service says; parts in angle brackets come from the statement. */
  readonly message: string
  readonly mark: Mark
  /** Where the text is from; see `docs/local-cluster-rules.md`. */
  readonly source: string
  /** As of when, as year and month. */
  readonly date: string
  /** The type of the nodes that it looks at, wherever in a statement they stand. */
  readonly node: string
  /** The parts of the message if the node is refused. */
  readonly find: (body: object, around: Surroundings) => Parts | undefined
}

const noParts: Parts = {}

/** The parts of a message that has none, if something holds. */
export const when = (holds: boolean): Parts | undefined => (holds ? noParts : undefined)

type Facts = Pick<Rule, "id" | "statement" | "message" | "mark" | "source"> & Partial<Pick<Rule, "sqlState" | "date">>

/** A rule for nodes of a type that rules look into. */
export const rule = <Type extends keyof Nodes>(
  node: Type,
  facts: Facts,
  find: (body: Nodes[Type], around: Surroundings) => Parts | undefined
): Rule => ({
  sqlState: "0A000",
  date: "2026-09",
  ...facts,
  node,
  find: find as Rule["find"]
})

/** A rule that refuses every statement of a type. */
export const never = (node: string, facts: Facts): Rule => ({
  sqlState: "0A000",
  date: "2026-09",
  ...facts,
  node,
  find: () => noParts
})

/** A refusal as the client gets it. */
export interface Refusal {
  readonly rule: Rule
  readonly sqlState: string
  readonly message: string
}

export const refuse = (rule: Rule, parts: Parts): Refusal => ({
  rule,
  sqlState: rule.sqlState,
  message: rule.message.replace(/<(\w+)>/g, (whole, name: string) => parts[name] ?? whole)
})
