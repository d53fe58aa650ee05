/** The reference: a page for each public module, from the doc comments and the types in `src`. */
import { readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { getTokenPosOfNode, type Node, type SourceFile } from "typescript/unstable/ast"
import {
  isArrowFunction,
  isClassDeclaration,
  isGetAccessorDeclaration,
  isPropertyDeclaration,
  isVariableDeclaration
} from "typescript/unstable/ast/is"
import { API, NodeBuilderFlags, type Project, type Symbol, SymbolFlags } from "typescript/unstable/sync"

const root = fileURLToPath(new URL("../", import.meta.url))

interface Manifest {
  readonly name: string
  readonly exports: Readonly<Record<string, string | { readonly default: string }>>
}

/** The subpaths that users import, as modules of `src`. */
const modules = (): ReadonlyArray<{ readonly specifier: string; readonly module: string; readonly file: string }> => {
  const { exports, name }: Manifest = JSON.parse(readFileSync(`${root}package.json`, "utf8"))
  return Object.entries(exports).flatMap(([subpath, target]) => {
    if (subpath === "." || typeof target === "string") return []
    const module = subpath.slice(2)
    const source = target.default.replace("./dist/", "src/").replace(/\.js$/, ".ts")
    return [{ specifier: `${name}/${module}`, module, file: `${root}${source}` }]
  })
}

const textOf = (node: Node, file: SourceFile, end = node.end): string =>
  file.text.slice(getTokenPosOfNode(node, file), end).trim()

/** The text of a doc comment, without its stars and tags. */
const plain = (comment: string): string =>
  comment
    .split("\n")
    .map((line) => line.replace(/^\s*(?:\/\*\*|\*\/|\* ?)/, "").replace(/\s*\*\/\s*$/, ""))
    .join("\n")
    .split(/^@/m)[0]!
    .replaceAll(/\{@link ([^}]+)\}/g, "`$1`")
    .trim()

