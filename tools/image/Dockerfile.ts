/**
 * Reads the instructions of our Dockerfile, and what is said in .dockerignore, so that both can be held to without an
 * engine. Knows the instructions that ours uses, and fails on any other: what is not understood is not checked.
 */
/** What a stage says, in order. A path is as written. */
export type Instruction =
  | { readonly is: "WORKDIR"; readonly path: string }
  | { readonly is: "COPY"; readonly from: string | null; readonly sources: ReadonlyArray<string>; readonly to: string }
  | { readonly is: "RUN"; readonly command: ReadonlyArray<string> }
  | { readonly is: "ENV"; readonly variables: Readonly<Record<string, string>> }
  | { readonly is: "USER"; readonly user: string }
  | { readonly is: "EXPOSE"; readonly port: number }
  | { readonly is: "HEALTHCHECK"; readonly command: ReadonlyArray<string> }
  | { readonly is: "ENTRYPOINT"; readonly command: ReadonlyArray<string> }
  | { readonly is: "CMD"; readonly command: ReadonlyArray<string> }

export interface Stage {
  readonly name: string | null
  readonly base: string
  readonly instructions: ReadonlyArray<Instruction>
}

/** The stages in order; the last one is the image. */
export const stagesOf = (text: string): ReadonlyArray<Stage> => {
  const defaults: Record<string, string> = {}
  const stages: Array<{ name: string | null; base: string; instructions: Array<Instruction> }> = []
  for (const line of joinedLines(text)) {
    const [, word = "", rest = ""] = /^([A-Z]+)\s+(.*)$/.exec(line) ?? []
    if (word === "ARG") {
      const [, name = "", value = ""] = /^(\w+)=(.*)$/.exec(rest) ?? []
      defaults[name] = value
    } else if (word === "FROM") {
      const [base = "", , name] = rest.split(/\s+/)
      const image = base.replace(/^\$\{(\w+)\}$/, (_, argument: string) => defaults[argument] ?? "")
      stages.push({ name: name ?? null, base: image, instructions: [] })
    } else {
      const stage = stages.at(-1)
      if (stage === undefined) throw new Error(`the Dockerfile says before any FROM: ${line}`)
      stage.instructions.push(instructionOf(word, rest))
    }
  }
  return stages
}

const joinedLines = (text: string): ReadonlyArray<string> =>
  text
    .split("\n")
    .filter((line) => !/^\s*#/.test(line))
    .join("\n")
    .replaceAll(/\\\n\s*/g, "")
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "")

const instructionOf = (word: string, rest: string): Instruction => {
  switch (word) {
    case "WORKDIR":
      return { is: word, path: rest }
    case "COPY": {
      const [, from = null, paths = ""] = /^(?:--from=(\S+)\s+)?(.*)$/.exec(rest) ?? []
      const parts = paths.split(/\s+/)
      return { is: word, from, sources: parts.slice(0, -1), to: parts.at(-1) ?? "" }
    }
    case "RUN":
    case "ENTRYPOINT":
    case "CMD":
      return { is: word, command: commandOf(rest) }
    case "ENV":
      return {
        is: word,
        variables: Object.fromEntries(
          rest.split(/\s+/).map((pair) => {
            const at = pair.indexOf("=")
            return [pair.slice(0, at), pair.slice(at + 1)]
          })
        )
      }
    case "USER":
      return { is: word, user: rest }
    case "EXPOSE":
      return { is: word, port: Number(rest) }
    case "HEALTHCHECK":
      return { is: word, command: commandOf(rest.replace(/^.*?\bCMD\s+/, "")) }
    default:
      throw new Error(`the Dockerfile says what nobody here understands: ${word} ${rest}`)
  }
}

/** The exec form is a JSON list; the other runs in a shell. */
const commandOf = (rest: string): ReadonlyArray<string> =>
  rest.startsWith("[") ? (JSON.parse(rest) as ReadonlyArray<string>) : ["/bin/sh", "-c", rest]

/** The last instruction of a kind in a stage, which is the one that holds. */
export const lastOf = <I extends Instruction["is"]>(stage: Stage, is: I): Extract<Instruction, { is: I }> => {
  const found = stage.instructions.findLast((one): one is Extract<Instruction, { is: I }> => one.is === is)
  if (found === undefined) throw new Error(`the stage has no ${is}`)
  return found
}

/** What `docker run` gives a process of this stage before anything else is said. */
export const environmentOf = (stage: Stage): Readonly<Record<string, string>> =>
  Object.assign({}, ...stage.instructions.map((one) => (one.is === "ENV" ? one.variables : {}))) as Record<
    string,
    string
  >

/** Whether .dockerignore lets a file of the repository into the build: the last line that speaks of it decides. */
export const isSent = (ignoreText: string, path: string): boolean => {
  const parts = path.split("/")
  // A line speaks of all below what it names.
  const names = parts.map((_, at) => parts.slice(0, at + 1).join("/"))
  let sent = true
  for (const line of ignoreText.split("\n").map((one) => one.trim())) {
    if (line === "" || line.startsWith("#")) continue
    const keeps = line.startsWith("!")
    const pattern = keeps ? line.slice(1) : line
    if (names.some((name) => expressionOf(pattern).test(name))) sent = keeps
  }
  return sent
}

/** A star is for any text within one name, also at its beginning: an engine hides no file because of its dot. */
const expressionOf = (pattern: string) =>
  new RegExp(`^${pattern.replaceAll(/[.+?^${}()|[\]\\]/g, "\\$&").replaceAll("*", "[^/]*")}$`)
