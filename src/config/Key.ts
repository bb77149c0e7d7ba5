/**
 * One setting: its schema, the rule it breaks in words, and its default; and the makers of the usual ones.
 *
 * Every source gives text, so a key decodes from text alone. The makers are named after what may be written:
 * `whole(0, 60_000, 250)` cannot have a rule that says something else than its schema.
 */
import { Schema, SchemaTransformation } from "effect"

/** One setting. Every source gives text: the YAML is read without types, so "8080" and 8080 are one thing. */
export class Key<A> {
  readonly schema: Schema.Codec<A, string>
  readonly rule: string
  readonly byDefault: string
  readonly kind: "one" | "list" | "secret"
  constructor(
    schema: Schema.Codec<A, string>,
    rule: string,
    byDefault: string,
    kind: "one" | "list" | "secret" = "one"
  ) {
    this.schema = schema
    this.rule = rule
    this.byDefault = byDefault
    this.kind = kind
  }
}

const Whole = Schema.String.check(Schema.isPattern(/^\d{1,15}$/)).pipe(
  Schema.decodeTo(Schema.Int, SchemaTransformation.transform({ decode: Number, encode: String }))
)
export const Items = Schema.String.pipe(
  Schema.decodeTo(
    Schema.Array(Schema.String),
    SchemaTransformation.transform({
      decode: (line: string): ReadonlyArray<string> =>
        line
          .split(",")
          .map((item) => item.trim())
          .filter((item) => item !== ""),
      encode: (items: ReadonlyArray<string>) => items.join(",")
    })
  )
)
export const whole = (minimum: number, maximum: number, byDefault: number) =>
  new Key(
    Whole.check(Schema.isBetween({ minimum, maximum })),
    `must be a whole number from ${minimum} to ${maximum}`,
    `${byDefault}`
  )
export const wholeOrEmpty = (minimum: number, maximum: number) =>
  new Key(
    Schema.Union([
      Schema.Literal("").pipe(
        Schema.decodeTo(
          Schema.Undefined,
          SchemaTransformation.transform({ decode: () => undefined, encode: () => "" as const })
        )
      ),
      Whole.check(Schema.isBetween({ minimum, maximum }))
    ]),
    `must be empty or a whole number from ${minimum} to ${maximum}`,
    ""
  )
export const flag = (byDefault: boolean) =>
  new Key(
    Schema.Literals(["true", "false"]).pipe(
      Schema.decodeTo(
        Schema.Boolean,
        SchemaTransformation.transform({
          decode: (text) => text === "true",
          encode: (value): "true" | "false" => (value ? "true" : "false")
        })
      )
    ),
    "must be true or false",
    `${byDefault}`
  )
export const oneOf = <const L extends ReadonlyArray<string>>(choices: L, byDefault: L[number]) =>
  new Key<L[number]>(Schema.Literals(choices), `must be one of ${choices.join(", ")}`, byDefault)
export const text = (byDefault: string) =>
  new Key(Schema.String.check(Schema.isPattern(/\S/)), "must not be empty", byDefault)
export const textOrEmpty = (byDefault: string) => new Key(Schema.String, "must be text", byDefault)
export const named = (pattern: RegExp, byDefault: string) =>
  new Key(Schema.String.check(Schema.isPattern(pattern)), `must match ${pattern.source}`, byDefault)
export const secret = (byDefault: string) =>
  new Key(Schema.RedactedFromValue(Schema.String), "must be text", byDefault, "secret")
export const address = (schemes: ReadonlyArray<string>, byDefault: string) =>
  new Key(
    Schema.String.check(
      Schema.makeFilter((value: string) => {
        const url = URL.parse(value)
        return (
          url !== null && schemes.includes(url.protocol) && url.username === "" && url.search === "" && url.hash === ""
        )
      })
    ).pipe(
      // Paths are appended to it, so a slash at its end would be there twice.
      Schema.decodeTo(
        Schema.String,
        SchemaTransformation.transform({ decode: (value) => value.replace(/\/+$/, ""), encode: (value) => value })
      )
    ),
    `must be an address that begins with ${schemes.map((scheme) => `${scheme}//`).join(" or ")}`,
    byDefault
  )
