/** The tokens of PostgreSQL's SQL, as its own scanner cuts them with `standard_conforming_strings` on. */

export type TokenKind =
  | "whitespace"
  | "comment"
  | "identifier"
  | "quotedIdentifier"
  | "string"
  | "number"
  | "parameter"
  | "operator"
  | "punctuation"
  /** A string, quoted identifier or comment that nothing ends. */
  | "unterminated"
  /** A character that starts no token. */
  | "unknown"

export interface Token {
  readonly kind: TokenKind
  /** As it stands in the source. */
  readonly text: string
  /** The offset of its first character in the source. */
  readonly start: number
}

/** Cuts `source` into tokens. Nothing is left out: their texts put together are the source, whatever it is. */
export const tokenize = (source: string): Array<Token> => {
  const tokens: Array<Token> = []
  let start = 0
  while (start < source.length) {
    const { end, kind } = scan(source, start)
    tokens.push({ kind, text: source.slice(start, end), start })
    start = end
  }
  return tokens
}

/** Whether a token means something: neither whitespace nor a comment. */
export const isSignificant = ({ kind }: Token): boolean => kind !== "whitespace" && kind !== "comment"

/** Whether a token is this word, which is given in lower case: a keyword, or an identifier that needs no quotes. */
export const isWord = (token: Token | undefined, word: string): boolean =>
  token?.kind === "identifier" && foldCase(token.text) === word

/** Whether a token is this punctuation mark. */
export const isPunctuation = (token: Token | undefined, mark: string): boolean =>
  token?.kind === "punctuation" && token.text === mark

/** The name that an identifier stands for; `undefined` for other tokens, and for Unicode escapes that are none. */
export const identifierName = ({ kind, text }: Token): string | undefined => {
  if (kind === "identifier") return foldCase(text)
  if (kind !== "quotedIdentifier") return undefined
  const quoted = text.slice(text.indexOf('"') + 1, -1).replaceAll('""', '"')
  return text.startsWith('"') ? quoted : unescapeUnicode(quoted)
}

/** PostgreSQL folds ASCII letters only, when the encoding has several bytes to a character. */
const foldCase = (text: string): string => text.replace(/[A-Z]+/g, (letters) => letters.toLowerCase())

const unescapeUnicode = (text: string): string | undefined => {
  let isValid = true
  const name = text.replace(/\\(?:(\\)|\+([0-9a-f]{6})|([0-9a-f]{4})|)/gi, (_, backslash, long, short) => {
    const code = Number.parseInt(long ?? short ?? "0", 16)
    if (backslash !== undefined) return "\\"
    isValid &&= code > 0 && code <= 0x10ffff
    return isValid ? String.fromCodePoint(code) : ""
  })
  return isValid ? name : undefined
}

interface Scanned {
  readonly kind: TokenKind
  readonly end: number
}

const whitespace = /[ \t\n\r\f\v]+/y
const lineComment = /--[^\n\r]*/y
// Every character above ASCII is a letter.
const identifier = /[A-Za-z_\u0080-\uffff][A-Za-z0-9_$\u0080-\uffff]*/y
const number =
  /0[xX](?:_?[0-9a-fA-F])+|0[oO](?:_?[0-7])+|0[bB](?:_?[01])+|(?:\d(?:_?\d)*(?:\.(?!\.)(?:\d(?:_?\d)*)?)?|\.\d(?:_?\d)*)(?:[eE][+-]?\d(?:_?\d)*)?/y
