/** The version of this package, as its connections report it; `npm run version` keeps it equal to package.json. */
export const version = "0.0.0"