const moduleDoc = (file: SourceFile): string => plain(/^\/\*\*[\s\S]*?\*\//.exec(file.text)?.[0] ?? "")

/** Up to the body of a function, which is nobody's business. */
const signature = (node: Node, file: SourceFile, body: Node): string =>
  file.text
    .slice(getTokenPosOfNode(node, file), body.pos)
    .trim()
    .replace(/\s*=>$/, "")

/** Examples have blocks of their own, which a block cannot hold; members that have some stand in the code. */
const withoutExamples = (text: string): string =>
  text.replaceAll(/(?:\n\s*\*)?\n\s*\* @example\n[^]*?(?=\n\s*\*\/)/g, "")

const docBefore = (node: Node, file: SourceFile): string =>
  /\/\*\*[\s\S]*\*\//.exec(file.text.slice(node.pos, getTokenPosOfNode(node, file)))?.[0] ?? ""

/** Of a class: its head, and what of its members is not a body. */
const classText = (node: Node & { readonly members: ReadonlyArray<Node> }, file: SourceFile): string => {
  const first = node.members[0]
  const head = textOf(node, file, first?.pos)
    .replace(/\{\s*$/, "")
    .replace(/\{\s*\}$/, "")
  const members = node.members.flatMap((member) => {
    const doc = docBefore(member, file)
    const comment = doc === "" ? "" : `${doc}\n  `
    if (isPropertyDeclaration(member)) {
      const value = member.initializer
      return [
        comment +
          (value !== undefined && isArrowFunction(value) ? signature(member, file, value.body) : textOf(member, file))
      ]
    }
    return isGetAccessorDeclaration(member) && !textOf(member, file).startsWith("override")
      ? [comment + textOf(member, file, member.body?.pos)]
      : []
  })
  return members.length === 0 ? head : `${head}{\n${members.map((member) => `  ${member}`).join("\n")}\n}`
}

const declarationText = (project: Project, symbol: Symbol, node: Node): string => {
  const file = node.getSourceFile()
  if (isClassDeclaration(node)) return classText(node, file)
  if (!isVariableDeclaration(node)) return textOf(node, file)
  if (node.type !== undefined) return `const ${symbol.name}: ${textOf(node.type, file)}`
  if (node.initializer !== undefined && isArrowFunction(node.initializer)) {
    return `const ${signature(node, file, node.initializer.body)}`
  }
  const type = project.checker.getTypeOfSymbol(symbol)
  return type === undefined
    ? textOf(node, file)
    : `const ${symbol.name}: ${project.checker.typeToString(type, node, NodeBuilderFlags.NoTruncation)}`
}

interface Entry {
  readonly name: string
  readonly category: string
  readonly text: string
}

const entryOf = (project: Project, exported: Symbol): ReadonlyArray<Entry> => {
  const { checker } = project
  const symbol = (exported.flags & SymbolFlags.Alias) === 0 ? exported : checker.getAliasedSymbol(exported)
  const tags = checker.getJsDocTagsOfSymbol(symbol)
  // Declarations leave those out.
  if (tags.some(({ name }) => name === "internal")) return []
  const tag = (name: string): string | undefined =>
    tags
      .find((tag) => tag.name === name)
      ?.text?.toString()
      .trim()
  const node = symbol.declarations[0]?.resolve(project)
  if (node === undefined) throw new Error(`${exported.name} has no declaration`)
  const code = withoutExamples(declarationText(project, symbol, node)).replace(/^export (?:declare )?/, "")
  const example = tag("example")
  return [
    {
      name: exported.name,
      category: tag("category") ?? "other",
      text: `### ${exported.name}

${checker.getDocumentationCommentOfSymbol(symbol)}

\`\`\`typescript
${code}
\`\`\`
${example === undefined ? "" : `\n${example}\n`}
`
    }
  ]
}

/** What one needs first, first. */
const order = ["layers", "combinators", "constructors", "tags", "guards", "schedules", "models", "errors"]

const page = (project: Project, specifier: string, file: SourceFile): string => {
  const symbol = project.checker.getSymbolAtLocation(file)
  if (symbol === undefined) throw new Error(`${specifier} is no module`)
  const entries = project.checker.getExportsOfModule(symbol).flatMap((exported) => entryOf(project, exported))
  const rank = (category: string): number => (order.includes(category) ? order.indexOf(category) : order.length)
  const categories = [...new Set(entries.map(({ category }) => category))].toSorted(
    (a, b) => rank(a) - rank(b) || a.localeCompare(b)
  )
  return `# ${specifier}

<!-- Written by \`npm run docs\`, from the doc comments in src. -->

${moduleDoc(file)}

${categories
  .map(
    (category) => `## ${category.replace(/^./, (letter) => letter.toUpperCase())}

${entries
  .filter((entry) => entry.category === category)
  .toSorted((a, b) => a.name.localeCompare(b.name))
  .map(({ text }) => text)
  .join("\n")}`
  )
  .join("\n\n")}
[All modules](README.md)
`
}

const summary = (text: string): string => /^[^]*?\.(?=\s|$)/.exec(text)?.[0].replaceAll("\n", " ") ?? text

export const apiPages = (): Readonly<Record<string, string>> => {
  const api = new API({ cwd: root })
  try {
    const project = api.updateSnapshot({ openProjects: [`${root}tsconfig.json`] }).getProjects()[0]
    if (project === undefined) throw new Error("no project")
    const made = modules().map(({ file, module, specifier }) => {
      const source = project.program.getSourceFile(file)
      if (source === undefined) throw new Error(`${file} is not in the project`)
      return { module, specifier, about: summary(moduleDoc(source)), text: page(project, specifier, source) }
    })
    const index = `# Reference

<!-- Written by \`npm run docs\`, from the doc comments in src. -->

\`effect-dsql\` exports these modules under names of their own (\`DsqlConfig\`, \`DsqlAuth\`, …) and \`DsqlLive\`; each is also a
subpath, for who imports as little as possible. \`Local\`, \`Testing\` and those in lower case are subpaths only.

| Module | |
| --- | --- |
${made.map(({ about, module, specifier }) => `| [\`${specifier}\`](${module}.md) | ${about} |`).join("\n")}
`
    return Object.fromEntries([
      ["docs/api/README.md", index],
      ...made.map(({ module, text }) => [`docs/api/${module}.md`, text])
    ])
  } finally {
    api.close()
  }
}
