import { generateKeyPairSync, type KeyObject, sign } from "node:crypto"
import net from "node:net"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import type { RunningSimulator } from "../../src/simulator/Server.ts"
import { formOf, hmac, keyHeader, limit, market, send, signed, startSimulator } from "./client.ts"

const urlencoded = { ...keyHeader, "Content-Type": "application/x-www-form-urlencoded" }
const asJson = { ...keyHeader, "Content-Type": "application/json" }
const path = "/api/v3/order"

const ed25519 = generateKeyPairSync("ed25519")
const rsa = generateKeyPairSync("rsa", { modulusLength: 2_048 })
const pem = (key: KeyObject): string => key.export({ type: "spki", format: "pem" }).toString()
const publicKeys = [pem(ed25519.publicKey), pem(rsa.publicKey)]

/** How a client signs a payload, as it stands in an address. */
type Sign = (payload: string) => string

const base64 = (signature: Buffer): string => encodeURIComponent(signature.toString("base64"))
const signers: ReadonlyArray<readonly [name: string, sign: Sign]> = [
  ["HMAC", hmac],
  ["HMAC in capitals", (payload) => hmac(payload).toUpperCase()],
  ["RSA", (payload) => base64(sign("sha256", Buffer.from(payload), rsa.privateKey))],
  ["Ed25519", (payload) => base64(sign(null, Buffer.from(payload), ed25519.privateKey))]
]

/** Where clients put parameters and signature; all of them are in use somewhere. */
const placements: ReadonlyArray<readonly [name: string, sent: (form: string, sign: Sign) => Omit<Sent, "method">]> = [
  ["all in the query", (form, of) => ({ path: `${path}?${form}&signature=${of(form)}`, headers: keyHeader })],
  [
    "all in the query, with the type of JSON and no body",
    (form, of) => ({ path: `${path}?${form}&signature=${of(form)}`, headers: asJson })
  ],
  ["all in the body", (form, of) => ({ path, body: `${form}&signature=${of(form)}`, headers: urlencoded })],
  [
    "parameters in the body, signature in the query",
    (form, of) => ({ path: `${path}?signature=${of(form)}`, body: form, headers: urlencoded })
  ],
  [
    "timestamp and signature in the query, the rest in the body",
    (form, of) => {
      const [rest, timestamp] = cut(form, "&timestamp=")
      return { path: `${path}?${timestamp}&signature=${of(timestamp + rest)}`, body: rest, headers: urlencoded }
    }
  ],
  [
    "half in the query, half in the body without a separator",
    (form, of) => {
      const [first, second] = cut(form, "&quantity=")
      return { path: `${path}?${first}`, body: `${second}&signature=${of(first + second)}`, headers: urlencoded }
    }
  ],
  ["the signature first", (form, of) => ({ path: `${path}?signature=${of(form)}&${form}`, headers: keyHeader })],
  [
    "the signature in the middle",
    (form, of) => {
      const [first, second] = cut(form, "&quantity=")
      return { path: `${path}?${first}&signature=${of(form)}&${second}`, headers: keyHeader }
    }
  ],
  [
    "a name in both, where the query's value counts",
    (form, of) => {
      const body = "quantity=5000"
      return { path: `${path}?${form}&signature=${of(form + body)}`, body, headers: urlencoded }
    }
  ]
]

interface Sent {
  readonly method: string
  readonly path: string
  readonly body?: string
  readonly headers?: Record<string, string>
}

const cut = (form: string, at: string): readonly [string, string] => {
  const place = form.indexOf(at)
  return [form.slice(0, place), form.slice(place + 1)]
}

describe("an order is taken however it is signed and wherever its parameters are", () => {
  it.live.each(signers)("%s", ([, of]) =>
    Effect.gen(function* () {
      const simulator = yield* startSimulator({ publicKeys })
      for (const [name, sent] of placements) {
        const form = formOf({ ...market("0.001", { newClientOrderId: "a-b_c" }), timestamp: Date.now() })

        const answer = yield* send(simulator, { method: "POST", ...sent(form, of) })

        assert.strictEqual(answer.json.executedQty, "0.00100000", `${name}: ${answer.text}`)
      }
    })
  )

  it.live("a cancel may carry its form in the body", () =>
    Effect.gen(function* () {
      const simulator = yield* startSimulator({ publicKeys })
      for (const [name, of] of signers) {
        const { json } = yield* signed(simulator, "POST /api/v3/order", limit("60000", "0.01"))
        const form = formOf({ symbol: "BTCUSDT", orderId: json.orderId, timestamp: Date.now() })

        const answer = yield* send(simulator, {
          method: "DELETE",
          path,
          body: `${form}&signature=${of(form)}`,
          headers: urlencoded
        })

        assert.strictEqual(answer.json.status, "CANCELED", name)
      }
    })
  )
})

