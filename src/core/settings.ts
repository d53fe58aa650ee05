/** How the settings that a session starts with travel in the start-up packet. */

/** The `options` of the start-up packet, which the server splits at white space that no backslash stands before. */
export const startupOptions = (session: Readonly<Record<string, string>>): string | undefined => {
  const options = Object.entries(session).map(
    ([name, value]) => `-c ${name}=${value.replaceAll(/[\\ \t\n\v\f\r]/g, "\\$&")}`
  )
  return options.length === 0 ? undefined : options.join(" ")
}
