/** The keys by which Kafka and this program know each other: seen in whom a broker that demands them lets in. */
import { Cause, Effect, Exit } from "effect"
import { assert, vi } from "vitest"
import type { SecureBroker } from "../../tools/kafka/SecureBroker.ts"
import { rightEnv, start } from "../kafka/secureBroker.ts"
import { unique } from "./programs.ts"
import { row, type Rows } from "./Row.ts"

let broker: Promise<SecureBroker> | undefined
/** Started once, by the first row. */
const secure = () => (broker ??= start())

export const stopSecure = async (): Promise<void> => {
  await (await broker)?.stop()
}

/** `nexus topics` as this environment has it: "" when Kafka let us in, else what it said. */
const topics = async (env: Readonly<Record<string, string>>): Promise<string> => {
  const name = unique()
  const all = { NEXUS_KAFKA_TOPICS_ORDERS: `${name}.orders`, NEXUS_KAFKA_TOPICS_EVENTS: `${name}.events`, ...env }
  for (const [variable, value] of Object.entries(all)) vi.stubEnv(variable, value)
  try {
    const { topics: command } = await import("../../src/main.ts")
    const exit = await Effect.runPromiseExit(command)
    if (Exit.isSuccess(exit)) return ""
    const error = Cause.squash(exit.cause)
    return error instanceof Error ? error.message : String(error)
  } finally {
    vi.unstubAllEnvs()
  }
}

const certificateEnv = ({ certificates, ssl }: SecureBroker) => ({
  KAFKA_BROKERS: ssl,
  NEXUS_KAFKA_TLS_ENABLED: "true",
  NEXUS_KAFKA_TLS_CA_FILE: certificates.ca,
  NEXUS_KAFKA_TLS_CERT_FILE: certificates.client.cert,
  NEXUS_KAFKA_TLS_KEY_FILE: certificates.client.key
})

/** Let in with what is right, and told this sentence with the change. */
const letIn = async (
  right: Readonly<Record<string, string>>,
  change: Readonly<Record<string, string>>,
  sentence: RegExp
): Promise<void> => {
  assert.strictEqual(await topics(right), "")
  assert.match(await topics({ ...right, ...change }), sentence)
}

export const kafkaAccessRows: Rows = {
  "kafka.sasl_mechanism": row("a login that the listener does not expect", async () => {
    const right = rightEnv(await secure())
    await letIn({ ...right, NEXUS_KAFKA_SASL_MECHANISM: "SCRAM-SHA-256" }, noUser, /Kafka closed the connection/)
  }),
  "kafka.username": row("a user that the broker does not know", async () => {
    await letIn(rightEnv(await secure()), { KAFKA_USERNAME: "eve" }, /does not let this user in: kafka\.username/)
  }),
  "kafka.password": row("a password that is not the user's", async () => {
    await letIn(rightEnv(await secure()), { KAFKA_PASSWORD: "of-somebody-else" }, /kafka\.password must be those/)
  }),
  "kafka.allow_unencrypted_password": row("a login in the clear beyond loopback", async () => {
    const env = {
      KAFKA_BROKERS: "kafka.invalid:9092",
      KAFKA_USERNAME: "ann",
      KAFKA_PASSWORD: "of-no-use",
      NEXUS_KAFKA_SASL_MECHANISM: "SCRAM-SHA-512"
    }
    assert.match(await topics(env), /^kafka\.tls\.enabled must be true where a user is sent beyond loopback/)
    const allowed = await topics({ ...env, NEXUS_KAFKA_ALLOW_UNENCRYPTED_PASSWORD: "true" })
    assert.match(allowed, /^Kafka does not answer at kafka\.invalid:9092/)
  }),
  "kafka.tls.enabled": row("a listener that speaks nothing else", async () => {
    const { NEXUS_KAFKA_TLS_CA_FILE, ...right } = rightEnv(await secure())
    const withAuthority = { ...right, NEXUS_KAFKA_TLS_CA_FILE }
    await letIn(withAuthority, { NEXUS_KAFKA_TLS_ENABLED: "false", NEXUS_KAFKA_TLS_CA_FILE: "" }, /kafka\.tls\.enabled/)
  }),
  "kafka.tls.ca_file": row("a broker of another authority", async () => {
    const { otherCa } = (await secure()).certificates
    await letIn(rightEnv(await secure()), { NEXUS_KAFKA_TLS_CA_FILE: otherCa }, /kafka\.tls\.ca_file must hold/)
  }),
  "kafka.tls.cert_file": row("a listener that asks for one", async () => {
    const change = { NEXUS_KAFKA_TLS_CERT_FILE: "", NEXUS_KAFKA_TLS_KEY_FILE: "" }
    await letIn(certificateEnv(await secure()), change, /asks for a certificate of ours/)
  }),
  "kafka.tls.key_file": row("a key of another certificate", async () => {
    const right = certificateEnv(await secure())
    const key = right.NEXUS_KAFKA_TLS_CA_FILE.replace(/ca\.pem$/, "server.key")
    const sentence = /^kafka\.tls\.key_file .*server\.key is not the key of the certificate in kafka\.tls\.cert_file/
    await letIn(right, { NEXUS_KAFKA_TLS_KEY_FILE: key }, sentence)
  }),
  "kafka.tls.verify_server_name": row("a host that the certificate does not name", async () => {
    const right = rightEnv(await secure())
    const named = { ...right, KAFKA_BROKERS: right.KAFKA_BROKERS.replace("127.0.0.1", "localhost") }
    await letIn(
      { ...named, NEXUS_KAFKA_TLS_VERIFY_SERVER_NAME: "false" },
      { NEXUS_KAFKA_TLS_VERIFY_SERVER_NAME: "true" },
      /of another host than kafka\.brokers names/
    )
  })
}

const noUser = { NEXUS_KAFKA_SASL_MECHANISM: "none", KAFKA_USERNAME: "", KAFKA_PASSWORD: "" }
