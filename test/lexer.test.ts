import { FastCheck as fc } from "effect"
import { assert, describe, it } from "vitest"
import { identifierName, isSignificant, isWord, type TokenKind, tokenize } from "../src/core/lexer.js"
import { splitStatements } from "../src/core/statements.js"

/** Kind and text of what means something. */
const significant = (source: string): ReadonlyArray<readonly [TokenKind, string]> =>
  tokenize(source)
    .filter(isSignificant)
    .map(({ kind, text }) => [kind, text] as const)

const texts = (source: string): ReadonlyArray<string> => significant(source).map(([, text]) => text)

/** One token each, which stays whole whatever stands around it. */
const whole: Readonly<Record<Exclude<TokenKind, "whitespace" | "comment" | "unterminated" | "unknown">, string[]>> = {
  identifier: ["a", "select", "_x$1", "Über", "a0"],
  quotedIdentifier: ['"a"', '""""', '"a;b"', '"--"', '"/*"', 'U&"\\0041"', 'u&"x"', `"it's"`],
  string: [
    "''",
    "'a'",
    "'it''s'",
    "'a;b'",
    "'-- no'",
    "'/* no'",
    "'\\'",
    "E'\\''",
    "e'a\\\\'",
    "E'''\\''''",
    "B'01'",
    "x'1F'",
    "N'n'",
    "U&'\\0041'",
    "$$a;'b$$",
    "$t$ $$ $u$ $t$",
    "$ü$--$ü$",
    "'a'\n'b'",
    "'a' \n -- c\n 'b'",
    "E'\\''\n'\\''"
  ],
  number: ["0", "12", "1.5", ".5", "1.", "1e10", "1.5E-3", "0x1F", "0b01", "0o17", "1_000"],
  parameter: ["$1", "$12"],
  operator: ["+", "-", "*", "<=", "<>", "=>", "||", "@>", "->>", "!~~*", "@-", "?|"],
  punctuation: [",", "(", ")", "[", "]", ".", ";", ":", "::", ":="]
}

const piece = fc.constantFrom(...Object.values(whole).flat())
const trivia = fc.constantFrom(" ", "\n", "\t\r\n", "-- c\n", "--;'\n", "/* ; ' */", "/* /* $$ */ ' */", "/**/")
/** What means something only to those who look closely. */
const shrapnel = fc.constantFrom(
  "'",
  '"',
  "$",
  "$$",
  "$a$",
  "/*",
  "*/",
  "--",
  "\\",
  "E'",
  "U&",
  ";",
  "\n",
  "(",
  "\0",
  "😀"
)

describe("tokenize", () => {
  it("leaves nothing out, whatever the source is", () => {
    const sources = fc.oneof(
      fc.fullUnicodeString(),
      fc.array(fc.oneof(piece, trivia, shrapnel, fc.string()), { maxLength: 30 }).map((parts) => parts.join(""))
    )
    fc.assert(
      fc.property(sources, (source) => {
        const tokens = tokenize(source)
        assert.strictEqual(tokens.map(({ text }) => text).join(""), source)
        let start = 0
        for (const token of tokens) {
          assert.strictEqual(token.start, start)
          assert.isAbove(token.text.length, 0)
          start += token.text.length
        }
        assert.strictEqual(
          splitStatements(source)
            .map(({ text }) => text)
            .join(""),
          source
        )
      }),
      { numRuns: 2000 }
    )
  })

  it("keeps each kind of token whole", () => {
    for (const [kind, examples] of Object.entries(whole)) {
      for (const text of examples) assert.deepStrictEqual(significant(text), [[kind as TokenKind, text]])
    }
  })

  it("finds again what was written with a space in between", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(piece, trivia), { maxLength: 20 }), (parts) => {
        // A space goes in front, so that a line break never joins two strings.
        const source = parts.map(([text, between]) => `${text} /**/ ${between}`).join("")
        assert.deepStrictEqual(
          texts(source),
          parts.map(([text]) => text)
        )
      }),
      { numRuns: 1000 }
    )
  })

  const neighbours: ReadonlyArray<readonly [string, ReadonlyArray<string>]> = [
    ["a.b", ["a", ".", "b"]],
    ["1..2", ["1", "..", "2"]],
    ["a=-1", ["a", "=", "-", "1"]],
    ["a@-1", ["a", "@-", "1"]],
    ["1+-+2", ["1", "+", "-", "+", "2"]],
    ["a-/*c*/b", ["a", "-", "b"]],
    ["a*--c\n1", ["a", "*", "1"]],
    ["a::text", ["a", "::", "text"]],
    ["x$1", ["x$1"]],
    ["$1$2", ["$1", "$2"]],
    ["$a$b$a$", ["$a$b$a$"]],
    ["a$b$c", ["a$b$c"]],
    ["'a' 'b'", ["'a'", "'b'"]],
    ["'a' -- c\n'b'", ["'a'", "'b'"]],
    ["'a'\n\"b\"", ["'a'", '"b"']],
    ["'\\'||'x'", ["'\\'", "||", "'x'"]],
    ["select'a'", ["select", "'a'"]],
    ["u & 'a'", ["u", "&", "'a'"]],
    ["/* a /* b */ c */ d", ["d"]],
    ["arr[1:2]", ["arr", "[", "1", ":", "2", "]"]]
  ]
  it.each(neighbours)("cuts %j as PostgreSQL does", (source, expected) => {
    assert.deepStrictEqual(texts(source), expected)
  })

  it.each(["'a", "E'a\\'", '"a', "$$a$", "$a$ $b$", "/* /* */", "U&'"])("says that nothing ends %j", (source) => {
    assert.deepStrictEqual(significant(`; ${source}`), [
      ["punctuation", ";"],
      ["unterminated", source]
    ])
  })

  it("takes time in proportion to the source", () => {
    for (const long of ["'".repeat(1e6), "x".repeat(1e6), "-+".repeat(5e5), "/*".repeat(5e5), "(".repeat(1e5)]) {
      assert.strictEqual(
        tokenize(`${long}=`)
          .map(({ text }) => text)
          .join("").length,
        long.length + 1
      )
    }
  })
})

