/** Which known name somebody may have meant. */

/** How many letters must be added, dropped or replaced to make one word of the other. */
const editDistance = (from: string, to: string): number => {
  let row = Array.from({ length: to.length + 1 }, (_, column) => column)
  for (let line = 1; line <= from.length; line++) {
    const above = row
    row = [line]
    for (let column = 1; column <= to.length; column++) {
      const replaced = above[column - 1]! + (from[line - 1] === to[column - 1] ? 0 : 1)
      row.push(Math.min(replaced, above[column]! + 1, row[column - 1]! + 1))
    }
  }
  return row[to.length]!
}

/** `maxLifetime`, `max_lifetime` and `MAXLIFETIME` are one word here. */
const folded = (word: string): string => word.replaceAll(/[-_.]/g, "").toLowerCase()

/** No known name is longer, and what is much longer is no slip of the pen. */
const longest = 64

/** The known name next to a word; none where at least half of the word would have to change. */
export const nearest = (word: string, known: Iterable<string>): string | undefined => {
  if (word.length > longest) return undefined
  let best: { readonly name: string; readonly distance: number } | undefined
  for (const name of known) {
    const distance = editDistance(folded(word), folded(name))
    if (distance < (best?.distance ?? Math.max(folded(word).length, folded(name).length) / 2)) best = { name, distance }
  }
  return best?.name
}

/** ` Did you mean x?`, or nothing. */
export const didYouMean = (word: string, known: Iterable<string>): string => {
  const name = nearest(word, known)
  return name === undefined ? "" : ` Did you mean ${name}?`
}
