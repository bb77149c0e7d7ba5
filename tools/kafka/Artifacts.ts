/**
 * Kafka's own jars from Maven Central, fetched once per machine into a cache outside the tree.
 *
 * Needs Java 17 and Maven, nothing else. The versions are pinned: the broker, its tools and the logging binding
 * belong together. The fetch goes into a folder beside the cache that is renamed at the end, so a cut-off fetch is
 * never taken for a whole one and two runs at once do no harm.
 */
import { execFile } from "node:child_process"
import { existsSync } from "node:fs"
import { access, constants, lstat, mkdir, mkdtemp, rename, rm, writeFile } from "node:fs/promises"
import { homedir, tmpdir, userInfo } from "node:os"
import { dirname, join } from "node:path"
import { promisify } from "node:util"

export const kafkaVersion = "4.3.1"
const javaNeeded = 17
/** 65 MB: six seconds from a near mirror. */
const fetchTimeoutMs = 240_000
const probeTimeoutMs = 20_000

const run = promisify(execFile)

export type Artifacts =
  | { readonly _tag: "Ready"; readonly classPath: string }
  | { readonly _tag: "Missing"; readonly reason: string }

/** The class path of a broker, fetched if need be; or one sentence why there is none. */
export const kafkaArtifacts = async (): Promise<Artifacts> => {
  const java = await javaVersion()
  if (java === undefined) return { _tag: "Missing", reason: `no Java (${javaNeeded} or newer) on the PATH` }
  if (java < javaNeeded) return { _tag: "Missing", reason: `Java ${java} is older than ${javaNeeded}` }
  const cache = await cacheFolder()
  const libs = join(cache, `kafka-${kafkaVersion}`)
  if (!existsSync(libs)) {
    const failure = await fetchInto(libs, cache)
    if (failure !== undefined) return { _tag: "Missing", reason: failure }
  }
  return { _tag: "Ready", classPath: join(libs, "*") }
}

const javaVersion = async (): Promise<number | undefined> => {
  try {
    const { stderr } = await run("java", ["-version"], { timeout: probeTimeoutMs })
    const major = /version "(\d+)/.exec(stderr)?.[1]
    return major === undefined ? undefined : Number(major)
  } catch {
    return undefined
  }
}

/** `$XDG_CACHE_HOME/nexus` or `~/.cache/nexus`; a user without a home has a folder of its own in the temporary one. */
const cacheFolder = async (): Promise<string> => {
  const wanted = join(process.env.XDG_CACHE_HOME || join(homedir(), ".cache"), "nexus")
  try {
    await mkdir(wanted, { recursive: true })
    await access(wanted, constants.W_OK)
    return wanted
  } catch (cause) {
    const own = join(tmpdir(), `nexus-cache-${process.getuid?.() ?? 0}`)
    await mkdir(own, { recursive: true, mode: 0o700 })
    // The temporary folder is everybody's: a folder of this name that is not ours may hold anything.
    if ((await lstat(own)).uid !== process.getuid?.())
      throw new Error(`${own} belongs to somebody else: remove it`, { cause })
    return own
  }
}

const pom = `<project><modelVersion>4.0.0</modelVersion>
  <groupId>nexus</groupId><artifactId>kafka-for-tests</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>${kafkaVersion}</version></dependency>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka-tools</artifactId><version>${kafkaVersion}</version></dependency>
    <dependency><groupId>org.apache.logging.log4j</groupId><artifactId>log4j-slf4j-impl</artifactId><version>2.25.4</version></dependency>
  </dependencies>
</project>
`

const fetchInto = async (libs: string, cache: string): Promise<string | undefined> => {
  const work = await mkdtemp(join(cache, "fetch-"))
  try {
    await writeFile(join(work, "pom.xml"), pom)
    // The plugin's version is pinned too: without one Maven warns and asks for the newest.
    const goal = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"
    const args = [
      "-B",
      "-q",
      "-Dstyle.color=never",
      goal,
      "-DincludeScope=runtime",
      `-DoutputDirectory=${join(work, "libs")}`
    ]
    // Maven keeps its downloads in the home folder of the account (whatever HOME says), which not every account has.
    const home = await canWrite(userInfo().homedir)
    await run("mvn", home ? args : [...args, `-Dmaven.repo.local=${join(work, "m2")}`], {
      cwd: work,
      timeout: fetchTimeoutMs
    })
    await mkdir(dirname(libs), { recursive: true })
    await rename(join(work, "libs"), libs).catch((cause: unknown) => {
      if (!existsSync(libs)) throw cause // another run was first: its copy is as good
    })
    return undefined
  } catch (cause) {
    if (cause instanceof Error && "code" in cause && cause.code === "ENOENT")
      return "Java is there, but no Maven (mvn) on the PATH"
    return `Maven could not fetch Kafka ${kafkaVersion}: ${firstError(cause)}`
  } finally {
    await rm(work, { recursive: true, force: true })
  }
}

// Maven writes its faults to the standard output.
const firstError = (cause: unknown): string => {
  const output = cause instanceof Error && "stdout" in cause ? String(cause.stdout) : ""
  return (output.split("\n").find((line) => line.includes("[ERROR]")) ?? String(cause)).slice(0, 300)
}

const canWrite = (folder: string): Promise<boolean> =>
  access(folder, constants.W_OK).then(
    () => true,
    () => false
  )
