/** `npm run kafka` is run by node alone, which finds fewer names in a CommonJS package than vitest does. */
import { assert, it } from "@effect/vitest"
import { execFile } from "node:child_process"
import { join } from "node:path"
import { pathToFileURL } from "node:url"
import { promisify } from "node:util"

const run = promisify(execFile)
const { href } = pathToFileURL(join(import.meta.dirname, "../../../tools/kafka/Broker.ts"))

it("what starts a broker is imported by node itself, without vitest", async () => {
  const script = `const { startBroker } = await import(${JSON.stringify(href)}); console.log(typeof startBroker)`

  const { stdout } = await run(process.execPath, ["--input-type=module", "--eval", script])

  assert.strictEqual(stdout.trim(), "function")
})
