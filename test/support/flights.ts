/** A proxy in front of the local cluster that counts flights: what a client sends before it waits for an answer. */
import { Effect } from "effect"
import { DsqlLocal } from "effect-dsql/Local"
import { Socket } from "node:net"
import { setImmediate as turn, setTimeout as delay } from "node:timers/promises"
import { listen } from "./sockets.js"

/**
 * How long a client must be silent for what it said to be passed on, in milliseconds. The server cannot answer before that, so
 * whatever a client has to say without an answer is one flight, in however many pieces it comes.
 */
const silence = 25

/** Counts the flights of one client. */
const passOn = (client: Socket, upstream: Socket, onFlight: () => void): void => {
  let waiting: Array<Buffer> = []
  let isPassing = false
  const pass = async (): Promise<void> => {
    isPassing = true
    for (let seen = 0; seen < waiting.length;) {
      seen = waiting.length
      await delay(silence)
      // The loop may have been kept from reading what has long come.
      await turn()
      await turn()
    }
    const flight = waiting
    waiting = []
    isPassing = false
    onFlight()
    upstream.write(Buffer.concat(flight))
  }
  client.on("data", (chunk: Buffer) => {
    waiting.push(chunk)
    if (!isPassing) void pass()
  })
  upstream.on("error", () => {}).pipe(client)
  client.once("close", () => upstream.destroy())
}

export const countFlights = Effect.gen(function* () {
  const { hostaddr, port: clusterPort } = yield* DsqlLocal
  let flights = 0
  const { accepted, port } = yield* listen((client) =>
    passOn(client, new Socket().connect(clusterPort, hostaddr), () => flights++)
  )
  return {
    port,
    /** How many there have been, of the one client that has come. */
    take: Effect.suspend(() =>
      accepted() === 1 ? Effect.succeed(flights) : Effect.dieMessage(`${accepted()} clients`)
    )
  }
})
