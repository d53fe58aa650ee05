/** The `effect-dsql` command of this checkout. */
import { execFile, spawnSync } from "node:child_process"
import { chmodSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { promisify } from "node:util"
import { type Program, startProgram } from "./program.js"

/** Commands that are gone with `cleanUp`, and a folder for what they make. */
export const makeCommands = () => {
  const programs: Array<Program> = []
  const folder = mkdtempSync(join(tmpdir(), "dsql cli "))
  chmodSync(folder, 0o755)
  const cliIn = (
    environment: Readonly<Record<string, string | undefined>>,
    ...args: ReadonlyArray<string>
  ): Program => {
    const program = startProgram(["src/cli/main.ts", ...args], environment)
    programs.push(program)
    return program
  }
  return {
    folder,
    cliIn,
    cli: (...args: ReadonlyArray<string>): Program => cliIn({}, ...args),
    cleanUp: (): void => {
      for (const program of programs) program.cleanUp()
      rmSync(folder, { recursive: true, force: true })
    }
  }
}

export const isInstalled = (command: string): boolean => spawnSync(command, ["--version"]).status === 0

/** Runs a line in a shell; gives what it prints and what it complains about. */
export const shell = async (
  line: string,
  environment: Readonly<Record<string, string | undefined>> = {}
): Promise<readonly [string, string]> => {
  const { stderr, stdout } = await promisify(execFile)("sh", ["-c", line], { env: { ...process.env, ...environment } })
  return [stdout, stderr]
}
