import type { Answer, Probe, Step } from "./probes.js"
import type { Reply } from "./session.js"

const anything = "<volatile>"

/** In what a reply differs from what was recorded; `undefined` if in nothing. */
export const differenceOf = (probe: Probe, step: Step, reply: Reply): string | undefined => {
  const { error } = reply
  if (!step.ok) {
    const wanted = `${step.sqlstate} ${step.message}`
    const found = error === undefined ? `success (${reply.results.at(-1)?.tag})` : `${error.sqlstate} ${error.message}`
    return found === wanted ? undefined : `${step.sql}: ${found} instead of ${wanted}`
  }
  if (error !== undefined) return `${step.sql}: ${error.sqlstate} ${error.message} instead of success`
  const wanted = step.results ?? [step]
  if (wanted.length !== reply.results.length) return `${step.sql}: ${reply.results.length} results`
  const differences = wanted.flatMap((answer, index) => differ(answer, reply.results[index]!, probe.ignoreRows) ?? [])
  return differences.length === 0 ? undefined : `${step.sql}: ${differences.join("; ")}`
}

const differ = (wanted: Answer, found: Answer, ignoreRows = false): string | undefined => {
  const tagOf = ({ tag = "" }: Answer): string => (ignoreRows ? tag.replace(/^SELECT \d+$/, "SELECT") : tag)
  if (tagOf(wanted) !== tagOf(found)) return `tag ${found.tag} instead of ${wanted.tag}`
  if (JSON.stringify(wanted.columns) !== JSON.stringify(found.columns)) {
    return `columns ${JSON.stringify(found.columns)} instead of ${JSON.stringify(wanted.columns)}`
  }
  if (ignoreRows || wanted.rows === undefined) return undefined
  const rows = found.rows ?? []
  const agrees =
    rows.length === wanted.rows.length &&
    wanted.rows.every((row, r) => row.every((cell, c) => cell === anything || cell === rows[r]![c]))
  return agrees ? undefined : `rows ${JSON.stringify(rows)} instead of ${JSON.stringify(wanted.rows)}`
}
