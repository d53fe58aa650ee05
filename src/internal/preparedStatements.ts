/**
 * The named statements that the server holds for one connection. There is no room for all that a program ever sends, so the
 * least recently used goes first; what must be closed on the server waits for the next request and travels in front of it.
 */
import type { EventEmitter } from "node:events"
import type { Messages } from "./messages.js"
import type { RowShape } from "./rows.js"

/** As many as sqlx keeps for a connection. */
const capacity = 100

/** A longer text is hardly ever sent twice: an INSERT of many rows, as a rule. In UTF-16 code units. */
const longestText = 16_384

export interface PreparedStatement {
  readonly name: string
  /** The server has said that it has parsed it. */
  held: boolean
  /**
   * What its rows look like, `null` for none, `undefined` before the server has said so. It need not be asked again, since
   * it refuses to run a plan whose rows have changed.
   */
  shape: RowShape | null | undefined
}

/** A prepared statement or a portal, in the protocol's letters. */
interface Closing {
  readonly type: "S" | "P"
  readonly name: string
}

export class PreparedStatements {
  /** In the order of use: a Map keeps the order in which its keys were added. */
  private readonly byText = new Map<string, PreparedStatement>()
  private readonly closing: Array<Closing> = []
  private newest: string | undefined
  private parsing: PreparedStatement | undefined
  private unconfirmed = 0
  private count = 0

  constructor(driver: EventEmitter) {
    // Requests run one after the other, and each parses one statement at most, so the server's answers need no name.
    driver.on("parseComplete", () => {
      if (this.parsing !== undefined) this.parsing.held = true
    })
    driver.on("closeComplete", () => {
      if (this.unconfirmed > 0) {
        this.unconfirmed--
        this.closing.shift()
      }
    })
    // The server has dropped them, all or one of them, at somebody's word.
    driver.on("commandComplete", ({ text: tag }: { readonly text: string }) => {
      if (tag.startsWith("DEALLOCATE") || tag === "DISCARD ALL") this.byText.clear()
    })
  }

  /** The statement for a text, held or about to be; `undefined` for one that is not worth keeping. */
  use(text: string): PreparedStatement | undefined {
    if (text.length > longestText) return undefined
    const known = this.byText.get(text)
    if (known !== undefined && text === this.newest) return known
    this.newest = text
    if (known !== undefined) this.byText.delete(text)
    const statement = known ?? { name: `s${++this.count}`, held: false, shape: undefined }
    this.byText.set(text, statement)
    if (this.byText.size > capacity) {
      const [oldest] = this.byText.keys()
      this.forget(oldest!)
    }
    return statement
  }

  forget(text: string): void {
    const statement = this.byText.get(text)
    this.byText.delete(text)
    if (statement?.held === true) this.closing.push({ type: "S", name: statement.name })
  }

  /** A name for a portal, which the server keeps until it is closed or its transaction ends. */
  nextPortal(): string {
    return `p${++this.count}`
  }

  closePortal(name: string): void {
    this.closing.push({ type: "P", name })
  }

  /** Sends what is to be closed; whatever the server does not confirm goes out again with the next request. */
  sendClosing(messages: Messages): void {
    for (const { name, type } of this.closing) messages.close(type, name)
    this.unconfirmed = this.closing.length
  }

  /** Whether the text has to be sent along; from here on the server's word counts for this statement. */
  mustParse(statement: PreparedStatement | undefined): boolean {
    this.parsing = statement
    return statement === undefined || !statement.held
  }
}
