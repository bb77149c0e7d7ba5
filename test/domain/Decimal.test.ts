import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, BigDecimal, Option, Result, Schema } from "effect"
import * as Decimal from "../../src/domain/Decimal.ts"

const { decimal, format, fromText } = Decimal

describe("reading a decimal", () => {
  it.each([
    ["0", "0"],
    ["0.00000000", "0"],
    ["0e400", "0"],
    ["61234.50", "61234.5"],
    ["100", "100"],
    ["1e3", "1000"],
    ["1.5E+2", "150"],
    ["1e-7", "0.0000001"],
    ["1e-18", "0.000000000000000001"],
    ["10e-19", "0.000000000000000001"],
    ["-12.30", "-12.3"],
    ["007", "7"],
    ["99999999999999999999", "99999999999999999999"],
    ["99999999999999999999.999999999999999999", "99999999999999999999.999999999999999999"],
    ["0.1", "0.1"],
    ["9007199254740993.1", "9007199254740993.1"]
  ])("%s is the amount %s, digit by digit", (text, plain) => {
    assert.strictEqual(Option.getOrThrow(Option.map(fromText(text), format)), plain)
  })

  it.each([
    ["", "empty"],
    [" 1", "white space"],
    ["1\n", "a line end"],
    ["+1", "a plus"],
    [".5", "nothing before the point"],
    ["1.", "nothing after the point"],
    ["1,5", "a comma"],
    ["0x10", "hexadecimal"],
    ["1_000", "an underscore"],
    ["NaN", "not a number"],
    ["Infinity", "no amount"],
    ["١", "digits of another script"],
    ["-0", "a negative zero"],
    ["-0.000", "a negative zero with places"],
    ["1e", "half an exponent"],
    ["1e400", "far too large"],
    ["1e9999999", "an exponent that would never end"],
    ["100000000000000000000", "21 digits before the point"],
    ["1e20", "21 digits before the point, in short"],
    ["1e-19", "19 digits after the point"],
    ["0.0000000000000000001", "19 digits after the point, written out"],
    ["1".repeat(65), "more text than is looked at"]
  ])("%j is no decimal: %s", (text) => {
    assert.isTrue(Option.isNone(fromText(text)))
  })

  it("a constant that is no decimal is a defect at once", () => {
    assert.throws(() => decimal("1e400"), "not a decimal: 1e400")
  })
})

// 20 digits before the point and 18 after it: the whole range, both signs, every scale.
const Amount = Arbitrary.map(
  Arbitrary.all([
    Arbitrary.schema(
      Schema.Int.check(Schema.isBetween({ minimum: -999_999_999_999_999, maximum: 999_999_999_999_999 }))
    ),
    Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 18 })))
  ]),
  ([digits, scale]) => BigDecimal.make(BigInt(digits), scale)
)

describe("writing a decimal", () => {
  it.prop("what is written is read as the same amount, in one plain form", [Amount], ([amount]) => {
    const text = format(amount)

    assert.match(text, /^-?(0|[1-9]\d*)(\.\d*[1-9])?$/)
    assert.isTrue(Decimal.equals(decimal(text), amount))
    assert.strictEqual(format(decimal(text)), text)
  })

  it("very large and very small amounts are written without an exponent", () => {
    assert.strictEqual(format(BigDecimal.make(1n, -19)), "10000000000000000000")
    assert.strictEqual(format(BigDecimal.make(-1n, 18)), "-0.000000000000000001")
  })

  it("an amount of an event is text, and a JavaScript number is refused", () => {
    const decode = Schema.decodeUnknownResult(Decimal.DecimalText)

    assert.strictEqual(Schema.encodeSync(Decimal.DecimalText)(decimal("61234.50")), "61234.5")
    assert.isTrue(Result.isFailure(decode(61234.5)))
    assert.isTrue(Result.isFailure(decode("1e-19")))
    assert.isTrue(Result.isFailure(decode("")))
  })
})

describe("reckoning", () => {
  it("a tenth and two tenths are three tenths", () => {
    assert.isTrue(Decimal.equals(Decimal.add(decimal("0.1"), decimal("0.2")), decimal("0.3")))
  })

  it("an amount equals itself whatever zeros it was written with", () => {
    assert.isTrue(Decimal.equals(decimal("100"), decimal("100.000")))
    assert.isTrue(Decimal.equals(decimal("0"), decimal("0.00000000")))
  })

  it("a sum over nothing is zero, a sum over many is exact", () => {
    assert.strictEqual(format(Decimal.sum([])), "0")
    assert.strictEqual(format(Decimal.sum(Array.from({ length: 1_000 }, () => decimal("0.001")))), "1")
  })

  it.each([
    ["10", "4", 16, "2.5"],
    ["1", "3", 8, "0.33333333"],
    ["2", "3", 8, "0.66666666"],
    ["-2", "3", 4, "-0.6666"],
    ["0", "7", 8, "0"],
    ["1", "3", 0, "0"],
    ["1.0000000000000001", "100", 16, "0.01"],
    ["100", "0.001", 2, "100000"],
    ["61234.51", "1", 2, "61234.51"],
    ["99999999999999999999", "0.000000000000000001", 0, "99999999999999999999000000000000000000"]
  ])("%s / %s cut to %i places is %s", (a, b, scale, expected) => {
    assert.strictEqual(format(Decimal.divide(decimal(a), decimal(b), scale)), expected)
  })

  it.prop(
    "a quotient times its divisor misses the dividend by less than one last place",
    [Amount, Amount],
    ([a, b]) => {
      if (Decimal.isZero(b)) return
      const back = Decimal.multiply(Decimal.divide(a, b, 18), b)
      const miss = BigDecimal.abs(Decimal.subtract(a, back))

      assert.isTrue(Decimal.isLess(miss, Decimal.multiply(BigDecimal.abs(b), decimal("1e-18"))))
    }
  )

  it.each([
    ["0.3", "0.1", true],
    ["0.35", "0.1", false],
    ["100", "0.01", true],
    ["1000", "300", false],
    ["900", "300", true],
    ["0", "0.01", true],
    ["0.00000001", "0.00000001", true],
    ["0.000000015", "0.00000001", false],
    ["5", "0", true],
    ["-0.3", "0.1", true]
  ])("that %s is a multiple of %s is %s", (value, step, expected) => {
    assert.strictEqual(Decimal.isMultipleOf(decimal(value), decimal(step)), expected)
  })
})
