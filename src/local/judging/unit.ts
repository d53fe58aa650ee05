import { type Edit, placeBefore } from "../../core/rules/edits.js"

/** A text that PostgreSQL got, and what it was made from; both as bytes, one to a character. */
export interface SentText {
  readonly original: string
  readonly sent: string
  readonly edits: ReadonlyArray<Edit>
}

/** What PostgreSQL answers together, up to one ReadyForQuery. */
export class Unit {
  readonly #texts: Array<SentText | undefined> = []
  #read = 0

  /** A text goes on to PostgreSQL; `undefined` for one that was not changed. */
  send(text: SentText | undefined): void {
    this.#texts.push(text)
  }

  /** PostgreSQL has read a text. */
  noteRead(): void {
    this.#read++
  }

  /** Where a place that PostgreSQL tells is in the client's text. Places are counted in characters, from 1. */
  placeOf(place: number): number {
    // Statements that change the schema are looked at more closely only when they are run.
    const text = this.#texts[this.#read - 1] ?? this.#texts[this.#read]
    if (text === undefined) return place
    const at = placeBefore(offsetOf(text.sent, place - 1), text.edits)
    return countCharacters(text.original.slice(0, at)) + 1
  }
}

const isContinuation = (text: string, at: number): boolean => (text.charCodeAt(at) & 0xc0) === 0x80

/** How many characters of UTF-8 these bytes are. */
const countCharacters = (text: string): number => {
  let count = 0
  for (let at = 0; at < text.length; at++) if (!isContinuation(text, at)) count++
  return count
}

/** Where the character of this number begins. */
const offsetOf = (text: string, characters: number): number => {
  let left = characters
  let at = 0
  for (; at < text.length; at++) if (!isContinuation(text, at) && left-- === 0) break
  return at
}
