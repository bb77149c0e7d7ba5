/**
 * Carries out the Dockerfile, stage by stage, in folders: what the last stage leaves is what an engine would make,
 * but for its base. A base gives Node and nothing else that ours needs.
 */
import { chmodSync, cpSync, mkdirSync, readFileSync, statSync } from "node:fs"
import { basename, join, resolve } from "node:path"
import { type Box, run } from "./box.ts"
import { isSent, type Stage, stagesOf } from "./Dockerfile.ts"

const repository = join(import.meta.dirname, "../..")

/** The last stage, ready to run. `into` is an empty folder. */
export const build = async (into: string): Promise<{ readonly box: Box; readonly stage: Stage }> => {
  const ignore = readFileSync(join(repository, ".dockerignore"), "utf8")
  const stages = stagesOf(readFileSync(join(repository, "Dockerfile"), "utf8"))
  const built = new Map<string, string>()
  let box: Box | undefined
  for (const [at, stage] of stages.entries()) {
    const root = join(into, `stage-${at}`)
    mkdirSync(root)
    built.set(stage.name ?? `${at}`, root)
    box = await carryOut(stage, { root, env: {}, workdir: "/", user: null, readOnly: false }, ignore, built)
  }
  const stage = stages.at(-1)
  if (box === undefined || stage === undefined) throw new Error("the Dockerfile has no stage")
  return { box: { ...box, readOnly: true }, stage }
}

const carryOut = async (
  { instructions }: Stage,
  from: Box,
  ignore: string,
  built: ReadonlyMap<string, string>
): Promise<Box> => {
  let box = from
  for (const one of instructions) {
    switch (one.is) {
      case "WORKDIR":
        box = { ...box, workdir: one.path }
        mkdirSync(join(box.root, one.path), { recursive: true })
        break
      case "COPY":
        for (const source of one.sources) copy(box, source, one.to, one.from, ignore, built)
        break
      case "ENV":
        box = { ...box, env: { ...box.env, ...one.variables } }
        break
      case "USER":
        box = { ...box, user: one.user }
        break
      case "RUN":
        await run(box, one.command)
        break
      case "EXPOSE":
      case "HEALTHCHECK":
      case "ENTRYPOINT":
      case "CMD":
        // Said of the finished image; they build nothing.
        break
    }
  }
  return box
}

const copy = (
  { root, workdir }: Box,
  source: string,
  to: string,
  from: string | null,
  ignore: string,
  built: ReadonlyMap<string, string>
) => {
  const stage = from === null ? repository : built.get(from)
  if (stage === undefined) throw new Error(`there is no stage ${from}`)
  if (from === null && !isSent(ignore, source)) throw new Error(`.dockerignore keeps ${source} from the build`)
  const path = join(stage, source)
  // A folder's content goes into the target; a file into a target that ends with a slash, or becomes it.
  const target = resolve("/", workdir, to)
  const isInto = to.endsWith("/") && statSync(path).isFile()
  const end = join(root, target, isInto ? basename(source) : "")
  cpSync(path, end, { recursive: true, verbatimSymlinks: true, filter: (each) => isCopied(each, stage, from, ignore) })
  chmodSync(join(root, workdir), 0o755)
}

const isCopied = (path: string, stage: string, from: string | null, ignore: string) =>
  from !== null || isSent(ignore, path.slice(stage.length + 1))
