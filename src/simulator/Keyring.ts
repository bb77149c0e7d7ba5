/**
 * The keys of the one account: an API key with its secret, and public keys that are registered under the same API key.
 *
 * A signature is verified with whatever it can have been made with, which its form tells: 64 hex digits are an HMAC,
 * in either case; base64 of 64 bytes is Ed25519, and all longer base64 is RSA, where case counts.
 */
import { createHmac, createPublicKey, type KeyObject, verify } from "node:crypto"

export type KeyKind = "HMAC_SHA256" | "RSA" | "ED25519"

export interface Credentials {
  readonly apiKey: string
  readonly apiSecret: string
  /** PEM texts, RSA or Ed25519. */
  readonly publicKeys?: ReadonlyArray<string>
}

/** A public key that cannot be used, and why. */
export class KeyFault extends Error {}

const hex = /^[0-9a-fA-F]{64}$/
const base64 = /^[A-Za-z0-9+/]+={0,2}$/
const ed25519Bytes = 64
/** The exchange takes RSA keys of these lengths. */
const shortestModulus = 2_048
const longestModulus = 4_096

export class Keyring {
  readonly apiKey: string
  /** Deleted or disabled: then it is as unknown as any other. */
  isRevoked = false
  readonly #secret: string
  readonly #rsa: ReadonlyArray<KeyObject>
  readonly #ed25519: ReadonlyArray<KeyObject>

  constructor({ apiKey, apiSecret, publicKeys = [] }: Credentials) {
    this.apiKey = apiKey
    this.#secret = apiSecret
    const keys = publicKeys.map(publicKeyOf)
    this.#rsa = keys.filter(({ asymmetricKeyType }) => asymmetricKeyType === "rsa")
    this.#ed25519 = keys.filter(({ asymmetricKeyType }) => asymmetricKeyType === "ed25519")
  }

  knows(apiKey: string | undefined): boolean {
    return apiKey === this.apiKey && !this.isRevoked
  }

  /** The kind of the key that made the signature over this payload; undefined when none of ours did. */
  kindOf(payload: string, signature: string): KeyKind | undefined {
    if (hex.test(signature)) {
      const made = createHmac("sha256", this.#secret).update(payload, "utf8").digest("hex")
      return made === signature.toLowerCase() ? "HMAC_SHA256" : undefined
    }
    if (!base64.test(signature)) return undefined
    const bytes = Buffer.from(signature, "base64")
    const data = Buffer.from(payload, "utf8")
    if (bytes.length === ed25519Bytes) {
      return this.#ed25519.some((key) => verify(null, data, key, bytes)) ? "ED25519" : undefined
    }
    return this.#rsa.some((key) => verify("sha256", data, key, bytes)) ? "RSA" : undefined
  }
}

const publicKeyOf = (pem: string): KeyObject => {
  const key = readKey(pem)
  const bits = key.asymmetricKeyDetails?.modulusLength ?? 0
  if (key.asymmetricKeyType === "ed25519") return key
  if (key.asymmetricKeyType !== "rsa") throw new KeyFault(`is ${key.asymmetricKeyType}, not RSA or Ed25519`)
  if (bits >= shortestModulus && bits <= longestModulus) return key
  throw new KeyFault(`is RSA of ${bits} bits, not of ${shortestModulus} to ${longestModulus}`)
}

const readKey = (pem: string): KeyObject => {
  try {
    return createPublicKey(pem)
  } catch {
    throw new KeyFault("is no public key in PEM form")
  }
}
