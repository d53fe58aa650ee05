/** The layers, and which of them needs which. */
import { arrow, corner, named, picture, text } from "./drawing.js"

const left = 40
const width = 330
const rail = 500
const middle = left + width / 2

const layers = [
  ["DsqlConfig", "resolved, validated, immutable"],
  ["DsqlCredentials", "AWS credentials, kept until they expire"],
  ["DsqlToken", "one signed token, renewed ahead of its end"],
  ["DsqlConnection", "a pool: TLS, the token as password, lifetimes"],
  ["SqlClient + PgClient", "statements, transactions, streams"]
] as const

const top = (index: number): number => 60 + index * 84

export const layersPicture = (): string =>
  picture(620, top(layers.length) + 34, "The layers of effect-dsql", [
    text(middle, 34, "options · environment · connection string", { anchor: "middle" }),
    arrow(middle, 42, middle, top(0) - 2),
    ...layers.map(([name, about], index) => named(left, top(index), width, name, about, index === 4 ? "good" : "box")),
    ...layers.slice(1).map((_, index) => arrow(middle, top(index) + 52, middle, top(index + 1) - 2)),
    // Everything below the configuration reads it.
    corner(left + width, top(0) + 26, rail, top(4) + 26),
    ...[1, 2, 3, 4].map((index) => arrow(rail, top(index) + 26, left + width + 2, top(index) + 26)),
    text(rail + 14, top(0) + 30, "host, region,", { quiet: true }),
    text(rail + 14, top(0) + 48, "user, limits", { quiet: true }),
    text(rail + 14, top(1) + 22, "swap:", { quiet: true }),
    text(rail + 14, top(1) + 40, "credentials", { code: true }),
    text(rail + 14, top(2) + 22, "swap:", { quiet: true }),
    text(rail + 14, top(2) + 40, "token", { code: true }),
    arrow(middle, top(4) + 52, middle, top(5) - 2),
    text(middle, top(5) + 16, "your program", { anchor: "middle" })
  ])
