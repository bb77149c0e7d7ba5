import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { accountStream, clientOrderIdOf, laneOf, OrderId, StoreId } from "../../src/domain/Ids.ts"

const one = StoreId.make("3f2504e0-4f89-41d3-9a0c-0305e82c3301")
const other = StoreId.make("3f2504e0-4f89-41d3-9a0c-0305e82c3302")

// Reckoned apart from this code: "nx" + base32(sha256(store + "\n" + order)).lower()[:30] in Python.
const clientOrderIds = [
  [one, "order-1", "nxxdiyraocxrspcrfuac4spv2n7ba3hu"],
  [other, "order-1", "nxd6nl25mo5jkeyp6ld3qmggw2tswqdp"],
  [one, "A", "nxy47d6nlve2vmrygz2ehhejrvd2imsu"],
  [one, "z".repeat(64), "nxmqbaqojginfowj457stpaxxnu2rxvn"],
  [StoreId.make("00000000-0000-4000-8000-000000000000"), "a.b:c_d-9", "nxnbui75dbkf4gvp2rwccdepdhkppulr"]
] as const

// Likewise: the first four bytes of sha256(stream) as a big-endian integer, modulo 1, 4, 7, 16, 256.
const lanes = [
  ["order-1", [0, 1, 3, 1, 33]],
  ["@account", [0, 1, 4, 1, 1]],
  ["A", [0, 0, 4, 0, 208]],
  ["a.b:c_d-9", [0, 1, 5, 1, 81]],
  ["z".repeat(64), [0, 3, 6, 3, 99]]
] as const

describe("the client order id", () => {
  it.each(clientOrderIds)("of store %s and order %s is %s for ever", (store, order, expected) => {
    assert.strictEqual<string>(clientOrderIdOf(store, OrderId.make(order)), expected)
  })

  it("differs for every order and every store", () => {
    const orders = Array.from({ length: 5_000 }, (_, index) => OrderId.make(`order-${index}`))
    const ids = new Set([one, other].flatMap((store) => orders.map((order) => clientOrderIdOf(store, order))))

    assert.strictEqual(ids.size, 10_000)
  })

  it("fits the 36 characters that the exchange allows", () => {
    assert.match(clientOrderIdOf(one, OrderId.make("order-1")), /^[A-Za-z0-9\-_]{1,36}$/)
  })
})

describe("the lane", () => {
  it.each(lanes)("of %s never moves", (stream, expected) => {
    assert.deepStrictEqual(
      [1, 4, 7, 16, 256].map((count) => laneOf(stream, count)),
      [...expected]
    )
  })

  it("takes its share of the orders, give or take a fifth", () => {
    const counts = Array.from({ length: 16 }, () => 0)
    for (let index = 0; index < 32_000; index++) counts[laneOf(`order-${index}`, 16)]! += 1

    assert.isAbove(Math.min(...counts), 1_600)
    assert.isBelow(Math.max(...counts), 2_400)
  })
})

describe("an order id", () => {
  const is = Schema.is(OrderId)

  it.each(["a", "A-1", "a.b:c_d-9", "z".repeat(64)])("may be %s", (id) => {
    assert.isTrue(is(id))
  })

  it.each(["", "z".repeat(65), "a b", "a/b", "ü", "a\n", "a\u0000", accountStream])("is never %j", (id) => {
    assert.isFalse(is(id))
  })
})
