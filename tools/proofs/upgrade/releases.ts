/**
 * Releases as folders: one that git remembers, this one as it stands, and one later than both (laterRelease.ts). Nothing
 * is built, so a release is its files; all of them share this one's installed packages.
 */
import { execFileSync } from "node:child_process"
import { cpSync, mkdirSync, readdirSync, readFileSync, symlinkSync } from "node:fs"
import { join } from "node:path"
import { ownRoot } from "../programs.ts"
import { makeLaterRelease } from "./laterRelease.ts"

export interface Release {
  /** For people. */
  readonly name: string
  readonly root: string
  /** Its migrations, in order. */
  readonly files: ReadonlyArray<string>
  /** Not of the project, but made for the proof. */
  readonly isMade: boolean
}

/** What a release is made of. */
const parts = ["src", "schema", "config.yaml", "package.json"]

/** There is no such release to be had here; the message says what is missing. */
export class NoRelease extends Error {}

const git = (...args: ReadonlyArray<string>): string => {
  try {
    return execFileSync("git", ["-C", ownRoot, ...args], { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] }).trim()
  } catch (cause) {
    const said = cause instanceof Error && "stderr" in cause ? String(cause.stderr).trim() : String(cause)
    throw new NoRelease(`git ${args.join(" ")}: ${said}`)
  }
}

const releaseIn = (name: string, root: string, isMade = false): Release => ({
  name,
  root,
  isMade,
  files: readdirSync(join(root, "schema"))
    .filter((file) => /^\d{4}_.*\.sql$/.test(file))
    .sort()
})

const share = (root: string) => symlinkSync(join(ownRoot, "node_modules"), join(root, "node_modules"))

/** This one, frozen: an edit during the proof changes nothing. */
export const thisRelease = (root: string): Release => {
  mkdirSync(root, { recursive: true })
  for (const part of parts) cpSync(join(ownRoot, part), join(root, part), { recursive: true })
  share(root)
  return releaseIn("this release", root)
}

/** One that git has. */
export const releaseOf = (commit: string, root: string): Release => {
  mkdirSync(root, { recursive: true })
  const sha = git("rev-parse", "--verify", `${commit}^{commit}`)
  const tar = join(root, "release.tar")
  git("archive", "--format=tar", `--output=${tar}`, sha, ...parts)
  execFileSync("tar", ["-xf", tar, "-C", root])
  share(root)
  const { dependencies: theirs } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as Manifest
  const { dependencies: ours } = JSON.parse(readFileSync(join(ownRoot, "package.json"), "utf8")) as Manifest
  const others = Object.keys(theirs).filter((name) => theirs[name] !== ours[name])
  if (others.length > 0)
    console.log(`     ${sha.slice(0, 9)} names other versions of ${others.join(", ")}; it runs on ours`)
  return releaseIn(`release ${sha.slice(0, 9)}`, root)
}

interface Manifest {
  readonly dependencies: Readonly<Record<string, string>>
}

export const laterRelease = (root: string, { root: from }: Release): Release => {
  makeLaterRelease(root, from)
  return releaseIn("a later release", root, true)
}

/** The newest commit that does not have a release's newest migration: from there the schema moves by one step. */
export const previousCommit = ({ files }: Release): string => {
  const newest = files.at(-1)!
  const [added = ""] = git("log", "--diff-filter=A", "--format=%H", "--", `schema/${newest}`).split("\n")
  if (added === "") return git("rev-parse", "HEAD")
  const isShallow = git("rev-parse", "--is-shallow-repository") === "true"
  try {
    return git("rev-parse", "--verify", `${added}^`)
  } catch {
    throw new NoRelease(
      isShallow
        ? `this clone does not reach the commit before schema/${newest}: git fetch --deepen 100, or give --from`
        : `schema/${newest} came with the first commit: there is no release before it; give --from`
    )
  }
}
