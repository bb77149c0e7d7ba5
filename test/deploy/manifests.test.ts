/** The Kubernetes manifests: as the cluster's types have them, and of one mind with the program and the image. */
import { Result } from "effect"
import { spawnSync } from "node:child_process"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "vitest"
import {
  configured,
  type Environment,
  image,
  imageEnvironment,
  isCommand,
  isPath,
  type Manifest,
  manifest,
  manifests,
  root,
  textOf
} from "./deployments.ts"
import { lastOf } from "../../tools/image/Dockerfile.ts"

/** Where the types of an API version stand in kubernetes-types. */
const folders: Readonly<Record<string, string>> = {
  v1: "core/v1",
  "apps/v1": "apps/v1",
  "batch/v1": "batch/v1",
  "policy/v1": "policy/v1",
  "networking.k8s.io/v1": "networking/v1"
}

/** The compiler refuses a literal with a field that its type lacks, at any depth: what a strict schema would do. */
const compilerOn = (all: ReadonlyArray<Manifest>): string => {
  const folder = mkdtempSync("/tmp/nexus-manifests-")
  const file = join(folder, "manifests.ts")
  const lines = all.map((one, at) => {
    const from = join(root, "node_modules/kubernetes-types", folders[one.apiVersion] ?? `unknown/${one.apiVersion}`)
    return `import type { ${one.kind} as T${at} } from ${JSON.stringify(from)}\nexport const m${at}: T${at} = ${JSON.stringify(one)}`
  })
  writeFileSync(file, lines.join("\n"))
  const args = ["--noEmit", "--strict", "--skipLibCheck", "--module", "esnext", "--moduleResolution", "bundler", file]
  const { stdout } = spawnSync(join(root, "node_modules/.bin/tsc"), ["--ignoreConfig", ...args], { encoding: "utf8" })
  rmSync(folder, { recursive: true })
  return stdout
}

interface EnvironmentVariable {
  readonly name: string
  readonly value?: string
  readonly valueFrom?: { readonly secretKeyRef: { readonly name: string; readonly key: string } }
}
interface Container {
  readonly name: string
  readonly image: string
  readonly args: ReadonlyArray<string>
  readonly env: ReadonlyArray<EnvironmentVariable>
  readonly envFrom: ReadonlyArray<{ readonly configMapRef: { readonly name: string } }>
  readonly ports?: ReadonlyArray<{ readonly name: string; readonly containerPort: number }>
  readonly securityContext: {
    readonly allowPrivilegeEscalation: boolean
    readonly readOnlyRootFilesystem: boolean
    readonly capabilities: { readonly drop: ReadonlyArray<string> }
  }
  readonly volumeMounts: ReadonlyArray<{ readonly mountPath: string }>
  readonly startupProbe: Probe
  readonly livenessProbe: Probe
  readonly readinessProbe: Probe
}
interface Probe {
  readonly httpGet: { readonly path: string; readonly port: string }
}
interface Workload extends Manifest {
  readonly spec: {
    readonly replicas: number
    readonly strategy: { readonly rollingUpdate: object }
    readonly selector: object
    readonly template: {
      readonly spec: {
        readonly securityContext: { readonly runAsNonRoot: boolean; readonly runAsUser: number }
        readonly terminationGracePeriodSeconds: number
        readonly containers: readonly [Container]
      }
    }
  }
}

const deployment = manifest("Deployment", "nexus-order-manager") as Workload
const jobs = ["nexus-migrate", "nexus-topics"].map((name) => manifest("Job", name) as Workload)
const settings = (manifest("ConfigMap", "nexus-config") as Manifest & { readonly data: Environment }).data
const containerOf = ({ spec }: Workload) => spec.template.spec.containers[0]

/** As `kubectl create secret` of the README beside the manifests makes them. */
const secrets: Readonly<Record<string, string>> = {
  "binance-credentials/api_key": "a-key",
  "binance-credentials/api_secret": "a-secret",
  "nexus-database/url": "postgres://nexus_serving:pass@postgres:5432/nexus_trading?sslmode=verify-full",
  "nexus-database/migrate_url": "postgres://nexus_owner:pass@postgres:5432/nexus_trading?sslmode=verify-full"
}

const environmentOf = (container: Container): Environment => ({
  ...imageEnvironment,
  ...settings,
  ...Object.fromEntries(
    container.env.map(({ name, value, valueFrom }) => {
      const { key = "", name: secret = "" } = valueFrom?.secretKeyRef ?? {}
      const given = value ?? secrets[`${secret}/${key}`]
      assert.isDefined(given, `${name} comes from a secret that nobody makes`)
      return [name, given]
    })
  )
})

