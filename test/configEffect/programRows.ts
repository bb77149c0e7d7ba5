/** The keys that only a whole program shows: where it listens, what is embedded, what HTTP allows, what is logged. */
import { existsSync, readdirSync, readFileSync, readlinkSync } from "node:fs"
import { connect } from "node:net"
import { assert } from "vitest"
import { becomes, ends, market, place } from "../cli/orders.ts"
import { kill, newFolder, run, serve, until } from "../cli/Program.ts"
import { ask, embedded, narrow, newDatabase } from "./programs.ts"
import { row, type Rows } from "./Row.ts"

/** The words of a start that is refused under these settings; it must not have begun. */
const refusal = async (env: Readonly<Record<string, string>>): Promise<string> => {
  const { code, err } = await run(["serve"], newFolder(), env)
  assert.strictEqual(code, 1, err)
  return err
}

const production = {
  BINANCE_TESTNET_API_KEY: "k",
  BINANCE_TESTNET_API_SECRET: "s",
  NEXUS_BINANCE_TESTNET_BASE_URL: "https://api.binance.com",
  NEXUS_BINANCE_TESTNET_WS_API_URL: "wss://ws-api.binance.com/ws-api/v3",
  // Another fault, so that nothing is spoken to whatever the keys allow.
  NEXUS_LOGGING_LEVEL: "loud"
}
const confirmed = { NEXUS_BINANCE_PRODUCTION_CONFIRMED: "I trade real money" }
const allowed = { NEXUS_BINANCE_ALLOW_PRODUCTION: "true" }

const symbolOf = async (url: string) =>
  (await (await fetch(`${url}/api/v1/symbols/BTCUSDT`)).json()) as {
    readonly bid: number
  }

/** Asks the simulator inside a program: of the ports that the program listens on, the one that is not its API. */
const simulatorOf = async (pid: number, question: string): Promise<Response> => {
  const answers = await Promise.all(
    listeningPorts(pid).map((port) => fetch(`http://127.0.0.1:${port}/api/v3/${question}`).catch(() => null))
  )
  const found = answers.find((answer) => answer?.status === 200)
  if (found === undefined || found === null) throw new Error(`no simulator answers in process ${pid}`)
  return found
}

const listeningPorts = (pid: number): ReadonlyArray<number> => {
  const inodes = new Set(
    readdirSync(`/proc/${pid}/fd`).map((fd) => /socket:\[(\d+)\]/.exec(linkOf(`/proc/${pid}/fd/${fd}`))?.[1])
  )
  return readFileSync("/proc/net/tcp", "utf8")
    .split("\n")
    .map((line) => line.trim().split(/\s+/))
    .filter(([, , , state, , , , , , inode]) => state === "0A" && inodes.has(inode))
    .map(([, address = ""]) => Number.parseInt(address.split(":")[1] ?? "", 16))
}

const linkOf = (path: string): string => {
  try {
    return readlinkSync(path)
  } catch {
    return ""
  }
}

/** What the server says, and how long it keeps a connection on which only this was sent. */
const kept = (url: string, bytes: string): Promise<{ readonly said: string; readonly millis: number }> =>
  new Promise((resolve) => {
    const begun = performance.now()
    let said = ""
    const socket = connect(Number(new URL(url).port), "127.0.0.1", () => socket.write(bytes))
    socket.on("data", (piece: Buffer) => (said += piece.toString("utf8")))
    socket.on("error", () => undefined)
    socket.on("close", () => resolve({ said, millis: performance.now() - begun }))
  })

