/**
 * The configuration: config.yaml, then .env, then the environment, the later one winning, decoded once at start.
 *
 * Every key stands in `config/keys.ts`; every key can be set by `NEXUS_` and its path in capitals. All faults are
 * reported together, by path, and a fault never shows a secret. The only place that reads `process.env`, and the only
 * door: what stands in config/ is imported from here alone.
 */
import { Context, Effect, Redacted, Result, Schema } from "effect"
import { readFile } from "node:fs/promises"
import { resolve } from "node:path"
import { fileURLToPath } from "node:url"
import { parseEnv } from "node:util"
import { parseDocument } from "yaml"
import type { Config } from "./config/Config.ts"
import { ConfigFaults } from "./config/ConfigFaults.ts"
import { derive } from "./config/derive.ts"
import { keys, type Sections } from "./config/keys.ts"
import { leavesOf, treeOf } from "./config/leaves.ts"
import { notShown, quoted, shown } from "./config/quoting.ts"
import { readSection } from "./config/readSection.ts"
import { interpolate, leafOf, unknownVariables } from "./config/variables.ts"

export type { Config, DatabaseTarget } from "./config/Config.ts"
export type { Role } from "./config/keys.ts"

export interface ConfigInput {
  readonly yamlText: string
  readonly dotEnvText?: string
  readonly env: Readonly<Record<string, string | undefined>>
  /** `app.data_dir` is meant from here. */
  readonly cwd: string
}

export class AppConfig extends Context.Service<AppConfig, Config>()("nexus/config/AppConfig") {
  /** The configuration of this process: config.yaml beside package.json, or the file that NEXUS_CONFIG names. */
  static readonly fromProcess = Effect.fnUntraced(function* (options: { readonly readDotEnv: boolean }) {
    const cwd = process.cwd()
    const dotEnvText = options.readDotEnv ? yield* readText(resolve(cwd, ".env"), "") : ""
    const chosen = process.env.NEXUS_CONFIG ?? parseEnv(dotEnvText).NEXUS_CONFIG
    const path = chosen ? resolve(cwd, chosen) : fileURLToPath(new URL("../config.yaml", import.meta.url))
    const yamlText = yield* readText(path, undefined)
    return yield* Effect.fromResult(loadConfig({ yamlText, dotEnvText, env: process.env, cwd }))
  })
}

/** The key pair of the simulator's account, for the simulator alone: from the environment, never from .env. */
export const simulatorKeys = Effect.suspend(() => {
  const { BINANCE_TESTNET_API_KEY: apiKey = "", BINANCE_TESTNET_API_SECRET: apiSecret = "" } = process.env
  const faults = [
    ["BINANCE_TESTNET_API_KEY", apiKey],
    ["BINANCE_TESTNET_API_SECRET", apiSecret]
  ]
    .filter(([, value]) => value === "")
    .map(([path = ""]) => ({
      path,
      rule: "must be set: it is the key pair of the simulator's account",
      found: "nothing"
    }))
  return faults.length > 0
    ? Effect.fail(new ConfigFaults({ faults }))
    : Effect.succeed({ apiKey: Redacted.make(apiKey), apiSecret: Redacted.make(apiSecret) })
})

class FileFault extends Schema.TaggedError<FileFault>()("FileFault", { code: Schema.String }) {}

const readText = (path: string, whenAbsent: string | undefined) =>
  Effect.tryPromise({
    try: () => readFile(path, "utf8"),
    catch: (cause) =>
      new FileFault({
        code: cause instanceof Error && "code" in cause && typeof cause.code === "string" ? cause.code : "an error"
      })
  }).pipe(
    Effect.catchTag("FileFault", ({ code }) =>
      code === "ENOENT" && whenAbsent !== undefined
        ? Effect.succeed(whenAbsent)
        : Effect.fail(new ConfigFaults({ faults: [{ path, rule: "must be a readable file", found: code }] }))
    )
  )

/** Decodes everything and reports every fault. Pure: no file, no environment but the one given. */
export const loadConfig = (input: ConfigInput): Result.Result<Config, ConfigFaults> => {
  // Merged before anything is looked at, so that an empty variable of the environment also hides the one in .env.
  const variables: Record<string, string | undefined> = { ...parseEnv(input.dotEnvText ?? ""), ...input.env }
  const faults = unknownVariables(variables)
  const document = parseDocument(input.yamlText, { schema: "failsafe" })
  // The parser's own message quotes the line, and the line may hold a secret.
  for (const { code, linePos } of document.errors) {
    faults.push({ path: `config.yaml line ${linePos?.[0].line ?? 1}`, rule: "must be YAML", found: code })
  }
  if (document.errors.length > 0) return Result.fail(new ConfigFaults({ faults }))

  const given = new Map<string, string>()
  readSection(document.toJS(), keys, "", given, faults)
  const leaves = [...leavesOf(keys, "")].map(([path, key]) => leafOf(path, key, given, variables))
  const broken = new Set(faults.map(({ path }) => path))
  const secrets = leaves.flatMap(({ key, value }) => (key.kind === "secret" && value.length >= 4 ? [value] : []))
  const values = new Map<string, unknown>()
  for (const leaf of leaves) {
    const decode = Schema.decodeUnknownResult(leaf.key.schema)
    const decoded = decode(leaf.value)
    if (Result.isFailure(decoded)) {
      broken.add(leaf.path)
      faults.push({ path: leaf.path, rule: leaf.key.rule, found: shown(leaf, secrets) })
    }
    // The rules between keys are asked all the same, of the default in the place of what cannot be read.
    const value = Result.getOrElse(decoded, () => Result.getOrThrow(decode(interpolate(leaf.key.byDefault, {}))))
    values.set(leaf.path, value)
  }
  const overridden = new Set(leaves.flatMap(({ path, source }) => (source.startsWith("NEXUS_") ? [path] : [])))
  // The tree is built from `keys`, leaf by leaf, and that is what `Sections` is computed from.
  const sections = treeOf(keys, values, "") as Sections
  const config = derive(sections, input.cwd, variables, overridden, (path, rule, found, also = []) => {
    if ([path, ...also].some((each) => broken.has(each))) return
    faults.push({ path, rule, found: secrets.some((each) => found.includes(each)) ? notShown : quoted(found) })
  })
  return faults.length === 0 ? Result.succeed(config) : Result.fail(new ConfigFaults({ faults }))
}
