import { nestedConfig } from "../../support/nestedVitest.js"

export default nestedConfig(import.meta.url)
