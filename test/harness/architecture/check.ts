/**
 * Finds what breaks the architecture of `table.ts` in a set of files.
 *
 * Works on text, not on a compiled program: it takes milliseconds, and the planted faults of its own test show that
 * each rule can fail. Comments are blanked first, with line numbers kept.
 */
import { dirname, join } from "node:path/posix"
import { doors, emptyNames, impureWords, levels, onePlaces, pureRooms, seenOnlyBy, seesOnly } from "./table.ts"

export interface SourceFile {
  /** From the repository's root, e.g. `src/domain/decide.ts`. */
  readonly path: string
  readonly text: string
}

export interface Violation {
  readonly rule: string
  readonly path: string
  readonly line: number
  readonly found: string
}

export const check = (files: ReadonlyArray<SourceFile>): ReadonlyArray<Violation> => {
  const sources = files.filter(({ path }) => path.startsWith("src/"))
  return [
    ...sources
      .map(readable)
      .flatMap((file) => [
        ...unknownRoom(file),
        ...imports(file),
        ...onePlace(file),
        ...appends(file),
        ...joins(file),
        ...purity(file),
        ...barrel(file)
      ]),
    ...files.flatMap(pastTheDoor),
    ...files.flatMap(emptyName),
    ...mirror(files)
  ]
}

interface Readable extends SourceFile {
  readonly room: string
  readonly imported: ReadonlyArray<Import>
}

interface Import {
  /** Path of the imported file for one of ours, the specifier as written for a package. */
  readonly target: string
  readonly names: ReadonlyArray<string>
  readonly at: number
}

const readable = ({ path, text }: SourceFile): Readable => {
  const code = withoutComments(text)
  return { path, text: code, room: roomOf(path), imported: importsOf(path, code) }
}

/** `src/sql/x/Y.ts` → `sql`, `src/main.ts` → `main`. */
const roomOf = (path: string) => (path.split("/")[1] ?? "").replace(/\.ts$/, "")

const isOurs = (target: string) => target.startsWith("src/")

const at = ({ path, text }: SourceFile, rule: string, index: number, found: string): Violation => ({
  rule,
  path,
  line: text.slice(0, index).split("\n").length,
  found: found.trim().slice(0, 100)
})

const matches = (file: SourceFile, rule: string, pattern: RegExp): ReadonlyArray<Violation> =>
  [...file.text.matchAll(new RegExp(pattern, `${pattern.flags}g`))].map((match) =>
    at(file, rule, match.index, match[0])
  )

const unknownRoom = (file: Readable) =>
  levels[file.room] === undefined ? [at(file, "every file of src stands in a room of the table", 0, file.room)] : []

const imports = (file: Readable) =>
  file.imported.flatMap(({ at: index, target }) => {
    const complaint = isOurs(target) ? importFault(file.room, target) : undefined
    return complaint === undefined ? [] : [at(file, complaint, index, target)]
  })

const importFault = (room: string, target: string): string | undefined => {
  const other = roomOf(target)
  if (other === room) return undefined
  const allowed = seesOnly[room]
  if (allowed !== undefined) {
    return allowed.includes(target) ? undefined : `${room}/ sees only ${allowed.join(", ") || "itself"}`
  }
  const viewers = seenOnlyBy[other]
  if (viewers !== undefined && !viewers.includes(room)) return `only ${viewers.join(" and ")} see ${other}/`
  return (levels[other] ?? Infinity) < (levels[room] ?? -1) ? undefined : "imports go downward only, never sideways"
}

// A room's own tests may look at its single files.
const pastTheDoor = (file: SourceFile) =>
  importsOf(file.path, withoutComments(file.text)).flatMap(({ at: index, target }) => {
    const room = isOurs(target) ? roomOf(target) : ""
    const door = doors[room]
    const isInside = file.path === door || new RegExp(`^(src|test)/${room}/`).test(file.path)
    return door === undefined || target === door || isInside
      ? []
      : [at(file, `${room}/ is imported through ${door} only`, index, target)]
  })

const onePlace = (file: Readable) =>
  onePlaces
    .filter(({ only }) => !only.includes(file.room) && !only.includes(file.path))
    .flatMap(({ pattern, rule }) => matches(file, rule, pattern))

/** Modules whose `append` has nothing to do with the log. */
const harmlessAppend =
  /\b(?!(?:Arr|Array|Chunk|Headers|UrlParams|URLSearchParams|FormData|Iterable|Str|String)\b)\w+\s*\.append\b/