const parameter = /\$\d+/y
const dollarQuote = /\$(?:[A-Za-z_\u0080-\uffff][A-Za-z0-9_\u0080-\uffff]*)?\$/y
const stringPrefix = /(?:[bBeEnNxX]|[uU]&)?'/y
const identifierPrefix = /(?:[uU]&)?"/y
const operator = /[-~!@#^&|`?+*/%<>=]+/y
const punctuation = /::|:=|\.\.|[,()[\].;:]/y
/** What may stand between two parts of one string: a line break, and behind it line comments too. */
const continuation = /[ \t\f\v]*[\n\r](?:[ \t\n\r\f\v]|--[^\n\r]*[\n\r])*'/y

/** Where `pattern`, which is sticky, ends when it starts at `start`; `undefined` if it does not. */
const matchAt = (pattern: RegExp, source: string, start: number): number | undefined => {
  pattern.lastIndex = start
  return pattern.test(source) ? pattern.lastIndex : undefined
}

const scan = (source: string, start: number): Scanned => {
  const simple = (kind: TokenKind, pattern: RegExp): Scanned | undefined => {
    const end = matchAt(pattern, source, start)
    return end === undefined ? undefined : { kind, end }
  }
  return (
    simple("whitespace", whitespace) ??
    simple("comment", lineComment) ??
    scanBlockComment(source, start) ??
    scanString(source, start) ??
    scanQuotedIdentifier(source, start) ??
    scanDollarQuote(source, start) ??
    simple("identifier", identifier) ??
    simple("number", number) ??
    simple("parameter", parameter) ??
    simple("punctuation", punctuation) ??
    scanOperator(source, start) ?? { kind: "unknown", end: start + 1 }
  )
}

const scanBlockComment = (source: string, start: number): Scanned | undefined => {
  if (!source.startsWith("/*", start)) return undefined
  const mark = /\/\*|\*\//g
  mark.lastIndex = start
  let depth = 0
  for (let match = mark.exec(source); match !== null; match = mark.exec(source)) {
    depth += match[0] === "/*" ? 1 : -1
    if (depth === 0) return { kind: "comment", end: mark.lastIndex }
  }
  return { kind: "unterminated", end: source.length }
}

const scanString = (source: string, start: number): Scanned | undefined => {
  let end = matchAt(stringPrefix, source, start)
  if (end === undefined) return undefined
  const hasEscapes = source[start] === "e" || source[start] === "E"
  for (let next: number | undefined = end; next !== undefined; next = matchAt(continuation, source, end)) {
    const closed = endOfQuoted(source, next, "'", hasEscapes)
    if (closed === undefined) return { kind: "unterminated", end: source.length }
    end = closed
  }
  return { kind: "string", end }
}

const scanQuotedIdentifier = (source: string, start: number): Scanned | undefined => {
  const opened = matchAt(identifierPrefix, source, start)
  if (opened === undefined) return undefined
  const end = endOfQuoted(source, opened, '"', false)
  return end === undefined ? { kind: "unterminated", end: source.length } : { kind: "quotedIdentifier", end }
}

/** Behind the closing quote; two quotes stand for one. */
const endOfQuoted = (source: string, start: number, quote: string, hasEscapes: boolean): number | undefined => {
  const mark = hasEscapes ? /['\\]/g : undefined
  for (let from = start; ;) {
    let at: number
    if (mark === undefined) at = source.indexOf(quote, from)
    else {
      mark.lastIndex = from
      at = mark.exec(source)?.index ?? -1
    }
    if (at === -1) return undefined
    if (source[at] === quote && source[at + 1] !== quote) return at + 1
    from = at + 2
  }
}

const scanDollarQuote = (source: string, start: number): Scanned | undefined => {
  const opened = matchAt(dollarQuote, source, start)
  if (opened === undefined) return undefined
  const tag = source.slice(start, opened)
  const closing = source.indexOf(tag, opened)
  return closing === -1 ? { kind: "unterminated", end: source.length } : { kind: "string", end: closing + tag.length }
}

/** An operator ends where a comment begins, and in a plus or minus only if it holds one of the rarer characters. */
const scanOperator = (source: string, start: number): Scanned | undefined => {
  const run = matchAt(operator, source, start)
  if (run === undefined) return undefined
  const [upToComment = ""] = source.slice(start, run).split(/--|\/\*/, 1)
  let length = upToComment.length
  if (!/[~!@#^&|`?%]/.test(upToComment)) while (length > 1 && "+-".includes(upToComment.charAt(length - 1))) length--
  return { kind: "operator", end: start + length }
}