describe("identifierName", () => {
  const names: ReadonlyArray<readonly [string, string | undefined]> = [
    ["Orders", "orders"],
    ["ÜBER", "Über"],
    ['"Orders"', "Orders"],
    ['"a""b"', 'a"b'],
    ['U&"d\\0061t\\+000061"', "data"],
    ['U&"a\\\\b"', "a\\b"],
    ['U&"\\00"', undefined],
    ["'a'", undefined],
    ["12", undefined]
  ]
  it.each(names)("reads %s as %j", (source, name) => {
    assert.strictEqual(identifierName(tokenize(source)[0]!), name)
  })

  it("takes a word for what it is only without quotes", () => {
    assert.isTrue(isWord(tokenize("SeLect")[0], "select"))
    assert.isFalse(isWord(tokenize('"select"')[0], "select"))
    assert.isFalse(isWord(undefined, "select"))
  })
})

describe("splitStatements", () => {
  const body =
    "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT CASE WHEN true THEN 1 END AS end; SELECT t.case FROM t; END"
  const scripts: ReadonlyArray<readonly [string, ReadonlyArray<string>]> = [
    ["", []],
    [" ", [" "]],
    [";;", [";", ";"]],
    ["SELECT 1", ["SELECT 1"]],
    ["SELECT 1; SELECT 2 ;", ["SELECT 1;", " SELECT 2 ;"]],
    ["SELECT ';'; -- ; \nSELECT $$;$$", ["SELECT ';';", " -- ; \nSELECT $$;$$"]],
    [
      "CREATE RULE r AS ON INSERT TO t DO (SELECT 1; SELECT 2); SELECT 3",
      ["CREATE RULE r AS ON INSERT TO t DO (SELECT 1; SELECT 2);", " SELECT 3"]
    ],
    [`${body}; SELECT 1`, [`${body};`, " SELECT 1"]],
    [
      `${body.replace("FUNCTION", "or REPLACE procedure")}; SELECT 1`,
      [`${body.replace("FUNCTION", "or REPLACE procedure")};`, " SELECT 1"]
    ],
    ["BEGIN; SELECT 1; END; SELECT 2", ["BEGIN;", " SELECT 1;", " END;", " SELECT 2"]],
    ["SELECT begin atomic; SELECT 1", ["SELECT begin atomic;", " SELECT 1"]],
    ["SELECT 1); SELECT 2", ["SELECT 1);", " SELECT 2"]]
  ]
  it.each(scripts)("cuts %j", (source, expected) => {
    assert.deepStrictEqual(
      splitStatements(source).map(({ text }) => text),
      expected
    )
  })

  it("gives the tokens that mean something, at their places in the source", () => {
    const source = "/* first */ SELECT 1; -- nothing\n; DROP TABLE a"
    const statements = splitStatements(source)
    assert.deepStrictEqual(
      statements.map(({ tokens }) => tokens.map(({ text }) => text)),
      [["SELECT", "1"], [], ["DROP", "TABLE", "a"]]
    )
    for (const { start, text, tokens } of statements) {
      assert.strictEqual(source.slice(start, start + text.length), text)
      for (const token of tokens) assert.isTrue(source.startsWith(token.text, token.start))
    }
  })
})
