/**
 * The parameters of one request, read one by one.
 *
 * The first complaint is kept and the rest of the reading goes on, so that an endpoint reads straight through and
 * asks once whether all was well. What nobody read is a complaint of its own.
 */
import {
  duplicateParameter,
  emptyParameter,
  illegalCharacters,
  mandatory,
  notAllRead,
  type Refusal
} from "./Refusal.ts"

const decimalForm = "^([0-9]{1,20})(\\.[0-9]{1,20})?$"
const wholeForm = "^[0-9]{1,20}$"
const clientIdForm = "^[a-zA-Z0-9-_]{1,36}$"
const symbolForm = "^[A-Z0-9-_.]{1,20}$"
const recvWindowForm = "^[0-9]{1,20}(\\.[0-9]{1,3})?$"

const decimal = new RegExp(decimalForm)
const whole = new RegExp(wholeForm)
const clientId = new RegExp(clientIdForm)
const recvWindow = new RegExp(recvWindowForm)
// The testnet has a symbol outside ASCII; whether a symbol is known is asked later.
const symbol = /^[A-Z0-9\-_.\u0080-\uffff]{1,20}$/

export class Parameters {
  readonly #values: ReadonlyMap<string, string>
  #read = 0
  #fault: Refusal | undefined

  constructor(values: ReadonlyMap<string, string>) {
    this.#values = values
  }

  /** The first complaint, also about parameters that nobody wanted. */
  fault(): Refusal | undefined {
    if (this.#fault !== undefined) return this.#fault
    return this.#read < this.#values.size ? notAllRead(this.#read, this.#values.size) : undefined
  }

  text(name: string): string | undefined {
    const value = this.#values.get(name)
    if (value === undefined) return undefined
    this.#read++
    if (value === "") this.#complain(emptyParameter(name))
    return value
  }

  mandatoryText(name: string): string {
    const value = this.#values.get(name)
    if (value === undefined || value === "") {
      this.#complain(mandatory(name))
      return ""
    }
    this.#read++
    return value
  }

  symbol(): string {
    return this.#matching("symbol", this.mandatoryText("symbol"), symbol, symbolForm)
  }

  symbolIfSent(): string | undefined {
    const value = this.text("symbol")
    return value === undefined ? undefined : this.#matching("symbol", value, symbol, symbolForm)
  }

  decimal(name: string): string | undefined {
    return this.#form(name, decimal, decimalForm)
  }

  clientId(name: string): string | undefined {
    return this.#form(name, clientId, clientIdForm)
  }

  recvWindow(): string | undefined {
    return this.#form("recvWindow", recvWindow, recvWindowForm)
  }

  timestamp(): string {
    return this.#matching("timestamp", this.mandatoryText("timestamp"), whole, wholeForm)
  }

  whole(name: string): number | undefined {
    const value = this.#form(name, whole, wholeForm)
    return value === undefined ? undefined : Number(value)
  }

  /** Reads and ignores, as the exchange does with what concerns features that are not asked about here. */
  known(...names: ReadonlyArray<string>): void {
    for (const name of names) if (this.#values.has(name)) this.#read++
  }

  #form(name: string, form: RegExp, range: string): string | undefined {
    const value = this.text(name)
    return value === undefined ? undefined : this.#matching(name, value, form, range)
  }

  #matching(name: string, value: string, form: RegExp, range: string): string {
    if (value !== "" && !form.test(value)) this.#complain(illegalCharacters(name, range))
    return value
  }

  #complain(refusal: Refusal): void {
    this.#fault ??= refusal
  }
}

/** Parameters of the query and of a form body; a name in both has the query's value. */
export const parseForms = (query: string, body: string): Map<string, string> | Refusal => {
  const values = new Map<string, string>()
  if (body !== "" && !parseInto(values, body)) return duplicateParameter
  if (query === "") return values
  const fromQuery = body === "" ? values : new Map<string, string>()
  if (!parseInto(fromQuery, query)) return duplicateParameter
  if (fromQuery !== values) for (const [name, value] of fromQuery) values.set(name, value)
  return values
}

/** False when a name came twice. */
const parseInto = (values: Map<string, string>, form: string): boolean => {
  for (const pair of form.split("&")) {
    if (pair === "") continue
    const cut = pair.indexOf("=")
    const name = unescape(cut < 0 ? pair : pair.slice(0, cut))
    if (values.has(name)) return false
    values.set(name, cut < 0 ? "" : unescape(pair.slice(cut + 1)))
  }
  return true
}

const malformedEscape = /%(?![0-9a-fA-F]{2})/

const unescape = (text: string): string => {
  if (!text.includes("%") && !text.includes("+")) return text
  const spaced = text.replaceAll("+", " ")
  if (malformedEscape.test(spaced)) return spaced
  // Bytes that are no UTF-8 become the replacement character, as in a browser's form.
  return Buffer.from(
    spaced.replaceAll(/%([0-9a-fA-F]{2})|([^%]+)/g, (_, hex: string | undefined, plain: string | undefined) =>
      hex === undefined ? Buffer.from(plain!, "utf8").toString("latin1") : String.fromCharCode(Number.parseInt(hex, 16))
    ),
    "latin1"
  ).toString("utf8")
}
