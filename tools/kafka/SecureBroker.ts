/**
 * A broker that lets in only whom it knows, for the tests of TLS and SASL: one listener for each way, all on 127.0.0.1.
 *
 * Its plain listener is for whoever manages it. From the jars alone, with certificates of the moment.
 */
import { execFile } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { promisify } from "node:util"
import { freePort } from "../freePort.ts"
import { type KafkaSource, untilReady } from "./Broker.ts"
import { type Certificates, makeCertificates } from "./certificates.ts"
import { javaBroker } from "./JavaBroker.ts"

const run = promisify(execFile)
/** A virtual machine that asks one thing. */
const commandTimeoutMs = 60_000

export type Mechanism = "SCRAM-SHA-256" | "SCRAM-SHA-512"

export interface SecureBroker {
  /** A user, over TLS. */
  readonly saslSsl: string
  /** A user, in the clear. */
  readonly saslPlain: string
  /** TLS, and a certificate of the client. */
  readonly ssl: string
  /** For the judge: nothing is asked. */
  readonly plain: string
  readonly certificates: Certificates
  readonly user: string
  /** Of the user at the start. */
  readonly password: string
  /** The old one is good no more, except on connections that are open. Whoever had none is a user from now on. */
  readonly changePassword: (mechanism: Mechanism, password: string, of?: string) => Promise<void>
  readonly removePassword: (mechanism: Mechanism, of: string) => Promise<void>
  readonly stop: () => Promise<void>
}

const user = "nexus"
const firstPassword = "the-first+pass/word"
const mechanisms: ReadonlyArray<Mechanism> = ["SCRAM-SHA-256", "SCRAM-SHA-512"]

export const startSecureBroker = async (source: KafkaSource): Promise<SecureBroker> => {
  if (source._tag !== "Java") throw new Error("a broker with users and certificates needs Java 17 and Kafka's jars")
  const folder = mkdtempSync(join(tmpdir(), "nexus-kafka-secure-"))
  const remove = () => rmSync(folder, { recursive: true, force: true })
  try {
    const certificates = await makeCertificates(folder)
    const ports: Array<number> = []
    while (ports.length < 4) {
      const port = await freePort()
      if (!ports.includes(port)) ports.push(port)
    }
    const [plain, saslSsl, saslPlain, ssl] = ports.map((port) => `127.0.0.1:${port}`) as [
      string,
      string,
      string,
      string
    ]
    const broker = await javaBroker({
      classPath: source.classPath,
      port: ports[0]!,
      dataDir: folder,
      removeAtEnd: true,
      beside: {
        listeners: [`SASL_SSL://${saslSsl}`, `SASL_PLAINTEXT://${saslPlain}`, `SSL://${ssl}`],
        properties: propertiesOf(certificates),
        formatArgs: mechanisms.flatMap((each) => ["--add-scram", `${each}=[name=${user},password=${firstPassword}]`])
      }
    })
    const stop = async () => {
      await broker.stop()
      remove()
    }
    try {
      await untilReady(plain, broker)
    } catch (cause) {
      await stop()
      throw cause
    }
    const alter = async (name: string, ...what: ReadonlyArray<string>) => {
      const whose = ["--entity-type", "users", "--entity-name", name]
      const command = ["-Xmx128m", "-cp", source.classPath, "kafka.admin.ConfigCommand", "--bootstrap-server", plain]
      await run("java", [...command, "--alter", ...what, ...whose], { timeout: commandTimeoutMs })
    }
    return {
      saslSsl,
      saslPlain,
      ssl,
      plain,
      certificates,
      user,
      password: firstPassword,
      changePassword: (mechanism, password, of = user) =>
        alter(of, "--add-config", `${mechanism}=[password=${password}]`),
      removePassword: (mechanism, of) => alter(of, "--delete-config", mechanism),
      stop
    }
  } catch (cause) {
    remove()
    throw cause
  }
}

const propertiesOf = ({ ca, server }: Certificates): string => {
  const logins = ["sasl_ssl", "sasl_plaintext"].flatMap((listener) =>
    mechanisms.map(
      (each) =>
        `listener.name.${listener}.${each.toLowerCase()}.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;`
    )
  )
  return `ssl.keystore.type=PEM
ssl.keystore.location=${server}
ssl.truststore.type=PEM
ssl.truststore.location=${ca}
listener.name.ssl.ssl.client.auth=required
sasl.enabled.mechanisms=${mechanisms.join()}
${logins.join("\n")}
`
}
