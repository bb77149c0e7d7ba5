/**
 * Reads JSON from outside, stricter than JSON.parse and without its losses: a number keeps its source
 * text, for no price may pass through a double; a key that stands twice, text with U+0000 or a lone
 * surrogate, and nesting deeper than `maxDepth` are faults that name the field.
 *
 * One pass, no recursion without a bound. What can be read on is read on, so that one answer names all faults.
 */
import { isUtf8 } from "node:buffer"
import { Result } from "effect"

/** Objects and arrays in each other. An order needs one; a bound keeps a hostile body off the stack. */
export const maxDepth = 16

/** Faults kept of one body: enough for a person, too few to fill memory. */
export const maxFaults = 20

/** A JSON number as it was written. */
export class JsonNumber {
  readonly text: string
  constructor(text: string) {
    this.text = text
  }
}

export type Json = null | boolean | string | JsonNumber | ReadonlyArray<Json> | JsonObject
/** Without prototype: `__proto__` is a key like any other. */
export interface JsonObject {
  readonly [key: string]: Json
}

export interface JsonFault {
  readonly code: "not_utf8" | "not_json" | "duplicate_key" | "text_not_allowed" | "too_deep"
  /** The field of the body in which it stands; empty: the body itself. */
  readonly field: string
  readonly detail: string
}

export interface Parsed {
  /** Undefined when the text ended the reading. */
  readonly value: Json | undefined
  readonly faults: ReadonlyArray<JsonFault>
}

export const parse = (bytes: Buffer): Parsed =>
  isUtf8(bytes)
    ? new Reader(bytes.toString("utf8")).document()
    : { value: undefined, faults: [{ code: "not_utf8", field: "", detail: "the body is not UTF-8" }] }

/** Ends the reading: there is no telling what comes after a syntax fault. */
const stop = Symbol("stop")

const quote = 0x22
const backslash = 0x5c
const numberShape = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y
const notAllowed = (text: string): boolean => text.includes("\u0000") || !text.isWellFormed()

class Reader {
  readonly source: string
  at = 0
  /** The top-level key that is being read. */
  field = ""
  readonly faults: Array<JsonFault> = []

  constructor(source: string) {
    this.source = source
  }

  document(): Parsed {
    const value = this.value(0)
    if (value === stop) return { value: undefined, faults: this.faults }
    this.space()
    if (this.at < this.source.length) {
      this.field = ""
      this.unexpected("the end")
      return { value: undefined, faults: this.faults }
    }
    return { value, faults: this.faults }
  }

  value(depth: number): Json | typeof stop {
    this.space()
    const code = this.source.charCodeAt(this.at)
    if (code === quote) return this.text()
    if (code === 0x7b) return this.object(depth + 1)
    if (code === 0x5b) return this.array(depth + 1)
    if (code === 0x2d || (code >= 0x30 && code <= 0x39)) return this.number()
    if (this.word("true")) return true
    if (this.word("false")) return false
    if (this.word("null")) return null
    return this.unexpected("a value")
  }

  object(depth: number): JsonObject | typeof stop {
    if (depth > maxDepth) return this.tooDeep()
    const members: Record<string, Json> = Object.create(null)
    this.at++
    this.space()
    if (this.take(0x7d)) return members
    while (true) {
      this.space()
      if (this.source.charCodeAt(this.at) !== quote) return this.unexpected("a key")
      const key = this.text()
      if (key === stop) return stop
      if (depth === 1) this.field = key
      this.space()
      if (!this.take(0x3a)) return this.unexpected("a colon")
      const value = this.value(depth)
      if (value === stop) return stop
      if (key in members) this.fault("duplicate_key", `the key ${shown(key)} stands twice`)
      else members[key] = value
      this.space()
      if (this.take(0x2c)) continue
      if (this.take(0x7d)) break
      return this.unexpected("a comma or }")
    }
    if (depth === 1) this.field = ""
    return members
  }

  array(depth: number): ReadonlyArray<Json> | typeof stop {
    if (depth > maxDepth) return this.tooDeep()
    const items: Array<Json> = []
    this.at++
    this.space()
    if (this.take(0x5d)) return items
    while (true) {
      const value = this.value(depth)
      if (value === stop) return stop
      items.push(value)
      this.space()
      if (this.take(0x2c)) continue
      if (this.take(0x5d)) return items
      return this.unexpected("a comma or ]")
    }
  }

  /** Scans to the closing quote; only text with escapes is handed to JSON.parse. */
  text(): string | typeof stop {
    const { source } = this
    const start = this.at
    let escaped = false
    let at = start + 1
    while (true) {
      const code = source.charCodeAt(at)
      if (code === quote) break
      // NaN, past the end, is caught here as well.
      if (!(code >= 0x20)) {
        this.at = at
        return this.unexpected("a closing quote")
      }
      if (code === backslash) {
        escaped = true
        at++
      }
      at++
    }
    this.at = at + 1
    if (!escaped) return source.slice(start + 1, at)
    const text = unescaped(source.slice(start, at + 1))
    if (text === undefined) return this.unexpected("a known escape")
    if (notAllowed(text)) this.fault("text_not_allowed", "text must not hold U+0000 or half of a surrogate pair")
    return text
  }

  number(): JsonNumber | typeof stop {
    numberShape.lastIndex = this.at
    const match = numberShape.exec(this.source)
    if (match === null) return this.unexpected("a number")
    this.at += match[0].length
    return new JsonNumber(match[0])
  }

  space(): void {
    while (true) {
      const code = this.source.charCodeAt(this.at)
      if (code !== 0x20 && code !== 0x0a && code !== 0x0d && code !== 0x09) return
      this.at++
    }
  }

  take(code: number): boolean {
    if (this.source.charCodeAt(this.at) !== code) return false
    this.at++
    return true
  }

  word(word: string): boolean {
    if (!this.source.startsWith(word, this.at)) return false
    this.at += word.length
    return true
  }

  unexpected(wanted: string): typeof stop {
    const found = this.at < this.source.length ? shown(this.source.slice(this.at, this.at + 8)) : "the end"
    this.fault("not_json", `expected ${wanted} at character ${this.at + 1}, found ${found}`)
    return stop
  }

  tooDeep(): typeof stop {
    this.fault("too_deep", `nested deeper than ${maxDepth} levels`)
    return stop
  }

  fault(code: JsonFault["code"], detail: string): void {
    if (this.faults.length < maxFaults) this.faults.push({ code, field: shortened(this.field), detail })
  }
}

/** JSON.parse knows the escapes; undefined where one is unknown. */
const unescaped = (quoted: string): string | undefined =>
  Result.getOrUndefined(Result.try((): string => JSON.parse(quoted)))

const shortened = (text: string): string => (text.length <= 64 ? text : `${text.slice(0, 63)}…`).toWellFormed()
const shown = (text: string): string => JSON.stringify(shortened(text))
