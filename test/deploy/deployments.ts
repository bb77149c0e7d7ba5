/** The files by which Nexus is deployed, read as what will read them does. */
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { parseAllDocuments, parseDocument } from "yaml"
import { loadConfig } from "../../src/config.ts"
import { environmentOf, stagesOf } from "../../tools/image/Dockerfile.ts"

export const root = join(import.meta.dirname, "../..")
export const textOf = (path: string): string => readFileSync(join(root, path), "utf8")

export const stages = stagesOf(textOf("Dockerfile"))
export const image = stages.at(-1)!
export const imageEnvironment = environmentOf(image)

export type Environment = Readonly<Record<string, string>>

export interface ComposeService {
  readonly image?: string
  readonly build?: string
  readonly profiles?: ReadonlyArray<string>
  readonly command?: ReadonlyArray<string>
  readonly entrypoint?: ReadonlyArray<string>
  readonly environment?: Environment
  readonly ports?: ReadonlyArray<string>
  readonly volumes?: ReadonlyArray<string>
  readonly healthcheck?: { readonly test: ReadonlyArray<string> }
  readonly read_only?: boolean
  readonly cap_drop?: ReadonlyArray<string>
  readonly stop_grace_period?: string
  readonly depends_on?: ReadonlyArray<string> | Readonly<Record<string, { readonly condition: string }>>
}

export const compose = parseDocument(textOf("docker-compose.yml"), { merge: true }).toJS() as {
  readonly services: Readonly<Record<string, ComposeService>>
  readonly volumes: Readonly<Record<string, null>>
}

export const manifestFiles = ["configmap.yaml", "deployment.yaml", "jobs.yaml", "service.yaml"].map(
  (name) => `deploy/kubernetes/${name}`
)

export interface Manifest {
  readonly apiVersion: string
  readonly kind: string
  readonly metadata: { readonly name: string }
}

export const manifests: ReadonlyArray<Manifest> = manifestFiles.flatMap((path) =>
  parseAllDocuments(textOf(path)).map((document) => document.toJS() as Manifest)
)

export const manifest = (kind: string, name: string): Manifest => {
  const found = manifests.find((one) => one.kind === kind && one.metadata.name === name)
  if (found === undefined) throw new Error(`there is no ${kind} ${name}`)
  return found
}

/** What the program makes of an environment, with the config.yaml of the image. */
export const configured = (env: Environment) => loadConfig({ yamlText: textOf("config.yaml"), env, cwd: "/app" })

const commandLine = textOf("src/cli.ts")

/** Commands and flags are what cli.ts makes under that name. */
export const isCommand = (word: string): boolean =>
  [...commandLine.matchAll(/Command\.make\(\s*"([a-z-]+)"/g)].some(([, name]) => name === word)

export const isFlag = (word: string): boolean =>
  [...commandLine.matchAll(/Flag\.\w+\("([a-z-]+)"/g)].some(([, name]) => `--${name}` === word)

/** A path that the server answers. */
export const isPath = (path: string): boolean => textOf("src/http/Api.ts").includes(`"${path}"`)
