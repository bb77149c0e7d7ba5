/** What README, CONTRIBUTING and docs/operations.md tell a reader to type, held to the program's own help and package.json. */
import { execFile } from "node:child_process"
import { existsSync } from "node:fs"
import { join } from "node:path"
import { promisify } from "node:util"
import { assert, describe, it, vi } from "vitest"
import manifest from "../../package.json" with { type: "json" }
import { isFlag, root, textOf } from "./deployments.ts"

// Half a dozen starts, on cores that other tests keep busy.
vi.setConfig({ testTimeout: 90_000 })

const documents = ["README.md", "CONTRIBUTING.md", "docs/operations.md"] as const

const linesOf = (document: string): ReadonlyArray<string> =>
  [...document.replaceAll("\\\n", " ").matchAll(/```\w*\n([\s\S]*?)```/g)].flatMap(([, block]) => block!.split("\n"))

const spansOf = (document: string): ReadonlyArray<string> =>
  [...document.replaceAll(/```[\s\S]*?```/g, "").matchAll(/(`+)([\s\S]+?)\1(?!`)/g)].map(([, , span]) =>
    span!.replaceAll(/\s+/g, " ")
  )

/** Lines of blocks, and what stands in backquotes; without the comments behind commands. */
const codeOf = (document: string): ReadonlyArray<string> =>
  [...linesOf(document), ...spansOf(document)].map((code) => code.replace(/(^| )# .*/, "").trim())

/** Of kafka-configs.sh, and of every command. */
const ofOthers = new Set(["--delete-config", "--help"])

const flagsOf = (text: string): ReadonlyArray<string> =>
  [...text.matchAll(/(?<= )--[a-z][a-z-]*/g)].map(([flag]) => flag)

/** As in `nexus parked retry --by ann`, whoever starts it: npm, a shell or a container. */
const spoken =
  /(?:^|&& )(?:[A-Z]\w*=\S* )*(?:nexus|npm run -s nexus --|docker run .* nexus-order-manager|.*&& npm run -s nexus --) ([a-z].*?)(?= &&|$)/

interface Spoken {
  readonly words: string
  readonly flags: ReadonlyArray<string>
  readonly code: string
}

const commandsOf = (path: string): ReadonlyArray<Spoken> =>
  codeOf(textOf(path)).flatMap((code) => {
    const [, said] = spoken.exec(code) ?? []
    if (said === undefined) return []
    const words = /^parked \w+|^[a-z-]+/.exec(said)![0]
    return [{ words, flags: flagsOf(said), code }]
  })

const run = promisify(execFile)
const helps = new Map<string, Promise<string>>()
const helpOf = (words: string): Promise<string> => {
  const known = helps.get(words)
  if (known !== undefined) return known
  const args = ["src/cli.ts", ...words.split(" ").filter((word) => word !== ""), "--help"]
  const help = run(process.execPath, args, { cwd: root, env: { NO_COLOR: "1" } }).then(({ stdout }) => stdout)
  helps.set(words, help)
  return help
}

describe("what a reader is told to type", () => {
  it.for(["README.md", "docs/operations.md"])("%s names commands and options that the program has", async (path) => {
    const commands = commandsOf(path)
    assert.isAbove(new Set(commands.map(({ words }) => words)).size, 8)

    // Started together: a start takes a second.
    await Promise.all(
      commands.map(async ({ code, flags, words }) => {
        const [name, act] = words.split(" ")
        assert.match(await helpOf(act === undefined ? "" : name!), new RegExp(`^  ${act ?? name} `, "m"), code)
        if (flags.length === 0) return
        const help = await helpOf(words)
        for (const flag of flags) assert.match(help, new RegExp(`^  ${flag}\\b`, "m"), code)
      })
    )
  })

  it.for(documents)("%s names options alone that a command has", (path) => {
    for (const code of spansOf(textOf(path))) {
      const [option] = /^--[a-z-]+/.exec(code) ?? []
      if (option !== undefined && !ofOthers.has(option)) assert.isTrue(isFlag(option), code)
    }
  })

  it.for(documents)("%s names scripts of package.json with options that they read", (path) => {
    const scripts: Readonly<Record<string, string>> = manifest.scripts
    for (const code of codeOf(textOf(path))) {
      const [, name, rest = ""] = /(?:^| )npm run (?:-s )?([a-z][\w:-]*)(.*)/.exec(code) ?? []
      if (name === undefined || name === "nexus") continue
      const script = scripts[name] ?? assert.fail(`${path}: there is no script ${name}`)
      const file = /\S+\.ts/.exec(script)?.[0]
      for (const flag of flagsOf(rest)) {
        assert.match(textOf(file!), new RegExp(`\\b${flag.slice(2)}"?: \\{`), `${path}: ${code}`)
      }
    }
  })

  it.for(documents)("%s names files to run that exist", (path) => {
    for (const [, file] of textOf(path).matchAll(/\bnode ((?:tools|bench|src)\/[\w/.-]+\.ts)/g)) {
      assert.isTrue(existsSync(join(root, file!)), file)
    }
  })
})
