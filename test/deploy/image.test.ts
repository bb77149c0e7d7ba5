/** The Dockerfile: pinned, without secrets and shells, and of one mind with package.json and the program. */
import { Result } from "effect"
import { readdirSync, statSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "vitest"
import { isSent, lastOf, stagesOf } from "../../tools/image/Dockerfile.ts"
import { configured, image, imageEnvironment, isCommand, root, stages, textOf } from "./deployments.ts"

const packages = JSON.parse(textOf("package.json")) as { readonly dependencies: Readonly<Record<string, string>> }
const ignore = textOf(".dockerignore")

describe("the image", () => {
  it("has in every stage the Node that package.json names, slim and by its full version", () => {
    assert.deepStrictEqual(
      stages.map(({ base }) => base),
      stages.map(() => `node:${packages.dependencies.node}-bookworm-slim`)
    )
    assert.isAtLeast(stages.length, 2)
  })

  it("is node itself, as an ordinary user, with serve as what it does unless told", () => {
    assert.deepStrictEqual(lastOf(image, "ENTRYPOINT").command, ["node", "src/cli.ts"])
    assert.deepStrictEqual(lastOf(image, "CMD").command, ["serve"])
    assert.isTrue(isCommand(lastOf(image, "CMD").command[0]!))
    assert.match(lastOf(image, "USER").user, /^[1-9]\d*:[1-9]\d*$/)
    const order = image.instructions.map(({ is }) => is)
    // Copied by root, so that the user who runs it can change nothing.
    assert.isAbove(order.lastIndexOf("USER"), order.lastIndexOf("COPY"))
  })

  it("checks its health without a shell, by a file that it has", () => {
    const { command } = lastOf(image, "HEALTHCHECK")
    const copied = image.instructions.flatMap((one) => (one.is === "COPY" && one.from === null ? one.sources : []))

    assert.strictEqual(command[0], "node")
    assert.include(copied, command[1])
  })

  it("exposes the port of config.yaml", () => {
    const { app } = Result.getOrThrow(configured({}))

    assert.strictEqual(lastOf(image, "EXPOSE").port, app.port)
  })

  it("is refused as docker run starts it without a word on the open port and the parts, and all is told at once", () => {
    const made = configured({ ...imageEnvironment, BINANCE_TESTNET_API_KEY: "k", BINANCE_TESTNET_API_SECRET: "s" })

    assert.isTrue(Result.isFailure(made))
    const told = Result.isFailure(made) ? made.failure.faults.map(({ path }) => path) : []
    assert.deepStrictEqual([...told].sort(), ["app.host", "database.mode", "kafka.mode"])
  })

  it("starts with the variables that the README names for docker run", () => {
    const section = textOf("README.md")
      .split("\n## ")
      .find((one) => one.startsWith("Deploy"))
    const run = /docker run [\s\S]*?nexus-order-manager\n```/.exec(section ?? "")?.[0] ?? ""
    const env = Object.fromEntries(
      [...run.matchAll(/-e (\w+)="([^"]*)"/g)].map(([, name = "", value = ""]) => [
        name,
        value.replace(/^\$\{\w+\}$/, "given")
      ])
    )
    const made = configured({ ...imageEnvironment, ...env })

    assert.include(section, "docker build -t nexus-order-manager .")
    assert.includeMembers(Object.keys(env), ["BINANCE_TESTNET_API_KEY", "BINANCE_TESTNET_API_SECRET"])
    assert.isTrue(Result.isSuccess(made), Result.isFailure(made) ? made.failure.message : "")
    assert.strictEqual(Result.getOrThrow(made).parts.exchange, "TESTNET")
  })
})

describe("what is sent to the build", () => {
  it("is what the Dockerfile copies, and nothing else of the repository", () => {
    const copied = stages.flatMap(({ instructions }) =>
      instructions.flatMap((one) => (one.is === "COPY" && one.from === null ? one.sources : []))
    )
    const top = readdirSync(root).filter((name) => isSent(ignore, name) && name !== "tools")

    for (const path of copied) assert.isTrue(isSent(ignore, path), path)
    assert.deepStrictEqual(top.sort(), [...new Set(copied.filter((path) => !path.startsWith("tools/")))].sort())
    const tools = readdirSync(join(root, "tools")).map((name) => `tools/${name}`)
    assert.deepStrictEqual(
      tools.filter((path) => isSent(ignore, path)),
      ["tools/healthy.ts"]
    )
    assert.isTrue(copied.every((path) => statSync(join(root, path)).size > 0))
  })

  it.for([".env", ".git/config", ".nexus/testnet/PG_VERSION", "nexus.pem", "node_modules/effect/package.json"])(
    "is never %s",
    (path) => {
      assert.isFalse(isSent(ignore, path))
    }
  )
})

it("an instruction that nobody here understands is a fault and not skipped", () => {
  assert.throws(() => stagesOf('FROM a\nSHELL ["/bin/bash"]'), /what nobody here understands: SHELL/)
})
