/**
 * A container's health check, for images without a shell or curl: exit code 0 when the address answers with success.
 *
 *     node tools/healthy.ts            http://127.0.0.1:8080/health, or the port that NEXUS_APP_PORT names
 *     node tools/healthy.ts <url>      anything else on this machine, such as /ready or a simulator
 */
import { get } from "node:http"

/** Below the time-out of the check that calls it. */
const patienceMillis = 3_000

const url = process.argv[2] ?? `http://127.0.0.1:${process.env.NEXUS_APP_PORT || "8080"}/health`

const fail = (why: string) => {
  process.stderr.write(`${url}: ${why}\n`)
  process.exitCode = 1
}

const request = get(url, { timeout: patienceMillis, agent: false }, (response) => {
  response.resume()
  if (response.statusCode !== 200) fail(`status ${response.statusCode}`)
})
request.on("timeout", () => request.destroy(new Error(`no answer within ${patienceMillis} ms`)))
request.on("error", ({ message }) => fail(message))
