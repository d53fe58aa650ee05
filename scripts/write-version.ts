/** Copies the version of package.json into the source, so that the library knows it without reading files. */
import { readFileSync, writeFileSync } from "node:fs"

const manifest = new URL("../package.json", import.meta.url)
const source = new URL("../src/internal/version.ts", import.meta.url)

const { version } = JSON.parse(readFileSync(manifest, "utf8"))
writeFileSync(source, readFileSync(source, "utf8").replace(/(?<=version = )"[^"]*"/, JSON.stringify(version)))
