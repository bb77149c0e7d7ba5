import { assert, describe, it } from "@effect/vitest"
import { openApi } from "../../src/http/Api.ts"
import { OrderBody } from "../../src/http/OrderBody.ts"

interface Shape {
  readonly properties: Readonly<Record<string, unknown>>
  readonly additionalProperties: boolean
}

interface Document {
  readonly components: { readonly schemas: Readonly<Record<string, Shape>> }
}

describe("Api", () => {
  it("names one type for orders and one for problems, and leaves no reference open", () => {
    const text = openApi()

    const { components } = JSON.parse(text) as Document
    const referred = new Set(Array.from(text.matchAll(/#\/components\/schemas\/(\w+)/g), ([, name]) => name))
    assert.sameMembers(Object.keys(components.schemas), ["Order", "OrderDetail", "OrderRequest", "Problem"])
    assert.sameMembers([...referred], Object.keys(components.schemas))
  })

  it("shows clients the fields, patterns and strictness that requests are validated with", () => {
    const { components } = JSON.parse(openApi()) as Document

    const body = components.schemas.OrderRequest
    assert.sameMembers(Object.keys(body?.properties ?? {}), Object.keys(OrderBody.fields))
    assert.strictEqual(body?.additionalProperties, false)
    assert.deepStrictEqual(body?.properties.symbol, { type: "string", pattern: "^[A-Z0-9_.-]{1,30}$" })
  })
})
