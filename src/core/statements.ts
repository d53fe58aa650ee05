import { isPunctuation, isSignificant, isWord, type Token, tokenize } from "./lexer.js"

/** One of the statements that a text consists of. */
export interface Statement {
  /** The offset in the source of its first character, which may be whitespace. */
  readonly start: number
  /** With all whitespace and comments, and with the semicolon that ends it, if one does. */
  readonly text: string
  /** Those that mean something, without the semicolon. Empty if nothing stands there. */
  readonly tokens: ReadonlyArray<Token>
}

/**
 * Cuts `source` at the semicolons that end statements: not those in parentheses, nor those in the BEGIN ATOMIC body of a
 * function. The texts put together are the source.
 */
export const splitStatements = (source: string): Array<Statement> => {
  const statements: Array<Statement> = []
  let tracker = new StatementTracker()
  let start = 0
  for (const token of tokenize(source)) {
    if (!tracker.isEndedBy(token)) continue
    const end = token.start + token.text.length
    statements.push({ start, text: source.slice(start, end), tokens: tracker.tokens })
    start = end
    tracker = new StatementTracker()
  }
  if (start < source.length) statements.push({ start, text: source.slice(start), tokens: tracker.tokens })
  return statements
}

class StatementTracker {
  readonly tokens: Array<Token> = []
  #parentheses = 0
  #blocks = 0

  /** Takes the next token of the source; true if it is the semicolon that ends the statement. */
  isEndedBy(token: Token): boolean {
    if (!isSignificant(token)) return false
    if (isPunctuation(token, ";") && this.#parentheses === 0 && this.#blocks === 0) return true
    if (isPunctuation(token, "(")) this.#parentheses++
    else if (isPunctuation(token, ")")) this.#parentheses = Math.max(0, this.#parentheses - 1)
    else this.#followBlocks(token)
    this.tokens.push(token)
    return false
  }

  #followBlocks(token: Token): void {
    const previous = this.tokens.at(-1)
    // There even a reserved word is only a name.
    if (isPunctuation(previous, ".") || isWord(previous, "as")) return
    if (this.#blocks > 0) {
      if (isWord(token, "case")) this.#blocks++
      else if (isWord(token, "end")) this.#blocks--
    } else if (isWord(token, "atomic") && isWord(previous, "begin") && createsRoutine(this.tokens)) this.#blocks = 1
  }
}

const createsRoutine = (tokens: ReadonlyArray<Token>): boolean => {
  const [first, second, third] = tokens
  const kind = isWord(second, "or") && isWord(third, "replace") ? tokens[3] : second
  return isWord(first, "create") && (isWord(kind, "function") || isWord(kind, "procedure"))
}
