/**
 * A private key from a file: PEM, PKCS#8, not encrypted. Its kind is read from the file: RSA or Ed25519.
 *
 * What is wrong with a file is said in one sentence with its path. Nothing of its content is ever shown, and the key
 * stays inside the `Signer`: no part of the program can read it back.
 */
import { Effect, Result, Schema } from "effect"
import { createPrivateKey, type KeyObject, sign } from "node:crypto"
import { open } from "node:fs/promises"
import type { Signer } from "./sign.ts"

/** A key of 4,096 bits takes 3,300 bytes; whatever is longer is another file. */
const longestFile = 65_536
/** What the exchange takes of RSA. */
const rsaBits = { least: 2_048, most: 4_096 } as const

/** The file cannot be used. The message says why and what to do. */
export class PrivateKeyFault extends Schema.TaggedError<PrivateKeyFault>()("PrivateKeyFault", {
  path: Schema.String,
  why: Schema.String
}) {
  override get message() {
    return `binance.testnet.private_key_file ${this.path} ${this.why}`
  }
}

export const readPrivateKey = Effect.fnUntraced(function* (path: string) {
  const fault = (why: string) => new PrivateKeyFault({ path, why })
  const text = yield* Effect.mapError(readStart(path), ({ cause }) => fault(unreadable(cause)))
  return yield* Effect.fromResult(Result.mapError(signerOf(text), fault))
})

/** The signer of a PEM text, or what is wrong with it. */
export const signerOf = (pem: string): Result.Result<Signer, string> => {
  const wrongLabel = labels.find(([label]) => pem.includes(label))
  if (wrongLabel !== undefined) return Result.fail(wrongLabel[1])
  if (!pem.includes("-----BEGIN PRIVATE KEY-----")) {
    return Result.fail("holds no private key: it must be PEM that begins with -----BEGIN PRIVATE KEY-----")
  }
  return Result.flatMap(
    Result.try({ try: () => createPrivateKey(pem), catch: () => "is damaged: its private key cannot be read" }),
    signerWith
  )
}

const toPkcs8 = "openssl pkcs8 -topk8 -nocrypt -in FILE -out NEW_FILE"

const labels: ReadonlyArray<readonly [label: string, why: string]> = [
  ["-----BEGIN ENCRYPTED PRIVATE KEY-----", `is encrypted: keep it without a passphrase (${toPkcs8})`],
  ["Proc-Type: 4,ENCRYPTED", `is encrypted: keep it without a passphrase (${toPkcs8})`],
  ["-----BEGIN PUBLIC KEY-----", "is a public key: the exchange has that one, this program needs the private one"],
  ["-----BEGIN CERTIFICATE-----", "is a certificate: this program needs the private key alone"],
  ["-----BEGIN OPENSSH PRIVATE KEY-----", "is a key of OpenSSH: make one with openssl genpkey -algorithm ed25519"],
  ["-----BEGIN RSA PRIVATE KEY-----", `is not PKCS#8: convert it (${toPkcs8})`],
  ["-----BEGIN EC PRIVATE KEY-----", "is an EC key: the exchange takes Ed25519 and RSA"]
]

const signerWith = (key: KeyObject): Result.Result<Signer, string> => {
  switch (key.asymmetricKeyType) {
    case "ed25519":
      return Result.succeed({
        kind: "ED25519",
        sign: (payload) => sign(null, Buffer.from(payload), key).toString("base64")
      })
    case "rsa": {
      const bits = key.asymmetricKeyDetails?.modulusLength ?? 0
      if (bits < rsaBits.least || bits > rsaBits.most) {
        return Result.fail(`has ${bits} bits: the exchange takes RSA of ${rsaBits.least} to ${rsaBits.most}`)
      }
      return Result.succeed({
        kind: "RSA",
        sign: (payload) => sign("sha256", Buffer.from(payload), key).toString("base64")
      })
    }
    default:
      return Result.fail(
        `is a key of the kind ${key.asymmetricKeyType ?? "unknown"}: the exchange takes Ed25519 and RSA`
      )
  }
}

/** Of whatever the path names: only its start, for it may have no end. */
const readStart = (path: string) =>
  Effect.acquireUseRelease(
    Effect.tryPromise(() => open(path, "r")),
    (file) =>
      Effect.tryPromise(async () => {
        const { buffer, bytesRead } = await file.read(Buffer.alloc(longestFile), 0, longestFile, 0)
        return buffer.toString("latin1", 0, bytesRead)
      }),
    (file) => Effect.promise(() => file.close())
  )

const codeWords: Readonly<Record<string, string>> = {
  ENOENT: "does not exist",
  EACCES: "may not be read by this user",
  EISDIR: "is a folder"
}

const unreadable = (cause: unknown): string => {
  const code = cause instanceof Error && "code" in cause && typeof cause.code === "string" ? cause.code : "an error"
  return codeWords[code] ?? `cannot be read: ${code}`
}
