/**
 * One request to the server: what is sent for it, and what is kept of the answer. Its callbacks bear the names that `pg` calls,
 * so that it runs on `pg`'s client too.
 */
import type { FieldDef } from "pg"
import { Messages, type Outlet } from "./messages.js"
import { RowShape, type TypeParsers } from "./rows.js"

/** What a request needs of the connection that it is sent on. */
export interface Protocol extends Outlet {
  readonly sync: () => void
  readonly sendCopyFail: (message: string) => void
}

/** The answer to one statement, in the form that users of `pg` know. */
export interface Result {
  command: string
  rowCount: number | null
  oid: number | null
  fields: ReadonlyArray<FieldDef>
  rows: Array<unknown>
}

export type RowMode = "object" | "array"

/** `SELECT 5`, `INSERT 0 1`, `CREATE TABLE`: the first word, an object id that is always 0 now, and the number of rows. */
const commandTag = /^([A-Za-z]+)(?: (\d+))?(?: (\d+))?/

export class Request {
  readonly results: Array<Result> = []
  /** More rows wait in the portal. */
  suspended = false
  /** What the rows of the last statement look like; `undefined` when it has none. */
  described: RowShape | undefined
  private current: Result | undefined
  protected failure: unknown

  /** `shape` is that of the rows to come, where the server will not be asked for it. */
  constructor(
    private readonly send: (messages: Messages) => void,
    private readonly types: TypeParsers,
    private readonly rowMode: RowMode,
    protected readonly done: (failure: unknown, request: Request) => void,
    private shape?: RowShape | undefined
  ) {}

  submit(protocol: Protocol): void {
    const messages = new Messages()
    this.send(messages)
    messages.writeTo(protocol)
  }

  handleRowDescription({ fields }: { readonly fields: ReadonlyArray<FieldDef> }): void {
    this.shape = new RowShape(fields, this.types)
  }

  handleDataRow({ fields }: { readonly fields: ReadonlyArray<string | null> }): void {
    if (this.failure !== undefined) return
    try {
      this.result().rows.push(this.rowMode === "object" ? this.shape!.toObject(fields) : this.shape!.toArray(fields))
    } catch (failure) {
      this.failure = failure ?? new Error("a parser threw nothing")
    }
  }

  handleCommandComplete({ text }: { readonly text: string }): void {
    const result = this.result()
    this.described = this.shape
    this.shape = this.current = undefined
    const [, command = "", first, second] = commandTag.exec(text) ?? []
    result.command = command
    result.rowCount = first === undefined ? null : Number(second ?? first)
    result.oid = second === undefined ? null : Number(first)
  }

  handleEmptyQuery(): void {
    this.result()
  }

  handlePortalSuspended(): void {
    this.suspended = true
    this.described = this.shape
  }

  handleError(error: unknown): void {
    this.done(error, this)
  }

  handleReadyForQuery(): void {
    this.done(this.failure, this)
  }

  handleCopyInResponse(protocol: Protocol): void {
    protocol.sendCopyFail("a statement has no COPY data to send")
  }

  handleCopyData(): void {}

  private result(): Result {
    if (this.current === undefined) {
      this.current = { command: "", rowCount: null, oid: null, fields: this.shape?.fields ?? [], rows: [] }
      this.results.push(this.current)
    }
    return this.current
  }
}
