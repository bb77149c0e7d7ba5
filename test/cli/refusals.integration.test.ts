/** What a person can mend is one sentence on standard error that says how, an exit code, and no stack trace. */
import { existsSync, writeFileSync } from "node:fs"
import { createServer } from "node:net"
import { join } from "node:path"
import { afterEach, assert, describe, it } from "vitest"
import { describeIf } from "../harness/describeIf.ts"
import { newFolder, processesOf, type Program, removeAll, run, serve } from "./Program.ts"
import { nobody, readableTree, treeWithoutBinaries } from "./trees.ts"

afterEach(removeAll)

const asRoot = process.getuid?.() === 0

/** The program's own words, where it ended as it should: code 1, one line, nothing else. */
const sentenceOf = ({ code, err, out }: Program): string => {
  assert.strictEqual(code, 1, out + err)
  assert.strictEqual(out, "")
  assert.match(err, /^nexus: .+\n$/, "one line")
  assert.notMatch(err, /\bat .*:\d+:\d+|Error:/, "no stack trace")
  return err.slice("nexus: ".length, -1)
}

const listening = (): Promise<{ readonly port: number; readonly close: () => void }> =>
  new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const address = server.address()
      resolve({ port: typeof address === "object" ? (address?.port ?? 0) : 0, close: () => server.close() })
    })
  })

describe("a start on embedded parts is refused", () => {
  it("when its port is in use, and leaves no PostgreSQL behind", async () => {
    const folder = newFolder()
    const { close, port } = await listening()

    const program = await run(["serve"], folder, { NEXUS_APP_PORT: `${port}` })
    close()

    assert.match(sentenceOf(program), new RegExp(`^port ${port} on 127.0.0.1 is in use: .*NEXUS_APP_PORT`))
    assert.deepStrictEqual(processesOf(folder), [])
  })

  it("on a data folder that another program uses, which goes on", async () => {
    const folder = newFolder()
    const first = await serve(folder)

    const second = await run(["serve"], folder)

    assert.match(
      sentenceOf(second),
      new RegExp(`^Another Nexus \\(process ${first.pid}\\) runs on the data folder .*NEXUS_APP_DATA_DIR`)
    )
    assert.strictEqual((await fetch(`${first.url}/ready`)).status, 200)
  })

  it("on a data folder that is not ours, which stays as it was", async () => {
    const folder = newFolder()
    writeFileSync(join(folder, "thesis.doc"), "")

    const program = await run(["serve"], folder, { NEXUS_APP_DATA_DIR: folder })

    assert.match(sentenceOf(program), /is not ours \(it holds thesis\.doc\): give an empty or new folder/)
    assert.isFalse(existsSync(join(folder, "simulator")))
  })

  it("on a data folder that is a file", async () => {
    const folder = newFolder()
    writeFileSync(join(folder, "file"), "")

    const program = await run(["serve"], folder, { NEXUS_APP_DATA_DIR: join(folder, "file/data") })

    assert.match(sentenceOf(program), /cannot be used \(ENOTDIR\): give a folder that this user may write/)
  })

  it("without PostgreSQL's binaries, which an installation without optional dependencies lacks", async () => {
    const folder = newFolder()
    const command = [...treeWithoutBinaries(folder), "serve"]

    const program = await run(["serve"], folder, {}, { command })

    assert.match(
      sentenceOf(program),
      /^PostgreSQL's binaries for .* are not installed: run "npm ci" with optional dependencies, or set DATABASE_URL/
    )
  })
})

describeIf(asRoot ? null : "only root can start it as another user")("a start by an ordinary user is refused", () => {
  it("on a data folder that an ordinary user may not write", async () => {
    const folder = newFolder()
    // What this user can read of the program: the rest of the machine may be closed to it.
    const command = [...readableTree(folder), "serve"]

    const program = await run(
      ["serve"],
      folder,
      { NEXUS_APP_DATA_DIR: join(folder, "data") },
      {
        user: nobody,
        command
      }
    )

    assert.match(sentenceOf(program), /cannot be used \(EACCES\): give a folder that this user may write/)
  })
})

describe("a configuration is refused", () => {
  it("with all its faults at once, each with its path, and no secret among them", async () => {
    const folder = newFolder()

    const { code, err, out } = await run(["serve"], folder, {
      NEXUS_APP_PORT: "eighty",
      NEXUS_LOGGING_LEVEL: "loud",
      NEXUS_APP_COLOUR: "blue",
      BINANCE_TESTNET_API_KEY: "key-that-nobody-may-see"
    })

    assert.strictEqual(code, 1)
    assert.strictEqual(out, "")
    for (const path of ["app.port", "logging.level", "NEXUS_APP_COLOUR", "binance.testnet.api_secret"]) {
      assert.include(err, path)
    }
    assert.notInclude(err, "key-that-nobody-may-see")
    assert.notMatch(err, /\bat .*:\d+:\d+/)
    assert.isFalse(existsSync(join(folder, ".nexus")))
  })

  it.for([
    ["an open host without a word that it is meant", { NEXUS_APP_HOST: "0.0.0.0" }, /^app\.host must be on loopback/],
    [
      "roles that lack a Kafka between them",
      { NEXUS_APP_ROLES: "api,relay" },
      /^app\.roles must have executor, reports, reconciler too, or KAFKA_BROKERS/
    ],
    [
      "a production host of the exchange",
      {
        BINANCE_TESTNET_API_KEY: "k",
        BINANCE_TESTNET_API_SECRET: "s",
        NEXUS_BINANCE_TESTNET_BASE_URL: "https://api.binance.com",
        NEXUS_BINANCE_TESTNET_WS_API_URL: "wss://ws-api.binance.com/ws-api/v3"
      },
      /^binance\.testnet\.base_url is a production host/
    ]
  ] as const)("for %s, in a sentence", async ([, env, says]) => {
    const program = await run(["serve"], newFolder(), env)

    assert.strictEqual(program.code, 1)
    assert.match(program.err.replace(/^nexus: /, ""), says)
    assert.notMatch(program.err, /\bat .*:\d+:\d+/)
  })
})

describe("a command line is refused", () => {
  it("without a Kafka that topics could be made on", async () => {
    const program = await run(["topics"], newFolder())

    assert.match(sentenceOf(program), /^no Kafka is configured: set KAFKA_BROKERS/)
  })

  it("without the account's keys for a simulator alone", async () => {
    const program = await run(["simulate-exchange", "--port", "0"], newFolder())

    assert.strictEqual(program.code, 1)
    assert.match(program.err, /^nexus: BINANCE_TESTNET_API_KEY must be .+\nBINANCE_TESTNET_API_SECRET must be .+\n$/)
  })

  it("with a command that there is not", async () => {
    const { code, err, out } = await run(["trade"], newFolder())

    assert.strictEqual(code, 1)
    assert.include(out + err, "trade")
  })
})
