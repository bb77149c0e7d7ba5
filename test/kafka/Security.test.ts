/** The files of `kafka.tls`: what is wrong with one is a sentence that names its key, and shows nothing of it. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import { generateKeyPairSync } from "node:crypto"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll } from "vitest"
import { readSecurity, type SecurityOptions } from "../../src/kafka/Security.ts"

const folder = mkdtempSync(join(tmpdir(), "nexus-security-"))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const fileOf = (text: string): string => {
  const path = join(folder, `${Math.trunc(performance.now() * 1_000)}.pem`)
  writeFileSync(path, text)
  return path
}

const options = (tls: Partial<SecurityOptions["tls"]>): SecurityOptions => ({
  sasl_mechanism: "SCRAM-SHA-512",
  username: "ann",
  password: Redacted.make("hush"),
  tls: { enabled: true, ca_file: "", cert_file: "", key_file: "", verify_server_name: true, ...tls }
})

const encrypted = (): string =>
  String(
    generateKeyPairSync("ed25519").privateKey.export({
      type: "pkcs8",
      format: "pem",
      cipher: "aes-256-cbc",
      passphrase: "x"
    })
  )

const cases: ReadonlyArray<readonly [name: string, tls: () => Partial<SecurityOptions["tls"]>, sentence: RegExp]> = [
  ["is missing", () => ({ ca_file: join(folder, "none") }), /^kafka\.tls\.ca_file \S+none does not exist$/],
  ["is a folder", () => ({ ca_file: folder }), /^kafka\.tls\.ca_file \S+ is a folder$/],
  ["holds something else", () => ({ ca_file: fileOf("hello") }), /holds no certificate: it must be PEM/],
  [
    "is damaged",
    () => ({ cert_file: fileOf("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n") }),
    /^kafka\.tls\.cert_file \S+ is damaged: its certificate 1 cannot be read$/
  ],
  ["is no key", () => ({ key_file: fileOf("hello") }), /^kafka\.tls\.key_file \S+ holds no private key/],
  [
    "is a key with a passphrase",
    () => ({ key_file: fileOf(encrypted()) }),
    /is encrypted: keep it without a passphrase/
  ]
]

describe("a file of kafka.tls", () => {
  it.effect.each(cases)("that %s is told with its key and its path", ([, tls, sentence]) =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(readSecurity(options(tls())))

      assert.match(error.message, sentence)
    })
  )

  it.effect("is not looked at where TLS is off", () =>
    Effect.gen(function* () {
      const security = yield* readSecurity(options({ enabled: false, ca_file: join(folder, "none") }))

      assert.isUndefined(security().ssl)
    })
  )
})

it.effect("each client is given credentials of its own, for kafkajs keeps the first password that it sees in one", () =>
  Effect.gen(function* () {
    const security = yield* readSecurity(options({}))

    assert.deepStrictEqual(security().sasl, { mechanism: "scram-sha-512", username: "ann", password: "hush" })
    assert.notStrictEqual(security().sasl, security().sasl)
  })
)
