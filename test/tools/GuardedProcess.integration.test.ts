/**
 * The promise of the guard: a server ends with whoever started it, also when nobody could say goodbye.
 */
import { spawn } from "node:child_process"
import { once } from "node:events"
import { existsSync, mkdtempSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { assert, describe, expect, it } from "vitest"
import { spawnGuarded } from "../../tools/GuardedProcess.ts"

const isAlive = (pid: number) => {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

const gone = (condition: () => boolean) => expect.poll(condition, { timeout: 15_000, interval: 20 }).toBe(false)

const newFolder = () => mkdtempSync(join(tmpdir(), "nexus-guard-"))

const sleeper = (folder: string) =>
  ({ command: "/bin/sleep", args: ["600"], log: join(folder, "log"), stopSignal: "TERM", removeAtEnd: folder }) as const

describe("a guarded process", () => {
  it("dies, and its folder goes, when the process that started it is killed", async () => {
    const folder = newFolder()
    const module = JSON.stringify(join(import.meta.dirname, "../../tools/GuardedProcess.ts"))
    const starter = `
      import { spawnGuarded } from ${module}
      const { pid } = await spawnGuarded(${JSON.stringify(sleeper(folder))})
      console.log(pid)
      setInterval(() => undefined, 1000)`
    const parent = spawn(process.execPath, ["--input-type=module-typescript", "--eval", starter], {
      stdio: ["ignore", "pipe", "inherit"]
    })
    const [line] = await once(parent.stdout, "data")
    const pid = Number(String(line))
    assert.isTrue(isAlive(pid))

    parent.kill("SIGKILL")

    await gone(() => isAlive(pid))
    await gone(() => existsSync(folder))
  })

  it("is gone, with its folder, when stop resolves", async () => {
    const folder = newFolder()
    const server = await spawnGuarded(sleeper(folder))

    await server.stop()

    assert.isFalse(isAlive(server.pid))
    assert.isFalse(existsSync(folder))
  })

  it("keeps its folder when it is killed by itself, so that it can be started again", async () => {
    const folder = newFolder()
    const server = await spawnGuarded(sleeper(folder))
    writeFileSync(join(folder, "data"), "kept")

    await server.kill9()

    assert.isTrue(server.hasExited())
    assert.isTrue(existsSync(join(folder, "data")))
    const again = await spawnGuarded(sleeper(folder))
    await again.stop()
    assert.isFalse(existsSync(folder))
  })

  it("is killed in the end when it does not listen to its stop signal", async () => {
    const folder = newFolder()
    const ready = join(folder, "ready")
    const script = `trap '' TERM; : > ${ready}; while :; do sleep 0.2; done`
    const server = await spawnGuarded({
      ...sleeper(folder),
      command: "/bin/sh",
      args: ["-c", script],
      graceSeconds: 1
    })
    await expect.poll(() => existsSync(ready), { timeout: 15_000, interval: 20 }).toBe(true)

    await server.stop()

    assert.isFalse(isAlive(server.pid))
  })
})
