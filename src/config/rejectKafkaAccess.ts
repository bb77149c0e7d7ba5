/**
 * The rules about a Kafka at an address: user, password, encryption and certificates go together. With an embedded
 * one nobody asks them.
 */
import { Redacted } from "effect"
import type { Config } from "./Config.ts"
import type { Reject } from "./ConfigFaults.ts"
import { isLoopback } from "./hosts.ts"

/** What would be said and not done, and what would be done and should not: a password where anybody can listen. */
export const rejectKafkaAccess = (kafka: Config["kafka"], reject: Reject) => {
  const { allow_unencrypted_password, brokers, sasl_mechanism, tls, username } = kafka
  const hasPassword = Redacted.value(kafka.password) !== ""
  if (sasl_mechanism === "none") {
    if (username !== "" || hasPassword) {
      const found = username !== "" ? "a username" : "a password"
      reject("kafka.sasl_mechanism", "must be SCRAM-SHA-256 or SCRAM-SHA-512, or no user be given", found)
    }
  } else {
    if (username === "") reject("kafka.username", `must be given (KAFKA_USERNAME) for ${sasl_mechanism}`, "")
    if (!hasPassword) reject("kafka.password", `must be given (KAFKA_PASSWORD) for ${sasl_mechanism}`, "")
    const beyond = brokers.filter((broker) => !isLoopback(broker.replace(/:\d+$/, "")))
    if (!tls.enabled && !allow_unencrypted_password && beyond.length > 0) {
      reject(
        "kafka.tls.enabled",
        `must be true where a user is sent beyond loopback, or kafka.allow_unencrypted_password true: ` +
          "who listens can try out passwords",
        beyond.join(","),
        ["kafka.allow_unencrypted_password", "kafka.sasl_mechanism", "kafka.brokers"]
      )
    }
  }
  for (const [name, path] of Object.entries({
    ca_file: tls.ca_file,
    cert_file: tls.cert_file,
    key_file: tls.key_file
  })) {
    if (path !== "" && !tls.enabled) {
      reject("kafka.tls.enabled", `must be true, or kafka.tls.${name} empty`, "false", [`kafka.tls.${name}`])
    }
  }
  if (!tls.verify_server_name && !tls.enabled) {
    reject("kafka.tls.enabled", "must be true, or kafka.tls.verify_server_name too", "false", [
      "kafka.tls.verify_server_name"
    ])
  }
  if ((tls.cert_file === "") !== (tls.key_file === "")) {
    const missing = tls.cert_file === "" ? "cert_file" : "key_file"
    reject(`kafka.tls.${missing}`, "must be given, since the other half of the pair is", "")
  }
}
