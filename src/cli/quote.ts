/** Values as what they are pasted into reads them. */

/** One word of a shell. */
export const shellWord = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`

/** A value in a connection string of libpq. */
export const conninfoValue = (text: string): string =>
  /^[^\s'\\]+$/.test(text) ? text : `'${text.replaceAll(/[\\']/g, String.raw`\$&`)}'`
