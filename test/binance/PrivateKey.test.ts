/** Files that hold a key, and files that a person may name by mistake: each has one sentence. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { generateKeyPairSync } from "node:crypto"
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll } from "vitest"
import { readPrivateKey } from "../../src/binance/PrivateKey.ts"

const folder = mkdtempSync(join(tmpdir(), "nexus-key-"))
afterAll(() => rmSync(folder, { recursive: true }))

const fileOf = (name: string, content: string): string => {
  const path = join(folder, name)
  writeFileSync(path, content, { mode: 0o600 })
  return path
}

const pkcs8 = { type: "pkcs8", format: "pem" } as const
const spki = { type: "spki", format: "pem" } as const
const rsaOf = (modulusLength: number) =>
  generateKeyPairSync("rsa", { modulusLength, privateKeyEncoding: pkcs8, publicKeyEncoding: spki })
const rsa = rsaOf(2_048)
const ed25519 = generateKeyPairSync("ed25519", { privateKeyEncoding: pkcs8, publicKeyEncoding: spki })
const encrypted = generateKeyPairSync("ed25519", {
  privateKeyEncoding: { ...pkcs8, cipher: "aes-256-cbc", passphrase: "word" },
  publicKeyEncoding: spki
})
const pkcs1 = generateKeyPairSync("rsa", {
  modulusLength: 2_048,
  privateKeyEncoding: { type: "pkcs1", format: "pem" },
  publicKeyEncoding: spki
})
const elliptic = generateKeyPairSync("ec", {
  namedCurve: "P-256",
  privateKeyEncoding: pkcs8,
  publicKeyEncoding: spki
})

describe("a key file", () => {
  for (const [kind, { privateKey }] of [
    ["RSA", rsa],
    ["ED25519", ed25519]
  ] as const) {
    it.effect(`says itself of which kind it is: ${kind}, with text before it and Windows line ends or not`, () =>
      Effect.gen(function* () {
        const signer = yield* readPrivateKey(fileOf(kind, privateKey))
        const commented = yield* readPrivateKey(
          fileOf(`${kind}-2`, `of the desk\r\n${privateKey.replaceAll("\n", "\r\n")}`)
        )

        assert.strictEqual(signer.kind, kind)
        assert.strictEqual(commented.sign("a=b"), signer.sign("a=b"))
      })
    )
  }

  const damaged = ed25519.privateKey.replace("MC4C", "MC4D")
  const wrong: ReadonlyArray<readonly [name: string, content: string, why: RegExp]> = [
    ["encrypted", encrypted.privateKey, /is encrypted: keep it without a passphrase/],
    ["public", rsa.publicKey, /is a public key/],
    ["of the old form", pkcs1.privateKey, /is not PKCS#8: convert it \(openssl pkcs8/],
    ["of another kind", elliptic.privateKey, /is a key of the kind ec: the exchange takes Ed25519 and RSA/],
    ["too small", rsaOf(1_024).privateKey, /has 1024 bits: the exchange takes RSA of 2048 to 4096/],
    ["damaged", damaged, /is damaged/],
    ["cut off", ed25519.privateKey.slice(0, 50), /is damaged/],
    ["empty", "", /holds no private key/],
    ["a secret in place of a file's content", "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN", /holds no private key/],
    ["huge", "x".repeat(10_000_000), /holds no private key/]
  ]
  for (const [name, content, why] of wrong) {
    it.effect(`that cannot be used is refused in one sentence that shows nothing of it: ${name}`, () =>
      Effect.gen(function* () {
        const path = fileOf(name.replaceAll(" ", "-"), content)

        const fault = yield* Effect.flip(readPrivateKey(path))

        assert.match(fault.message, why)
        assert.include(fault.message, path)
        assert.notInclude(fault.message, "\n")
        const secretPart = content.split("\n")[1]?.slice(0, 20)
        if (secretPart !== undefined && secretPart !== "") {
          assert.notInclude(`${fault.message}${JSON.stringify(fault)}${String(fault.stack)}`, secretPart)
        }
      })
    )
  }

  it.effect("that is not there, or is a folder, is told as that", () =>
    Effect.gen(function* () {
      assert.match((yield* Effect.flip(readPrivateKey(join(folder, "none")))).message, /does not exist/)
      assert.match((yield* Effect.flip(readPrivateKey(folder))).message, /is a folder/)
    })
  )

  it.effect.skipIf(process.getuid?.() === 0)("that this user may not read is told as that", () =>
    Effect.gen(function* () {
      const path = fileOf("locked", ed25519.privateKey)
      chmodSync(path, 0)

      assert.match((yield* Effect.flip(readPrivateKey(path))).message, /may not be read by this user/)
    })
  )

  it.effect("is nowhere in what its signer shows", () =>
    Effect.gen(function* () {
      const signer = yield* readPrivateKey(fileOf("shown", ed25519.privateKey))

      assert.deepStrictEqual(JSON.parse(JSON.stringify(signer)), { kind: "ED25519" })
    })
  )
})