describe("the bytes on the wire are what is signed", () => {
  it.live("escapes count as they were sent: upper or lower case, plus or %20", () =>
    Effect.gen(function* () {
      const simulator = yield* startSimulator()
      const ask = (form: string) =>
        send(simulator, {
          method: "GET",
          path: `/api/v3/openOrders?${form}&signature=${hmac(form)}`,
          headers: keyHeader
        })
      const timestamp = Date.now()

      const upper = yield* ask(`symbol=%EF%BC%91&timestamp=${timestamp}`)
      const lower = yield* ask(`symbol=%ef%bc%91&timestamp=${timestamp}`)
      const escaped = yield* ask(`%73ymbol=BTC%55SDT&timestamp=${timestamp}`)
      const crossed = yield* send(simulator, {
        method: "GET",
        path: `/api/v3/openOrders?symbol=%EF%BC%91&timestamp=${timestamp}&signature=${hmac(`symbol=%ef%bc%91&timestamp=${timestamp}`)}`,
        headers: keyHeader
      })

      assert.deepStrictEqual([upper.json.code, lower.json.code], [-1121, -1121])
      assert.deepStrictEqual(escaped.json, [])
      assert.strictEqual(crossed.json.code, -1022)
    })
  )

  it.live("raw bytes in a body are refused though the signature fits them", () =>
    Effect.gen(function* () {
      const simulator = yield* startSimulator()
      for (const symbol of ["这", "这是测试币456", "１２３４５６７８９"]) {
        const form = `symbol=${symbol}&side=BUY&type=MARKET&quantity=1&timestamp=${Date.now()}`

        const answer = yield* send(simulator, {
          method: "POST",
          path,
          body: `${form}&signature=${hmac(form)}`,
          headers: urlencoded
        })

        assert.deepStrictEqual([answer.status, answer.json.code], [400, -1022], symbol)
      }
    })
  )

  it.live("base64 whose plus was not escaped is another signature", () =>
    Effect.gen(function* () {
      const simulator = yield* startSimulator({ publicKeys })
      const signatureOf = (form: string) => sign(null, Buffer.from(form), ed25519.privateKey).toString("base64")
      const timestamp = Date.now()
      const form = Array.from({ length: 1_000 }, (_, n) => `recvWindow=${5_000 + n}&timestamp=${timestamp}`).find(
        (one) => signatureOf(one).includes("+")
      )!

      const raw = yield* send(simulator, {
        method: "GET",
        path: `/api/v3/openOrders?${form}&signature=${signatureOf(form)}`,
        headers: keyHeader
      })
      const escaped = yield* send(simulator, {
        method: "GET",
        path: `/api/v3/openOrders?${form}&signature=${encodeURIComponent(signatureOf(form))}`,
        headers: keyHeader
      })

      assert.strictEqual(raw.json.code, -1022)
      assert.strictEqual(escaped.status, 200)
    })
  )

  it.live("raw bytes in the address are refused as JSON before there is a request", () =>
    Effect.gen(function* () {
      const simulator = yield* startSimulator()

      const signedRaw = yield* rawRequest(
        simulator,
        "GET /api/v3/openOrders?symbol=这&timestamp=1&signature=00 HTTP/1.1"
      )
      const unsigned = yield* rawRequest(simulator, "GET /api/v3/depth?symbol=这 HTTP/1.1")
      const nonsense = yield* rawRequest(simulator, "this is no HTTP")

      assert.match(signedRaw, /^HTTP\/1\.1 400 /)
      assert.include(signedRaw, "Content-Type: application/json")
      assert.strictEqual(bodyOf(signedRaw).code, -1022)
      assert.strictEqual(bodyOf(unsigned).code, -1000)
      assert.strictEqual(bodyOf(nonsense).code, -1000)
    })
  )
})

describe("public keys", () => {
  it.live("what is no key is said before anything listens", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(startSimulator({ publicKeys: ["-----BEGIN PUBLIC KEY-----"] }))

      assert.include(error.message, "A public key of the simulator's account is no public key in PEM form.")
    })
  )

  it.live("without them nothing but the secret signs", () =>
    Effect.gen(function* () {
      const simulator = yield* startSimulator()
      const form = formOf({ timestamp: Date.now() })
      const statuses: Array<number> = []
      for (const [, of] of signers) {
        const { status } = yield* send(simulator, {
          method: "GET",
          path: `/api/v3/openOrders?${form}&signature=${of(form)}`,
          headers: keyHeader
        })
        statuses.push(status)
      }

      assert.deepStrictEqual(statuses, [200, 200, 400, 400])
    })
  )
})

const bodyOf = (response: string): { readonly code: number } =>
  JSON.parse(response.slice(response.indexOf("\r\n\r\n") + 4))

/** Bytes as no HTTP client would send them; gives all that comes back. */
const rawRequest = ({ port }: RunningSimulator, line: string): Effect.Effect<string, Error> =>
  Effect.callback((resume) => {
    const chunks: Array<Buffer> = []
    const socket = net.connect(port, "127.0.0.1", () => socket.write(`${line}\r\nHost: x\r\n\r\n`))
    socket.on("data", (chunk: Buffer) => chunks.push(chunk))
    socket.on("error", (error) => resume(Effect.fail(error)))
    socket.on("end", () => resume(Effect.succeed(Buffer.concat(chunks).toString("utf8"))))
  })
