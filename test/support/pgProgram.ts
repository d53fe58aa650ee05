/** Uses a pool and a client, and ends both. */
import { connect, createPool, type Options } from "effect-dsql/pg"

const options: Options = JSON.parse(process.env["OPTIONS"]!)

const work = async (): Promise<void> => {
  await using pool = await createPool(options)
  await using client = await connect(options)
  const [one, many] = await Promise.all([
    client.query<{ n: number }>("SELECT 1 AS n"),
    Promise.all([20, 1].map((n) => pool.query<{ n: number }>("SELECT $1::int AS n", [n])))
  ])
  console.log(
    one.rows[0]!.n,
    many.reduce((sum, { rows }) => sum + rows[0]!.n, 0)
  )
  if (process.env["WAY"] === "end") await Promise.all([pool.end(), client.end()])
}

await work()
