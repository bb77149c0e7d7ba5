/**
 * JSON whose numbers keep their text: a signature covers `1e-05` or `5000.0` as it was written, and an id comes back
 * with all its digits.
 */

/** A number as it stands in the JSON. */
export class JsonNumber {
  readonly text: string

  constructor(text: string) {
    this.text = text
  }

  get isWhole(): boolean {
    return /^-?\d+$/.test(this.text)
  }

  toJSON(): number {
    return Number(this.text)
  }
}

/** Undefined for what is no JSON. */
export const parseJson = (text: string): unknown => {
  try {
    return JSON.parse(text, keepNumbers)
  } catch {
    return undefined
  }
}

// The library's types do not know the third argument yet.
const keepNumbers = ((_: string, value: unknown, { source }: { readonly source?: string }) =>
  typeof value === "number" && source !== undefined ? new JsonNumber(source) : value) as (
  key: string,
  value: unknown
) => unknown

/** The text of a value without the quotes of a string. */
export const textOf = (value: unknown): string => {
  if (typeof value === "string") return value
  return value instanceof JsonNumber ? value.text : JSON.stringify(value)
}
