import { isWord } from "../lexer.js"
import { type Rule, rule, type Surroundings, when } from "./rule.js"
import type { IndexElem } from "./tree.js"

/** CREATE INDEX. */

const recorded = { mark: "recorded", source: "reports" } as const
const inferred = { mark: "inferred", source: "pattern" } as const

/** In the tree an access method that was not given looks like one that was. */
const namesMethod = ({ outerTokens }: Surroundings): boolean => outerTokens().some((token) => isWord(token, "using"))

const element = (
  facts: Pick<Rule, "id" | "statement" | "message" | "mark" | "source">,
  holds: (element: IndexElem) => boolean
): Rule =>
  rule("IndexStmt", facts, ({ indexParams }) =>
    when((indexParams ?? []).some((node) => node.IndexElem !== undefined && holds(node.IndexElem)))
  )

export const indexRules: ReadonlyArray<Rule> = [
  rule(
    "IndexStmt",
    {
      ...recorded,
      id: "index-concurrently",
      statement: "CREATE INDEX CONCURRENTLY",
      message: "CONCURRENTLY not supported for CREATE INDEX"
    },
    ({ concurrent }) => when(concurrent === true)
  ),
  rule(
    "IndexStmt",
    {
      ...recorded,
      id: "index-using",
      statement: "CREATE INDEX … USING",
      message: "USING not supported for CREATE INDEX"
    },
    (_, around) => when(namesMethod(around))
  ),
  element(
    {
      ...recorded,
      id: "index-sort-order",
      statement: "CREATE INDEX … (… ASC), (… DESC)",
      message: "specifying sort order not supported for index keys"
    },
    ({ ordering }) => ordering !== undefined && ordering !== "SORTBY_DEFAULT"
  ),
  element(
    {
      ...recorded,
      id: "index-opclass",
      statement: "CREATE INDEX with an operator class",
      message: "opclass not supported for index keys"
    },
    ({ opclass }) => opclass !== undefined
  ),
  rule(
    "IndexStmt",
    {
      ...inferred,
      id: "index-with",
      statement: "CREATE INDEX … WITH (…)",
      message: "WITH not supported for CREATE INDEX"
    },
    ({ options }) => when(options !== undefined)
  ),
  rule(
    "IndexStmt",
    {
      ...inferred,
      id: "index-tablespace",
      statement: "CREATE INDEX … TABLESPACE",
      message: "TABLESPACE not supported for CREATE INDEX"
    },
    ({ tableSpace }) => when((tableSpace ?? "") !== "")
  ),
  rule(
    "IndexStmt",
    {
      mark: "recorded",
      source: "probes",
      id: "index-sync",
      statement: "CREATE INDEX without ASYNC",
      message: "unsupported mode. please use CREATE INDEX ASYNC."
    },
    (_, { spelling }) => when(spelling?._tag !== "IndexAsync")
  )
]
