/**
 * What a CommonJS module that was imported late exports. In a bundle that is split into chunks (esbuild) all of it stands
 * under `default` only; Node puts it there too.
 */
export const exportsOf = <M extends object>(module: M): M => (module as { readonly default?: M }).default ?? module
