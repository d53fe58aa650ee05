/** A part of the driver that its types leave out. */
declare module "pg/lib/utils.js" {
  /** A parameter in the form in which it is sent: text, bytes or NULL. */
  export const prepareValue: (value: unknown) => string | Uint8Array | null
}
