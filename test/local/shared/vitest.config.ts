import { nestedConfig } from "../../support/nestedVitest.js"

export default nestedConfig(import.meta.url, { globalSetup: "globalSetup.ts" })
