/**
 * How a found value is printed in a fault: short, with its source, harmless to a terminal, and not at all where it is
 * or may hold a secret.
 */
import type { Leaf } from "./variables.ts"

export const notShown = "a value that is not shown"

/** What was found, with its source, unless it is or may be a secret. */
export const shown = ({ key, source, value }: Leaf, secrets: ReadonlyArray<string>) => {
  const names = source.startsWith("NEXUS_") ? [source] : [...source.matchAll(/\$\{(\w+)/g)].map(([, name]) => name)
  const from = names.length === 0 ? "" : ` from ${names.join(", ")}`
  const hidden =
    key.kind === "secret" ||
    secrets.some((each) => value.includes(each)) ||
    names.some((name) => /KEY|SECRET|PASS|TOKEN|_URL$/.test(name ?? "") && !source.startsWith("NEXUS_"))
  return `${hidden ? notShown : quoted(value)}${from}`
}

/** In quotes, short, without credentials of an address, and with nothing that moves a terminal's cursor. */
export const quoted = (value: string) =>
  JSON.stringify(value.replace(/\/\/\S*@/, "//…@").slice(0, 100)).replace(
    /[\u007f-\u009f\u2028\u2029]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`
  )
