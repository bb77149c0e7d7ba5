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

/**
 * The newest commit whose schema is this release's but for its newest file, which then is one real step; where no commit
 * has that (a file that is not released yet may have been changed since), the commit before, with the schema as it is.
 */
export const previousCommit = (release: Release, before: string): string => {
  if (!isThere(before)) {
    throw new NoRelease(
      git("rev-parse", "--is-shallow-repository") === "true"
        ? "this clone does not reach an earlier release: git fetch --deepen 100, or give --from"
        : "git has no earlier commit; give --from"
    )
  }
  const ours = new Map(release.files.map((file) => [file, git("hash-object", join(release.root, "schema", file))]))
  const isOneStepBehind = (commit: string): boolean => {
    const theirs = schemaAt(commit)
    return theirs.size === ours.size - 1 && Array.from(theirs).every(([file, blob]) => ours.get(file) === blob)
  }
  const candidates = [before, ...git("log", "--format=%P", before, "--", "schema").split(/\s+/)]
  return candidates.filter((commit) => commit !== "" && isThere(commit)).find(isOneStepBehind) ?? before
}

/** The commit before these files: the last one, or where nothing was changed since, the one before it. */
export const commitBefore = (): string => (git("status", "--porcelain", "--", ...parts) === "" ? "HEAD^" : "HEAD")

const isThere = (commit: string): boolean => {
  try {
    git("cat-file", "-e", `${commit}^{commit}`)
    return true
  } catch {
    return false
  }
}

/** The blob of each migration that a commit has. */
const schemaAt = (commit: string): ReadonlyMap<string, string> =>
  new Map(
    git("ls-tree", commit, "schema/")
      .split("\n")
      .flatMap((line): ReadonlyArray<[string, string]> => {
        const [, blob, file] = /^\d+ blob (\w+)\tschema\/(\d{4}_.*\.sql)$/.exec(line) ?? []
        return blob === undefined || file === undefined ? [] : [[file, blob]]
      })
  )
