/** The pictures of the documentation. */
import { layersPicture } from "./pictures/layers.js"
import { tokenPicture } from "./pictures/token.js"
import { transactionPicture } from "./pictures/transaction.js"

export const pictures = (): Readonly<Record<string, string>> => ({
  "docs/pictures/layers.svg": layersPicture(),
  "docs/pictures/token.svg": tokenPicture(),
  "docs/pictures/transaction.svg": transactionPicture()
})
