/** The life of a token of 15 minutes; its times come from the functions that the client goes by. */
import { renewAt, usableUntil } from "../../src/core/tokenLifetime.js"
import { arrow, box, line, picture, text } from "./drawing.js"

const minute = 60_000
const duration = 15 * minute
const usable = usableUntil({ signedAt: 0, duration, credentialsExpireAt: undefined })
const [earliest, latest] = [renewAt(0, usable, 0), renewAt(0, usable, 1)]

const left = 60
const scale = 44
const at = (time: number): number => Math.round(left + (time / minute) * scale)
const clock = (time: number): string => {
  const seconds = Math.round(time / 1000)
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`
}
const renewed = (earliest + latest) / 2

const bar = (y: number, from: number, name: string): string =>
  [
    box(at(from), y, at(from + usable) - at(from), 34, "good"),
    box(at(from + usable), y, at(from + duration) - at(from + usable), 34, "bad"),
    text(at(from) + 10, y + 22, name, { bold: true })
  ].join("\n")

export const tokenPicture = (): string =>
  picture(at(renewed + duration) + 40, 330, "The life of a token", [
    text(left, 34, "signed", { quiet: true }),
    arrow(at(0), 42, at(0), 62),
    bar(64, 0, "first token: every new connection logs in with it"),
    box(at(earliest), 106, at(latest) - at(earliest), 22, "way"),
    text(at(earliest) - 8, 122, `renewed at a random moment from ${clock(earliest)} to ${clock(latest)}`, {
      anchor: "end"
    }),
    arrow(at(renewed), 128, at(renewed), 154),
    bar(156, renewed, "next token"),
    line(at(usable), 40, at(usable), 64, { dashed: true }),
    text(at(usable) - 6, 34, `no longer used: ${clock(usable)}`, { anchor: "end" }),
    text(at(duration) + 6, 34, `over for the server: ${clock(duration)}`),
    line(at(duration), 40, at(duration), 64, { dashed: true }),
    line(left, 214, at(renewed + duration), 214),
    ...[0, 3, 6, 9, 12, 15, 18, 21, 24, 27]
      .filter((minutes) => minutes * minute <= renewed + duration)
      .flatMap((minutes) => [
        line(at(minutes * minute), 210, at(minutes * minute), 218),
        text(at(minutes * minute), 234, `${minutes} min`, { anchor: "middle", quiet: true })
      ]),
    text(
      left,
      268,
      "If a renewal fails, the old token goes on serving while it is retried, about every second at first, then up to every half minute."
    ),
    text(
      left,
      290,
      "If nothing usable is left (a frozen Lambda), the next login signs on demand. An open connection outlives its token."
    ),
    text(left, 312, "A token is never used past the expiry of the credentials that signed it.")
  ])
