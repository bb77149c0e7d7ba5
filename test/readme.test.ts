/** The example in the README is a test that runs: its text there and the file of that test are the same. */
import { assert, it } from "@effect/vitest"
import { readFileSync } from "node:fs"

const textOf = (path: string) => readFileSync(new URL(path, import.meta.url), "utf8")

it("the example of the README is, to the letter, the test that runs", () => {
  const section = textOf("../README.md")
    .split("\n## ")
    .find((one) => one.startsWith("Test your own code against it"))
  const example = /```ts\n([\s\S]*?)```/.exec(section ?? "")?.[1]

  assert.strictEqual(example, textOf("readme.example.integration.test.ts"))
})
