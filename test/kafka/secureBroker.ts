/** The broker that lets in only whom it knows, for one test file: the suite that needs it, and what a client is given. */
import { findKafka } from "../../tools/kafka/Broker.ts"
import { opensslMissing } from "../../tools/kafka/certificates.ts"
import { type SecureBroker, startSecureBroker } from "../../tools/kafka/SecureBroker.ts"
import { describeIf } from "../harness/describeIf.ts"

const source = await findKafka()

/** Null when the broker can be started here. */
export const secureSkipReason: string | null =
  source._tag === "None"
    ? source.reason
    : source._tag === "Docker"
      ? "a broker with users and certificates needs Java 17 and Kafka's jars"
      : await opensslMissing()

export const describeSecure = describeIf(secureSkipReason)

export const start = (): Promise<SecureBroker> => startSecureBroker(source)

/** What the environment says for a client that it lets in at `saslSsl`. */
export const rightEnv = ({ certificates, password, saslSsl, user }: SecureBroker) => ({
  KAFKA_BROKERS: saslSsl,
  KAFKA_USERNAME: user,
  KAFKA_PASSWORD: password,
  NEXUS_KAFKA_SASL_MECHANISM: "SCRAM-SHA-512",
  NEXUS_KAFKA_TLS_ENABLED: "true",
  NEXUS_KAFKA_TLS_CA_FILE: certificates.ca
})
