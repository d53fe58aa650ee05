/** Session settings, in the form in which a start-up packet carries them. */

/** Split at white space, with a backslash to keep one: what libpq's `options` asks for. */
const escape = (text: string): string => text.replaceAll(/[\s\\]/g, "\\$&")

/** The `options` of a start-up packet: `-c name=value` for each; `undefined` where there is nothing to set. */
export const startupOptions = (session: Readonly<Record<string, string>>): string | undefined => {
  const settings = Object.entries(session).map(([name, value]) => `-c ${escape(`${name}=${value}`)}`)
  return settings.length === 0 ? undefined : settings.join(" ")
}
