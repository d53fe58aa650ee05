/** What the pictures are drawn with: plain SVG that is readable on a light page and on a dark one. */

const escape = (text: string): string => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;")

/** Both schemes bring a background of their own, since a viewer may show a picture on either. */
const style = `
.page { fill: #ffffff } text { fill: #1f2328 } .quiet { fill: #59636e } .line { stroke: #59636e } .box { fill: #f6f8fa; stroke: #818b98 }
.good { fill: #dafbe1; stroke: #1a7f37 } .bad { fill: #ffebe9; stroke: #cf222e } .way { fill: #ddf4ff; stroke: #0969da } .tip { fill: #59636e }
@media (prefers-color-scheme: dark) {
  .page { fill: #0d1117 } text { fill: #f0f6fc } .quiet { fill: #9198a1 } .line { stroke: #9198a1 } .box { fill: #151b23; stroke: #656c76 }
  .good { fill: #12261e; stroke: #3fb950 } .bad { fill: #25171c; stroke: #f85149 } .way { fill: #121d2f; stroke: #4493f8 } .tip { fill: #9198a1 }
}`

export type Kind = "box" | "good" | "bad" | "way"

interface TextOptions {
  readonly anchor?: "start" | "middle" | "end"
  readonly quiet?: boolean
  readonly bold?: boolean
  readonly code?: boolean
}

export const text = (
  x: number,
  y: number,
  words: string,
  { anchor = "start", bold = false, code = false, quiet = false }: TextOptions = {}
): string =>
  `<text x="${x}" y="${y}" text-anchor="${anchor}"${quiet ? ' class="quiet"' : ""}${bold ? ' font-weight="600"' : ""}${code ? ' font-family="ui-monospace, monospace"' : ""}>${escape(words)}</text>`

export const box = (x: number, y: number, width: number, height: number, kind: Kind = "box"): string =>
  `<rect x="${x}" y="${y}" width="${width}" height="${height}" rx="6" class="${kind}"/>`

/** A box with a name, and under it what it is. */
export const named = (x: number, y: number, width: number, name: string, about: string, kind: Kind = "box"): string =>
  [
    box(x, y, width, 52, kind),
    text(x + width / 2, y + 22, name, { anchor: "middle", bold: true }),
    text(x + width / 2, y + 40, about, { anchor: "middle", quiet: true })
  ].join("\n")

export const line = (x1: number, y1: number, x2: number, y2: number, { dashed = false } = {}): string =>
  `<line x1="${x1}" y1="${y1}" x2="${x2}" y2="${y2}" class="line"${dashed ? ' stroke-dasharray="4 4"' : ""}/>`

export const arrow = (x1: number, y1: number, x2: number, y2: number): string =>
  `<line x1="${x1}" y1="${y1}" x2="${x2}" y2="${y2}" class="line" marker-end="url(#tip)"/>`

/** A line around a corner: first across, then down or up. */
export const corner = (x1: number, y1: number, x2: number, y2: number): string =>
  `<path d="M ${x1} ${y1} H ${x2} V ${y2}" fill="none" class="line"/>`

export const picture = (width: number, height: number, title: string, parts: ReadonlyArray<string>): string =>
  `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="system-ui, sans-serif" font-size="13" role="img">
<title>${escape(title)}</title>
<style>${style}
</style>
<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto"><path d="M 0 0 L 8 4 L 0 8 z" class="tip"/></marker></defs>
<rect width="${width}" height="${height}" rx="10" class="page"/>
${parts.join("\n")}
</svg>
`
