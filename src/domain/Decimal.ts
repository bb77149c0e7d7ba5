/**
 * Exact decimals: every price, quantity and fee. No JavaScript number ever holds one.
 *
 * A decimal has at most 20 digits before the point and 18 after it. The text form is
 * plain (no exponent), so that events, hashes and answers show one amount in one way.
 */
import { BigDecimal, Option, Schema, SchemaGetter } from "effect"

export type Decimal = BigDecimal.BigDecimal

const maxIntegerDigits = 20
const maxScale = 18

export const zero: Decimal = BigDecimal.make(0n, 0)

const shape = /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d{1,3}))?$/

/**
 * Reads a decimal from its source text, as JSON or Binance writes it; `1e-7` is read exactly.
 * None: not a number, or more digits than a decimal has.
 */
export const fromText = (text: string): Option.Option<Decimal> => {
  // Bounded before anything is expanded: "1e400" must cost nothing.
  if (text.length > 64) return Option.none()
  const match = shape.exec(text)
  if (match === null) return Option.none()
  const [, sign, whole = "", fraction = "", exponent = "0"] = match
  const scale = fraction.length - Number(exponent)
  const digits = BigInt(whole + fraction)
  if (digits === 0n) return sign === "-" ? Option.none() : Option.some(zero)
  if (Math.abs(scale) > 64) return Option.none()
  const value = BigDecimal.normalize(BigDecimal.make(sign === "-" ? -digits : digits, scale))
  const significant = `${digits}`.replace(/0+$/, "").length
  return value.scale > maxScale || significant - value.scale > maxIntegerDigits ? Option.none() : Option.some(value)
}

/** For constants and text that was written by `format`. Anything else is a defect. */
export const decimal = (text: string): Decimal =>
  Option.getOrThrowWith(fromText(text), () => new Error(`not a decimal: ${text}`))

/** Plain text without exponent or trailing zeros: "61234.5", "0.00000001". */
export const format = (value: Decimal): string => {
  const { scale, value: digits } = BigDecimal.normalize(value)
  if (scale <= 0) return `${digits * 10n ** BigInt(-scale)}`
  const sign = digits < 0n ? "-" : ""
  const text = `${digits < 0n ? -digits : digits}`.padStart(scale + 1, "0")
  return `${sign}${text.slice(0, -scale)}.${text.slice(-scale)}`
}

const written = /^-?\d{1,20}(\.\d{1,18})?$/

/** A decimal as events, Kafka and audit write it: a JSON string. */
export const DecimalText = Schema.String.check(
  Schema.makeFilter((text: string) => Option.isSome(fromText(text)), {
    expected: "a decimal as text",
    // For readers of what `format` writes; we ourselves read more.
    toJsonSchema: () => ({ pattern: written.source })
  })
).pipe(
  Schema.decodeTo(Schema.BigDecimal, {
    decode: SchemaGetter.transform(decimal),
    encode: SchemaGetter.transform(format)
  })
)

export const add = BigDecimal.sum
export const subtract = BigDecimal.subtract
export const multiply = BigDecimal.multiply
export const equals = BigDecimal.Equivalence
export const isZero = BigDecimal.isZero
export const isPositive = BigDecimal.isPositive
export const isLess = BigDecimal.isLessThan
export const isGreater = BigDecimal.isGreaterThan

export const sum = (values: Iterable<Decimal>): Decimal => {
  let total = zero
  for (const value of values) total = add(total, value)
  return total
}

/** `a / b`, cut to `scale` digits after the point. `b` must not be zero. */
export const divide = (a: Decimal, b: Decimal, scale: number): Decimal => {
  const left = BigDecimal.scale(a, b.scale + scale)
  const right = BigDecimal.scale(b, b.scale)
  return BigDecimal.normalize(BigDecimal.make(left.value / right.value, left.scale - right.scale))
}

/** True when `value` is an integer multiple of `step`; a zero step allows everything. */
export const isMultipleOf = (value: Decimal, step: Decimal): boolean => {
  if (isZero(step)) return true
  const scale = Math.max(value.scale, step.scale)
  return BigDecimal.scale(value, scale).value % BigDecimal.scale(step, scale).value === 0n
}
