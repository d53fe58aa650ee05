/** A row of a table that leads from another connector to this one. */
export interface Row {
  /** `same`: by another name at most; `ours`: done for you, without an option; `better` and `none` say how and why. */
  readonly verdict: "same" | "better" | "ours" | "none"
  readonly here: string
}

export const same = (here: string): Row => ({ verdict: "same", here })
export const better = (here: string): Row => ({ verdict: "better", here })
export const ours = (here: string): Row => ({ verdict: "ours", here })
export const none = (here: string): Row => ({ verdict: "none", here })

/** The keys of an option type, without those of an index signature. */
export type KeysOf<T> = keyof { readonly [K in keyof T as string extends K ? never : number extends K ? never : K]: 1 }

export type Rows<T> = { readonly [K in KeysOf<T>]-?: Row }
