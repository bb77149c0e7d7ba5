/**
 * How we know Kafka and how it knows us: TLS with its files, and a user with a password (SASL SCRAM).
 *
 * The files are read once, at the start; what is wrong with one is a sentence that names its key. kafkajs writes into
 * the object of credentials that it is given, and keeps the old password when that is used again: hence a fresh one
 * for every client.
 */
import { Effect, Redacted, Schema } from "effect"
import type { KafkaConfig, SASLOptions } from "kafkajs"
import { createPrivateKey, X509Certificate } from "node:crypto"
import { open } from "node:fs/promises"

export interface SecurityOptions {
  readonly sasl_mechanism: "none" | "SCRAM-SHA-256" | "SCRAM-SHA-512"
  readonly username: string
  readonly password: Redacted.Redacted
  readonly tls: {
    readonly enabled: boolean
    /** Empty: the authorities that Node knows. */
    readonly ca_file: string
    /** Both or none: our own certificate, for brokers that ask for one. */
    readonly cert_file: string
    readonly key_file: string
    readonly verify_server_name: boolean
  }
}

/** What a client is given of it; made anew for each. */
export type Security = () => Pick<KafkaConfig, "ssl" | "sasl">

/** A file of `kafka.tls` cannot be used. */
export class SecurityFault extends Schema.TaggedError<SecurityFault>()("SecurityFault", {
  key: Schema.String,
  path: Schema.String,
  why: Schema.String
}) {
  override get message() {
    return `kafka.tls.${this.key} ${this.path} ${this.why}`
  }
}

export const readSecurity = Effect.fnUntraced(function* (options: SecurityOptions) {
  const { tls } = options
  const ssl = tls.enabled ? yield* readTls(tls) : undefined
  const security: Security = () => ({
    ...(ssl === undefined ? {} : { ssl: { ...ssl } }),
    ...(options.sasl_mechanism === "none" ? {} : { sasl: saslOf(options, options.sasl_mechanism) })
  })
  return security
})

const saslOf = ({ password, username }: SecurityOptions, mechanism: "SCRAM-SHA-256" | "SCRAM-SHA-512"): SASLOptions => {
  const credentials = { username, password: Redacted.value(password) }
  return mechanism === "SCRAM-SHA-256"
    ? { mechanism: "scram-sha-256", ...credentials }
    : { mechanism: "scram-sha-512", ...credentials }
}

const readTls = Effect.fnUntraced(function* (tls: SecurityOptions["tls"]) {
  const ca = tls.ca_file === "" ? undefined : yield* certificates("ca_file", tls.ca_file)
  const cert = tls.cert_file === "" ? undefined : yield* certificates("cert_file", tls.cert_file)
  const key = tls.key_file === "" ? undefined : yield* privateKey(tls.key_file, cert)
  return {
    rejectUnauthorized: true,
    ...(ca === undefined ? {} : { ca }),
    // A chain is one text for TLS: the certificate first, then who signed it.
    ...(cert === undefined ? {} : { cert: cert.join("\n") }),
    ...(key === undefined ? {} : { key }),
    ...(tls.verify_server_name ? {} : { checkServerIdentity: () => undefined })
  }
})

const block = /-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g

/** Each block of the file, all of them readable. */
const certificates = Effect.fnUntraced(function* (key: string, path: string) {
  const text = yield* readText(key, path)
  const blocks = text.match(block) ?? []
  if (blocks.length === 0) {
    const why = "holds no certificate: it must be PEM that begins with -----BEGIN CERTIFICATE-----"
    return yield* new SecurityFault({ key, path, why })
  }
  for (const [index, pem] of blocks.entries()) {
    yield* Effect.try({
      try: () => new X509Certificate(pem),
      catch: () => new SecurityFault({ key, path, why: `is damaged: its certificate ${index + 1} cannot be read` })
    })
  }
  return blocks
})

const privateKey = Effect.fnUntraced(function* (path: string, cert: ReadonlyArray<string> | undefined) {
  const fault = (why: string) => new SecurityFault({ key: "key_file", path, why })
  const pem = yield* readText("key_file", path)
  if (/ENCRYPTED/.test(pem)) {
    return yield* fault(
      "is encrypted: keep it without a passphrase (openssl pkcs8 -topk8 -nocrypt -in FILE -out NEW_FILE)"
    )
  }
  const found = yield* Effect.try({
    try: () => createPrivateKey(pem),
    catch: () => fault("holds no private key: it must be PEM that begins with -----BEGIN PRIVATE KEY-----")
  })
  if (cert?.[0] !== undefined && !new X509Certificate(cert[0]).checkPrivateKey(found)) {
    return yield* fault("is not the key of the certificate in kafka.tls.cert_file")
  }
  return pem
})

/** Whatever is longer is another file: all authorities of a system take 250 kB. */
const longestFile = 2 ** 21

const readText = (key: string, path: string) =>
  Effect.acquireUseRelease(
    Effect.tryPromise(() => open(path, "r")),
    (file) =>
      Effect.tryPromise(async () => {
        const { buffer, bytesRead } = await file.read(Buffer.alloc(longestFile), 0, longestFile, 0)
        return buffer.toString("latin1", 0, bytesRead)
      }),
    (file) => Effect.promise(() => file.close())
  ).pipe(Effect.mapError(({ cause }) => new SecurityFault({ key, path, why: unreadable(cause) })))

const codeWords: Readonly<Record<string, string>> = {
  ENOENT: "does not exist",
  EACCES: "may not be read by this user",
  EISDIR: "is a folder"
}

const unreadable = (cause: unknown): string => {
  const code = cause instanceof Error && "code" in cause && typeof cause.code === "string" ? cause.code : "an error"
  return codeWords[code] ?? `cannot be read: ${code}`
}