export const programRows: Rows = {
  "app.environment": row("production refuses what is embedded", async () => {
    assert.match(await refusal({ NEXUS_APP_ENVIRONMENT: "production" }), /database\.mode must be embedded by name/)
  }),
  "app.host": row("the address of the banner answers", async () => {
    const { program } = await embedded()
    assert.strictEqual(new URL(program.url).hostname, "127.0.0.2")
    assert.strictEqual((await fetch(`${program.url}/health`)).status, 200)
  }),
  "app.port": row("the address of the banner answers", async () => {
    const { ports, program } = await embedded()
    assert.strictEqual(new URL(program.url).port, `${ports.app}`)
  }),
  "app.data_dir": row("the folder of the embedded parts", async () => {
    const { dataDir, folder } = await embedded()
    assert.isTrue(existsSync(`${dataDir}/postgres/data/PG_VERSION`))
    assert.isFalse(existsSync(`${folder}/.nexus`))
  }),
  "app.allow_open_host": row("the banner's warning, and a host that is open", async () => {
    const { program } = await embedded()
    assert.include(program.out, "whoever reaches this address can trade")
    assert.match(await refusal({ NEXUS_APP_HOST: "0.0.0.0" }), /app\.allow_open_host true/)
  }),
  "app.roles": row("the loops that run, and the roles that the readiness misses", async () => {
    // An api process needs no Kafka to start.
    const program = await serve(newFolder(), {
      DATABASE_URL: await newDatabase(),
      KAFKA_BROKERS: "127.0.0.1:1",
      NEXUS_BINANCE_MODE: "server",
      NEXUS_BINANCE_TESTNET_BASE_URL: "http://127.0.0.1:1",
      NEXUS_APP_ROLES: "api"
    })
    const metrics = await (await fetch(`${program.url}/metrics`)).text()
    assert.notMatch(metrics, /loop="(executor|reconciler|relay)/)
    assert.include(await (await fetch(`${program.url}/ready`)).text(), '"part":"executor"')
  }),
  "app.name": row("the names of connections in pg_stat_activity", async () => {
    const { database } = await narrow()
    const names = await ask(
      database,
      `select distinct application_name from pg_stat_activity
        where datname = current_database() and pid <> pg_backend_pid() order by 1`
    )
    assert.deepStrictEqual(names, ["another-name", "another-name side"])
  }),
  "database.mode": row("the banner, although a DATABASE_URL is given", async () => {
    assert.match((await embedded()).program.out, /PostgreSQL +embedded/)
  }),
  "database.embedded_port": row("where the embedded PostgreSQL listens", async () => {
    const { dataDir, ports } = await embedded()
    const lines = readFileSync(`${dataDir}/postgres/data/postmaster.pid`, "utf8").split("\n")
    assert.strictEqual(lines[3], `${ports.database}`)
  }),
  "kafka.mode": row("the banner, although KAFKA_BROKERS is given", async () => {
    assert.match((await embedded()).program.out, /bus +embedded/)
  }),
  "binance.mode": row("the banner, although keys are given", async () => {
    assert.match((await embedded()).program.out, /exchange +SIMULATOR \(embedded\)/)
  }),
  "binance.allow_production": row("a production host is refused without it", async () => {
    assert.include(await refusal({ ...production, ...confirmed }), "is a production host")
    assert.notInclude(await refusal({ ...production, ...confirmed, ...allowed }), "is a production host")
  }),
  "binance.production_confirmed": row("a production host is refused without these words", async () => {
    assert.include(await refusal({ ...production, ...allowed }), "is a production host")
    assert.include(
      await refusal({ ...production, ...allowed, NEXUS_BINANCE_PRODUCTION_CONFIRMED: "yes" }),
      "is a production host"
    )
  }),
  "binance.testnet.enabled": row("an exchange at an address is refused", async () => {
    const keys = { BINANCE_TESTNET_API_KEY: "k", BINANCE_TESTNET_API_SECRET: "s" }
    assert.match(
      await refusal({ ...keys, NEXUS_BINANCE_TESTNET_ENABLED: "false" }),
      /binance\.testnet\.enabled must be true/
    )
  }),
  "simulator.seed": row("another seed has another book", async () => {
    const [one, other] = await Promise.all([embedded(), narrow()])
    const bids = async (pid: number) => {
      const text = await (await simulatorOf(pid, "depth?symbol=BTCUSDT")).text()
      return text.slice(text.indexOf('"bids"'))
    }
    assert.notStrictEqual(await bids(one.program.pid), await bids(other.program.pid))
  }),
  "simulator.tick_ms": row("a market that stands still", async () => {
    const { url } = (await embedded()).program
    const first = await symbolOf(url)
    const begun = performance.now()
    // Answers are a second old at most, and the default moves four times a second.
    await until("a later answer", async () => {
      assert.strictEqual((await symbolOf(url)).bid, first.bid)
      return performance.now() - begun > 2_500
    })
  }),
  "simulator.latency_ms": row("the time of a whole order", async () => {
    const { url } = (await embedded()).program
    await ends(url, (await place(url)).id)
    const begun = performance.now()
    await ends(url, (await place(url)).id)
    // Half of the 400 lies on the way there; the news of the stream may overtake the answer on its way back.
    assert.isAtLeast(performance.now() - begun, 200)
  }),
  "simulator.limits": row("the exchange's filter on open orders", async () => {
    const maximum = async (pid: number) => {
      const text = await (await simulatorOf(pid, "exchangeInfo?symbol=BTCUSDT")).text()
      return /"maxNumOrders":(\d+)/.exec(text)?.[1]
    }
    assert.strictEqual(await maximum((await narrow()).program.pid), "200")
    assert.strictEqual(await maximum((await embedded()).program.pid), "100000")
  }),
  "http.max_body_bytes": row("a larger body is 413", async () => {
    const { url } = (await narrow()).program
    const answer = await fetch(`${url}/api/v1/orders`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ ...market, id: "x".repeat(1_100) })
    })
    assert.strictEqual(answer.status, 413)
  }),
  "http.headers_timeout_ms": row("how long unfinished headers are waited for", async () => {
    const { millis, said } = await kept((await narrow()).program.url, "GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n")
    assert.match(said, /^HTTP\/1\.1 408/)
    assert.isBelow(millis, 4_000)
  }),
  "http.request_timeout_ms": row("how long an unfinished body is waited for", async () => {
    const head = "POST /api/v1/orders HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    const { millis } = await kept((await narrow()).program.url, `${head}Content-Length: 100\r\n\r\n{`)
    assert.isAtLeast(millis, 1_400)
    assert.isBelow(millis, 8_000)
  }),
  "http.keep_alive_timeout_ms": row("how long a connection is kept after its answer", async () => {
    const { millis, said } = await kept((await narrow()).program.url, "GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    assert.match(said, /^HTTP\/1\.1 200/)
    assert.isBelow(millis, 4_000)
  }),
  "http.max_connections": row("one connection too many is closed at once", async () => {
    const port = Number(new URL((await narrow()).program.url).port)
    let closed = 0
    const sockets = Array.from({ length: 40 }, () => {
      const socket = connect(port, "127.0.0.1")
      socket.on("error", () => undefined)
      socket.on("close", () => (closed += 1))
      return socket
    })
    await until("those beyond the limit are closed", () => closed >= 20)
    for (const socket of sockets) socket.destroy()
    await until("all are gone", () => closed === 40)
  }),
  "logging.level": row("no line below it", async () => {
    const { dataDir, program } = await embedded()
    await killPostgres(dataDir)
    await until("the warning", () => program.err.includes("the embedded PostgreSQL has ended"))
    await until("it runs again", async () => (await fetch(`${program.url}/ready`)).status === 200)
    await becomes(program.url, (await place(program.url)).id, ({ status }) => status === "COMPLETED")
    assert.notInclude(program.err, "the embedded PostgreSQL runs again", "that is said at info")
  }),
  "logging.format": row("lines for eyes", async () => {
    const { program } = await embedded()
    assert.match(program.err, /^\d\d:\d\d:\d\d\.\d{3} WARN {1,2}the embedded PostgreSQL has ended/m)
  }),
  "audit.anchor_file": row("where the heads of the log are written down", async () => {
    const { anchor } = await narrow()

    await until("the anchor is there", () => existsSync(anchor))

    const { heads } = JSON.parse(readFileSync(anchor, "utf8")) as { readonly heads: ReadonlyArray<unknown> }
    assert.lengthOf(heads, 4)
  }),
  "audit.anchor_interval_ms": row("how soon they are written down again", async () => {
    const { anchor } = await narrow()
    await until("the anchor is there", () => existsSync(anchor))
    const momentOf = () => (JSON.parse(readFileSync(anchor, "utf8")) as { readonly at: number }).at
    const moments = new Set<number>()
    const begun = Date.now()

    await until("it was written a few times", () => moments.add(momentOf()).size > 4)

    // Every five seconds by default.
    assert.isBelow(Date.now() - begun, 15_000)
  }),
  // Last of the program's rows: it ends the program.
  "http.drain_ms": row("how long it answers after SIGTERM", async () => {
    const { program } = await narrow()
    const begun = performance.now()
    kill(program.pid, "SIGTERM")
    await until("it is not ready", async () => (await fetch(`${program.url}/ready`)).status === 503)
    assert.strictEqual(await program.exited, 0, program.err)
    const took = performance.now() - begun
    assert.isAtLeast(took, 1_200)
    assert.isBelow(took, 4_900)
  })
}

const killPostgres = async (dataDir: string): Promise<void> => {
  kill(Number(readFileSync(`${dataDir}/postgres/data/postmaster.pid`, "utf8").split("\n")[0]), "SIGKILL")
}
