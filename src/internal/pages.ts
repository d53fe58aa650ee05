/** The pages about errors: `docs/errors/<tag>.md`, which the package brings along. Every message has the path of its own. */
const pageOf = (tag: string): string => `(effect-dsql/docs/errors/${tag}.md)`

const page = /[ \n]\(effect-dsql\/docs\/errors\/\w+\.md\)/g

/** A command to install something stays at the end, where it can be copied with the rest of its line. */
const end = /(?:: npm i .*)?$/

export const withPage = (tag: string, message: string): string =>
  message.replace(end, (command) => ` ${pageOf(tag)}${command}`)

/** For a message that ends in lines which are to be read as they are. */
export const withPageBelow = (tag: string, message: string): string => `${message}\n${pageOf(tag)}`

/** For a message within another, which has a page of its own. */
export const withoutPage = (message: string): string => message.replaceAll(page, "")
