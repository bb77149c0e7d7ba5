import { generateKeyPairSync, sign } from "node:crypto"
import { assert, describe, it } from "@effect/vitest"
import { KeyFault, Keyring } from "../../src/simulator/Keyring.ts"
import { webSocketPayload } from "../../src/simulator/signing.ts"
import {
  ed25519Vectors,
  exampleKey,
  examplePublicKey,
  exampleSecret,
  restVectors,
  webSocketVectors
} from "./vectors.ts"

const hmacs = new Keyring({ apiKey: exampleKey, apiSecret: exampleSecret })
const withPublicKey = (...publicKeys: ReadonlyArray<string>) =>
  new Keyring({ apiKey: exampleKey, apiSecret: exampleSecret, publicKeys })

const pem = (key: { readonly export: (options: { type: "spki"; format: "pem" }) => string | Buffer }): string =>
  String(key.export({ type: "spki", format: "pem" }))

describe("HMAC", () => {
  it.each([...restVectors, ...webSocketVectors])("%s is verified, in either case", (_, payload, signature) => {
    assert.strictEqual(hmacs.kindOf(payload, signature), "HMAC_SHA256")
    assert.strictEqual(hmacs.kindOf(payload, signature.toUpperCase()), "HMAC_SHA256")
    assert.isUndefined(hmacs.kindOf(`${payload} `, signature))
  })

  it.each(webSocketVectors)("%s is the payload of its parameters in any order", (_, payload) => {
    const pairs = payload.split("&").map((pair) => pair.split("=") as [string, string])

    const made = webSocketPayload(Object.fromEntries([...pairs.toReversed(), ["signature", "whatever"]]))

    assert.strictEqual(made, payload)
  })

  it("D3, signed before encoding, does not fit the bytes on the wire", () => {
    const payloadOf = (id: string) => restVectors.find(([name]) => name === id)![1]
    const [, , signedRaw] = restVectors.find(([name]) => name === "D3")!

    assert.isUndefined(hmacs.kindOf(payloadOf("R2"), signedRaw))
  })
})

describe("Ed25519", () => {
  it.each(ed25519Vectors)("%s is verified, and its case counts", (_, payload, signature) => {
    const keyring = withPublicKey(examplePublicKey)

    assert.strictEqual(keyring.kindOf(payload, signature), "ED25519")
    assert.isUndefined(keyring.kindOf(payload, signature.toLowerCase()))
    assert.isUndefined(keyring.kindOf(`${payload}&`, signature))
    assert.isUndefined(hmacs.kindOf(payload, signature))
  })
})

describe("RSA", () => {
  it("PKCS1 with SHA-256 is verified, beside the other kinds", () => {
    const { privateKey, publicKey } = generateKeyPairSync("rsa", { modulusLength: 2_048 })
    const keyring = withPublicKey(examplePublicKey, pem(publicKey))
    const [, payload, hmac] = restVectors[0]!
    const signature = sign("sha256", Buffer.from(payload), privateKey).toString("base64")

    assert.strictEqual(keyring.kindOf(payload, signature), "RSA")
    assert.isUndefined(keyring.kindOf(`${payload}1`, signature))
    assert.strictEqual(keyring.kindOf(payload, hmac), "HMAC_SHA256")
    assert.strictEqual(keyring.kindOf(ed25519Vectors[1]![1], ed25519Vectors[1]![2]), "ED25519")
  })

  it("keys that the exchange does not take are refused with the reason", () => {
    const short = generateKeyPairSync("rsa", { modulusLength: 1_024 })
    const curve = generateKeyPairSync("ec", { namedCurve: "P-256" })

    assert.throws(() => withPublicKey(pem(short.publicKey)), KeyFault, "1024 bits")
    assert.throws(() => withPublicKey(pem(curve.publicKey)), KeyFault, "not RSA or Ed25519")
    assert.throws(() => withPublicKey("nothing"), KeyFault, "no public key")
  })
})

describe("what is no signature", () => {
  it.each(["", "0", "é", "zz".repeat(32), " ".repeat(88)])("%o verifies nothing", (signature) => {
    assert.isUndefined(withPublicKey(examplePublicKey).kindOf("a=1", signature))
  })
})
