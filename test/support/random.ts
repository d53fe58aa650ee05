export { seeded } from "../../src/local/faults/seeded.js"