describe("the manifests", () => {
  it("are, field by field, what Kubernetes' own types say", () => {
    assert.strictEqual(compilerOn(manifests), "")
  })

  it("would be refused for one field that is misspelt, however deep", () => {
    const text = JSON.stringify(deployment)
    const misspelt = JSON.parse(text.replace("readOnlyRootFilesystem", "readOnlyRootFileSystem")) as Manifest

    assert.match(compilerOn([misspelt]), /"readOnlyRootFileSystem"' does not exist/)
  })

  it("keep what was fixed: three replicas of that name and image, port 8080, keys from binance-credentials", () => {
    const { env, image: name, name: container, ports } = containerOf(deployment)

    assert.strictEqual(deployment.spec.replicas, 3)
    assert.deepStrictEqual(deployment.spec.selector, { matchLabels: { app: "nexus-order-manager" } })
    assert.deepStrictEqual([container, name], ["order-manager", "nexus-order-manager:latest"])
    assert.deepStrictEqual(ports, [{ name: "http", containerPort: lastOf(image, "EXPOSE").port }])
    for (const [variable, key] of [
      ["BINANCE_TESTNET_API_KEY", "api_key"],
      ["BINANCE_TESTNET_API_SECRET", "api_secret"]
    ] as const) {
      assert.deepInclude(env, { name: variable, valueFrom: { secretKeyRef: { name: "binance-credentials", key } } })
    }
  })

  it.for(["order-manager", "migrate", "topics"])(
    "give %s an environment that the program accepts, and a command that it has",
    (name) => {
      const container = [deployment, ...jobs].map(containerOf).find((one) => one.name === name)!
      const config = configured(environmentOf(container))

      assert.isTrue(Result.isSuccess(config), Result.isFailure(config) ? config.failure.message : "")
      if (Result.isFailure(config)) return
      const { app, parts } = config.success
      assert.strictEqual(app.environment, "production")
      assert.deepStrictEqual([parts.database, parts.kafka, parts.exchange], ["server", "server", "TESTNET"])
      assert.isFalse(parts.exchangeEmbedded)
      assert.lengthOf(container.args, 1)
      assert.isTrue(isCommand(container.args[0]!))
      assert.deepStrictEqual(container.envFrom, [{ configMapRef: { name: "nexus-config" } }])
    }
  )

  it("say aloud that the port is open, and the program would refuse to start without that", () => {
    const env = environmentOf(containerOf(deployment))
    const config = configured({ ...env, NEXUS_APP_ALLOW_OPEN_HOST: "" })

    assert.isTrue(Result.isFailure(config))
    assert.match(Result.isFailure(config) ? config.failure.message : "", /^app\.host must be on loopback/)
  })

  it("speak to the database under a certificate that is checked", () => {
    const config = Result.getOrThrow(configured(environmentOf(containerOf(deployment))))

    assert.strictEqual(config.connections.serving.ssl_mode, "verify-full")
    const { mountPath } = containerOf(deployment).volumeMounts[0]!
    assert.strictEqual(settings.NODE_EXTRA_CA_CERTS, `${mountPath}/ca.pem`)
  })

  it("run every container as the image's user, who may write nothing and become nobody", () => {
    const [uid] = lastOf(image, "USER").user.split(":")
    for (const workload of [deployment, ...jobs]) {
      const { runAsNonRoot, runAsUser } = workload.spec.template.spec.securityContext
      assert.deepStrictEqual([runAsNonRoot, runAsUser], [true, Number(uid)])
      assert.deepStrictEqual(containerOf(workload).securityContext, {
        allowPrivilegeEscalation: false,
        readOnlyRootFilesystem: true,
        capabilities: { drop: ["ALL"] }
      })
    }
  })

  it("ask for paths that the server answers, and restart nothing because PostgreSQL is away", () => {
    const { livenessProbe, readinessProbe, startupProbe } = containerOf(deployment)
    const paths = [startupProbe, livenessProbe, readinessProbe].map(({ httpGet }) => httpGet.path)

    assert.deepStrictEqual(paths, ["/health", "/health", "/ready"])
    assert.isTrue(paths.every(isPath))
  })

  it("leave the program more time to stop than it takes at most, and never fewer than three replicas", () => {
    const deadline = Number(/stopDeadlineMillis = ([\d_]+)/.exec(textOf("src/cli.ts"))?.[1]?.replace("_", ""))
    const budget = manifest("PodDisruptionBudget", "nexus-order-manager") as Manifest & {
      readonly spec: { readonly minAvailable: number }
    }

    assert.isAbove(deployment.spec.template.spec.terminationGracePeriodSeconds * 1_000, deadline)
    assert.deepStrictEqual(deployment.spec.strategy.rollingUpdate, { maxUnavailable: 0, maxSurge: 1 })
    assert.strictEqual(budget.spec.minAvailable, 2)
  })
})
