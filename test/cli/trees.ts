/** Copies of the program for starts that must not see all of ours: by another user, or with packages missing. */
import { spawnSync } from "node:child_process"
import { cpSync, mkdirSync, readFileSync, symlinkSync } from "node:fs"
import { join } from "node:path"
import { root } from "./Program.ts"

/** An ordinary user that every Linux has. */
export const nobody = { uid: 65_534, gid: 65_534 }

/** `node` and the entry of the program, as a command. */
export type Command = readonly [node: string, entry: string]

const copyOfTree = (folder: string): string => {
  const tree = join(folder, "tree")
  mkdirSync(tree)
  for (const part of ["src", "schema", "config.yaml", "package.json"]) {
    cpSync(join(root, part), join(tree, part), { recursive: true })
  }
  mkdirSync(join(tree, "node_modules"))
  return tree
}

/** The packages that the program needs, with or without the optional ones. */
const packages = (kind: "dependencies" | "optionalDependencies"): ReadonlyArray<string> =>
  Object.keys((JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as Record<string, object>)[kind] ?? {})

/** A tree that `nobody` can read, with all packages. Ours are linked where that user can reach them, else copied. */
export const readableTree = (folder: string): Command => {
  const tree = copyOfTree(folder)
  const modules = join(root, "node_modules")
  const reachable = spawnSync(process.execPath, ["--version"], { cwd: "/", ...nobody }).status === 0
  if (reachable && spawnSync("/bin/ls", [join(modules, "effect")], { cwd: "/", ...nobody }).status === 0) {
    spawnSync("/bin/rmdir", [join(tree, "node_modules")])
    symlinkSync(modules, join(tree, "node_modules"))
    return [process.execPath, join(tree, "src/cli.ts")]
  }
  cpSync(modules, join(tree, "node_modules"), { recursive: true, verbatimSymlinks: true })
  spawnSync("chmod", ["-R", "a+rX", tree])
  return [join(tree, "node_modules/node/bin/node"), join(tree, "src/cli.ts")]
}

/** What `npm ci --omit=optional` leaves. */
export const treeWithoutBinaries = (folder: string): Command => {
  const tree = copyOfTree(folder)
  for (const name of packages("dependencies")) {
    mkdirSync(join(tree, "node_modules", name, ".."), { recursive: true })
    symlinkSync(join(root, "node_modules", name), join(tree, "node_modules", name))
  }
  return [process.execPath, join(tree, "src/cli.ts")]
}
