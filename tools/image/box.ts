/**
 * Runs a command as a container would, without an engine: a root of its own, a process namespace in which it is
 * process 1, an ordinary user, nothing of our environment, and, once built, a root that nobody can write to.
 *
 * Only for Linux and root. The programs and libraries of this machine are lent to the box (below /usr and so on), and
 * its Node is the one of package.json. It has this machine's network: whoever starts a server in it names loopback.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process"
import { existsSync, mkdirSync, readFileSync } from "node:fs"
import { join } from "node:path"

export interface Box {
  /** The folder that is `/` inside. */
  readonly root: string
  readonly env: Readonly<Record<string, string>>
  readonly workdir: string
  /** "uid:gid"; root when null. */
  readonly user: string | null
  readonly readOnly: boolean
}

const lent = ["usr", "bin", "sbin", "lib", "lib64", "etc", "dev"].filter((name) => existsSync(`/${name}`))
const nodeFolder = join(import.meta.dirname, "../../node_modules/node/bin")

// $1 root, $2 folder of node, $3 yes: read-only, $4 user, then the command. All mounts end with the namespace.
const enter = `
set -e
root=$1 node=$2 readonly=$3 user=$4
shift 4
mount --bind "$root" "$root"
for name in ${lent.join(" ")}; do mount --rbind "/$name" "$root/$name"; done
mount -t proc proc "$root/proc"
mount -t tmpfs tmpfs "$root/tmp"
mount --bind "$node" "$root/node"
[ "$readonly" = no ] || mount -o remount,bind,ro "$root"
exec chroot --userspec="$user" "$root" "$@"
`

/** Null where boxes can be had, else why not. */
export const noBox = (): string | null => {
  if (process.platform !== "linux") return "only Linux has namespaces"
  if (process.getuid?.() !== 0) return "only root can change roots and mount"
  const tried = spawnSync("unshare", ["--mount", "--pid", "--fork", "mount", "--bind", "/tmp", "/tmp"])
  return tried.status === 0 ? null : "this machine lets nobody make a mount namespace"
}

export const start = (box: Box, command: ReadonlyArray<string>): ChildProcess => {
  for (const name of [...lent, "proc", "tmp", "node", "root"]) mkdirSync(join(box.root, name), { recursive: true })
  const variables = Object.entries({ PATH: "/node:/usr/local/bin:/usr/bin:/bin:/usr/sbin", HOME: "/root", ...box.env })
  const inside = ["/usr/bin/env", "-i", "-C", box.workdir, ...variables.map(([name, value]) => `${name}=${value}`)]
  const settings = [box.root, nodeFolder, box.readOnly ? "yes" : "no", box.user ?? "0:0"]
  return spawn(
    "unshare",
    ["--mount", "--pid", "--fork", "sh", "-c", enter, "enter", ...settings, ...inside, ...command],
    { stdio: ["ignore", "pipe", "pipe"] }
  )
}

/** To its end; fails with all that it said when that is not 0. */
export const run = (box: Box, command: ReadonlyArray<string>): Promise<string> => {
  const child = start(box, command)
  let said = ""
  child.stdout?.on("data", (piece: Buffer) => (said += piece.toString("utf8")))
  child.stderr?.on("data", (piece: Buffer) => (said += piece.toString("utf8")))
  return new Promise((resolve, reject) => {
    child.once("error", reject)
    child.once("close", (code) => {
      if (code === 0) resolve(said)
      else reject(new Error(`${command.join(" ")} ended with ${code}:\n${said}`))
    })
  })
}

/** The process that is 1 inside, as this machine knows it; it is the only child of `unshare`. */
export const first = (child: ChildProcess): number => {
  const children = readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, "utf8").trim()
  return Number(children.split(" ")[0])
}

/** Process 1 takes all others of its namespace with it. `unshare` cannot: who changes his user is not told of its death. */
export const end = (child: ChildProcess): void => {
  if (child.exitCode !== null || child.signalCode !== null) return
  const pid = first(child)
  if (pid > 0) process.kill(pid, "SIGKILL")
}