const appends = (file: Readable) => {
  const rule = "only engine/Engine.ts appends to the log"
  if (file.path === "src/engine/Engine.ts" || file.room === "sql") return []
  if (!file.imported.some(({ target }) => target === "src/sql/EventStore.ts")) return []
  return [...matches(file, rule, harmlessAppend), ...matches(file, rule, /\{[^{}]*\bappend\b[^{}]*\}\s*=\s*yield\*/)]
}

const joins = (file: Readable) => {
  if (file.path === "src/main.ts") return []
  const foreign = new Set(
    file.imported.filter(({ target }) => isOurs(target) && roomOf(target) !== file.room).flatMap(({ names }) => names)
  )
  return [...file.text.matchAll(/\b(?:Layer|Effect|Stream)\.provide(?:Merge)?\(/g)].flatMap((call) => {
    const handed = inParentheses(file.text, call.index + call[0].length)
    return [...handed.matchAll(/\b([A-Za-z]\w*)\s*\.\s*layer\w*|\b(layer\w*|\w+Layer)\b/g)]
      .filter((layer) => foreign.has(layer[1] ?? layer[2] ?? ""))
      .map((layer) => at(file, "only main.ts joins layers", call.index, `${call[0]}…${layer[0]}`))
  })
}

const inParentheses = (text: string, start: number): string => {
  let depth = 1
  let end = start
  while (end < text.length && depth > 0) {
    if (text[end] === "(") depth++
    if (text[end] === ")") depth--
    end++
  }
  return text.slice(start, end)
}

const purity = (file: Readable) => {
  if (!pureRooms.includes(file.room)) return []
  const words = impureWords.flatMap((word) => matches(file, "time, chance and ids come from services", word))
  if (file.room !== "domain") return words
  const effectType = file.imported
    .filter(({ names, target }) => target === "effect/Effect" || (target === "effect" && names.includes("Effect")))
    .map(({ at: index }) => at(file, "domain/ uses Effect's data modules, not the Effect type", index, "Effect"))
  return [...words, ...effectType]
}

// A file of nothing but re-exports hides where things live.
const barrel = (file: Readable) => {
  const rest = file.text.replace(/export\s+(type\s+)?(\*(\s+as\s+\w+)?|\{[^}]*\})\s+from\s+"[^"]*";?/g, "")
  return rest.trim() === "" && file.text.trim() !== "" ? [at(file, "no barrels", 0, file.path)] : []
}

const emptyName = (file: SourceFile) =>
  file.path
    .split("/")
    .map((part) => part.replace(/\..*$/, "").toLowerCase())
    .filter((part) => emptyNames.has(part))
    .map((part) => at(file, "names say what is inside", 0, part))

/**
 * test/sql/EventStore.crash.test.ts and test/sql/EventStoreCrash.test.ts both belong to src/sql/EventStore.ts;
 * test/tools and test/bench belong to the folders of those names, and test/deploy to deploy/, which has no TypeScript;
 * tests of the whole program stand in test itself, and in test/degradation those of what it does with a part away.
 */
const mirror = (files: ReadonlyArray<SourceFile>) => {
  const stems = files
    .filter(({ path }) => /^(src|tools|bench)\//.test(path))
    .map(({ path }) => path.replace(/^src\//, "").replace(/\.ts$/, ""))
  return files
    .filter(({ path }) => /^test\/(?!harness\/|deploy\/|degradation\/).*\.test\.ts$/.test(path))
    .filter(({ path }) => path.split("/").length > 2)
    .filter(({ path }) => !stems.some((stem) => path.replace(/^test\//, "").startsWith(stem)))
    .map((file) => at(file, "a test stands where the file it tests stands in src", 0, file.path))
}

const importsOf = (path: string, code: string): ReadonlyArray<Import> =>
  [...code.matchAll(/(?:\b(?:import|export)\b([^"';()]*?)\bfrom\s*|\bimport\s*\(?\s*)["']([^"']+)["']/g)].map(
    (match) => {
      const specifier = match[2] ?? ""
      return {
        target: specifier.startsWith(".") ? join(dirname(path), specifier) : specifier,
        names: (match[1] ?? "").match(/[A-Za-z_$][\w$]*/g) ?? [],
        at: match.index
      }
    }
  )

/** Blanks comments; strings, templates and regular expressions that merely contain their signs stay. */
const withoutComments = (text: string): string =>
  text.replace(
    /"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|`(?:\\.|[^`\\])*`|\/\*[\s\S]*?\*\/|(?<![:\\])\/\/[^\n]*/g,
    (piece) => (piece.startsWith("/") ? piece.replace(/[^\n]/g, " ") : piece)
  )
