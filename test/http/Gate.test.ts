import { assert, describe, it } from "@effect/vitest"
import { IncomingMessage } from "node:http"
import { Socket } from "node:net"
import { makeGate, refuseBody } from "../../src/http/Gate.ts"

const request = (headers: Readonly<Record<string, string>>, url = "/health") => {
  const message = new IncomingMessage(new Socket())
  message.url = url
  Object.assign(message.headers, headers)
  return message
}

const statusOf = (host: string, headers: Readonly<Record<string, string>>) =>
  makeGate(host)(request(headers))?.status ?? 200

describe("Gate", () => {
  it.each([
    ["localhost:8080", 200],
    ["LOCALHOST", 200],
    ["127.0.0.1:8080", 200],
    ["[::1]:8080", 200],
    ["evil.example", 403],
    ["evil.example:8080", 403],
    ["localhost.evil.example", 403],
    ["", 403]
  ])("on loopback answers the host %s with %i, so that no foreign name can be pointed at it", (host, status) => {
    assert.strictEqual(statusOf("127.0.0.1", { host }), status)
  })

  it("does not ask an open host for its name", () => {
    assert.strictEqual(statusOf("0.0.0.0", { host: "orders.example" }), 200)
  })

  it.each([
    ["http://localhost:8080", 200],
    ["http://localhost:8081", 403],
    ["http://evil.example", 403],
    ["null", 403]
  ])("answers a page of %s with %i", (origin, status) => {
    assert.strictEqual(statusOf("127.0.0.1", { host: "localhost:8080", origin }), status)
    assert.strictEqual(statusOf("0.0.0.0", { host: "localhost:8080", origin }), status)
  })

  it.each([
    [{ "content-type": "application/json" }, 200],
    [{ "content-type": "Application/JSON; charset=UTF-8" }, 200],
    [{ "content-type": `application/json;charset="utf-8"` }, 200],
    [{ "content-type": "application/json; charset=latin1" }, 415],
    [{ "content-type": "application/jsonp" }, 415],
    [{ "content-type": "text/plain" }, 415],
    [{}, 415],
    [{ "content-type": "application/json", "content-encoding": "gzip" }, 415],
    [{ "content-type": "application/json", "content-length": "1025" }, 413]
  ])("answers a body of %j with %i", (headers, status) => {
    assert.strictEqual(refuseBody(request(headers), 1_024)?.status ?? 200, status)
  })
})
