/** What an operator's tools would read: every metric of this package, and spans as the tree that they are. */
import { Effect, Metric, MetricState, Option, Tracer } from "effect"

const valueOf = (state: MetricState.MetricState.Untyped) => {
  if (MetricState.isCounterState(state)) return state.count
  if (MetricState.isGaugeState(state)) return state.value
  return MetricState.isHistogramState(state) ? { count: state.count, sum: state.sum } : undefined
}

/** The metrics that have this label, as `name{other="label"}`. */
export const scrape = (key: string, value: string) =>
  Effect.map(Metric.snapshot, (pairs) =>
    Object.fromEntries(
      pairs.flatMap(({ metricKey: { name, tags }, metricState }) => {
        if (!name.startsWith("dsql_") || !tags.some((tag) => tag.key === key && tag.value === value)) return []
        const others = tags.filter((tag) => tag.key !== key).map((tag) => `${tag.key}=${tag.value}`)
        return [[others.length === 0 ? name : `${name}{${others.join()}}`, valueOf(metricState)]] as const
      })
    )
  )

export interface Tree {
  readonly name: string
  readonly attributes: Readonly<Record<string, unknown>>
  readonly events: ReadonlyArray<readonly [name: string, attributes: Readonly<Record<string, unknown>>]>
  readonly children: ReadonlyArray<Tree>
}

interface Recorded {
  readonly span: Tracer.Span
  readonly events: Array<Tree["events"][number]>
}

/** A tracer that remembers. */
export const makeRecorder = Effect.map(Effect.tracer, (native) => {
  const recorded: Array<Recorded> = []
  const treeOf = ({ events, span }: Recorded): Tree => ({
    name: span.name,
    attributes: Object.fromEntries(span.attributes),
    events,
    children: recorded
      .filter((other) => Option.exists(other.span.parent, ({ spanId }) => spanId === span.spanId))
      .map(treeOf)
  })
  const tracer = Tracer.make({
    ...native,
    span: (...args) => {
      const span = native.span(...args)
      const events: Recorded["events"] = []
      const event = span.event.bind(span)
      span.event = (name, time, attributes = {}) => {
        events.push([name, attributes])
        event(name, time, attributes)
      }
      recorded.push({ span, events })
      return span
    }
  })
  return {
    tracer,
    spans: Effect.sync(() => recorded.map(({ span }) => span)),
    /** The spans without a parent, with what is below them. */
    trees: Effect.sync(() => recorded.filter(({ span }) => Option.isNone(span.parent)).map(treeOf))
  }
})
