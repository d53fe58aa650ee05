import { readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"

/** What one statement was answered. */
export interface Answer {
  readonly tag?: string
  readonly columns?: ReadonlyArray<string>
  /** As text; `<volatile>` stands for anything. */
  readonly rows?: ReadonlyArray<ReadonlyArray<string | null>>
}

/** A step of a probe and what the service answered; see `README.md`. */
export interface Step extends Answer {
  readonly sql: string
  readonly ok: boolean
  readonly sqlstate?: string
  readonly message?: string
  /** For several statements in one query. */
  readonly results?: ReadonlyArray<Answer>
}

export interface Probe {
  readonly id: string
  readonly group: string
  readonly note?: string
  readonly setup?: ReadonlyArray<string>
  readonly simpleProtocol?: boolean
  readonly ignoreRows?: boolean
  readonly recordOnly?: boolean
  readonly steps?: ReadonlyArray<Step>
  readonly sessions?: { readonly a: ReadonlyArray<Step>; readonly b: ReadonlyArray<Step> }
  readonly order?: ReadonlyArray<string>
  readonly loser?: "either"
  readonly losers?: readonly [least: number, most: number]
}

const file = fileURLToPath(new URL("probes.json", import.meta.url))

export const probes: ReadonlyArray<Probe> = JSON.parse(readFileSync(file, "utf8"))
