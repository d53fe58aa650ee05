/** How texts and names are written in SQL. */

export const literal = (text: string): string => `'${text.replaceAll("'", "''")}'`

/** The same for the session of a client, in which backslashes may mean something. */
export const clientLiteral = (text: string): string =>
  text.includes("\\") ? `E${literal(text.replaceAll("\\", "\\\\"))}` : literal(text)

export const identifier = (name: string): string => `"${name.replaceAll('"', '""')}"`
