/** What the scripts that write tables share. */
export const cell = (text: string): string => text.replaceAll("|", "\\|").replaceAll("\n", " ")
