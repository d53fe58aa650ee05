/** What goes over the wire for one request, in one write: each of its own would cost a pass through the TLS stream. */
import { serialize } from "pg-protocol"

/** A portal's statement and parameters, in the form in which they are sent. */
interface Bind {
  readonly portal: string
  readonly statement: string
  readonly values: ReadonlyArray<unknown>
}

/** The side of the driver's connection that sends. */
export interface Outlet {
  readonly stream: { readonly writable: boolean; readonly write: (bytes: Uint8Array) => unknown }
}

export class Messages {
  private readonly parts: Array<Uint8Array> = []

  query(text: string): void {
    this.parts.push(serialize.query(text))
  }

  parse(name: string, text: string): void {
    this.parts.push(serialize.parse({ name, text }))
  }

  bind({ portal, statement, values }: Bind): void {
    this.parts.push(serialize.bind({ portal, statement, values: values as Array<unknown> }))
  }

  describe(portal: string): void {
    this.parts.push(serialize.describe({ type: "P", name: portal }))
  }

  /** `rows` is how many to give at most, 0 for all. */
  execute(portal: string, rows: number): void {
    this.parts.push(serialize.execute({ portal, rows }))
  }

  /** A prepared statement (S) or a portal (P). */
  close(type: "S" | "P", name: string): void {
    this.parts.push(serialize.close({ type, name }))
  }

  flush(): void {
    this.parts.push(serialize.flush())
  }

  sync(): void {
    this.parts.push(serialize.sync())
  }

  /** On a stream that has ended nothing is written; the driver reports that by itself. */
  writeTo({ stream }: Outlet): void {
    if (stream.writable) stream.write(this.parts.length === 1 ? this.parts[0]! : Buffer.concat(this.parts))
  }
}
