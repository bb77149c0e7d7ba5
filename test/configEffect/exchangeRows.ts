/** The keys of the exchange at an address: what is sent to it, where, and how long its answer is waited for. */
import { createHmac, generateKeyPairSync, verify } from "node:crypto"
import { writeFileSync } from "node:fs"
import { assert } from "vitest"
import { simulatorKeys } from "../cli/exchange.ts"
import { ends, place } from "../cli/orders.ts"
import { newFolder, serve, until } from "../cli/Program.ts"
import { newDatabase, trading } from "./programs.ts"
import { row, type Rows } from "./Row.ts"

/** What was sent for an order that has ended. */
const submission = async () => {
  const { program, rest } = await trading()
  const order = await ends(program.url, (await place(program.url)).id)
  assert.strictEqual(order.status, "COMPLETED")
  const sent = rest.asked.find(({ method, target }) => method === "POST" && target.includes(order.client_order_id))
  assert.isDefined(sent)
  return { sent, query: new URLSearchParams(sent.target.split("?")[1]) }
}

/** The first signed request of a program whose key is in a file; that its exchange takes no such key does not matter. */
const signedByFile = async () => {
  const { rest } = await trading()
  const folder = newFolder()
  const { privateKey, publicKey } = generateKeyPairSync("ed25519")
  writeFileSync(`${folder}/key.pem`, privateKey.export({ type: "pkcs8", format: "pem" }))
  const program = await serve(folder, {
    DATABASE_URL: await newDatabase(),
    BINANCE_TESTNET_API_KEY: "key-of-the-file",
    NEXUS_BINANCE_TESTNET_PRIVATE_KEY_FILE: "key.pem",
    NEXUS_HTTP_DRAIN_MS: "0",
    NEXUS_BINANCE_TESTNET_BASE_URL: rest.address
  })
  const find = () =>
    rest.asked.find(
      ({ headers, target }) => headers["x-mbx-apikey"] === "key-of-the-file" && target.includes("&signature=")
    )
  await until("a signed request", () => find() !== undefined)
  await program.end("SIGTERM")
  const sent = find()!
  return { publicKey, sent, query: new URLSearchParams(sent.target.split("?")[1]) }
}

export const exchangeRows: Rows = {
  "binance.testnet.base_url": row("where requests go", async () => {
    const { program, rest } = await trading()
    assert.include(program.out, `SIMULATOR at ${rest.address}`)
    await submission()
  }),
  "binance.testnet.ws_api_url": row("where the user stream is opened", async () => {
    const { sockets } = await trading()
    await until("the stream", () => sockets.sockets.includes("/ws-api/v3"))
    assert.deepStrictEqual(sockets.asked, [])
  }),
  "binance.stream_silence_ms": row("when a stream without a sign of life is opened anew", async () => {
    const { sockets } = await trading()
    await until("a second stream", () => sockets.sockets.length >= 2)
  }),
  "binance.testnet.api_key": row("the header of a signed request", async () => {
    const { sent } = await submission()
    assert.strictEqual(sent.headers["x-mbx-apikey"], simulatorKeys.BINANCE_TESTNET_API_KEY)
  }),
  "binance.testnet.api_secret": row("the signature of a request", async () => {
    const { query, sent } = await submission()
    const payload = sent.target.split("?")[1]!.replace(/&signature=.*/, "")
    const secret = simulatorKeys.BINANCE_TESTNET_API_SECRET
    assert.strictEqual(query.get("signature"), createHmac("sha256", secret).update(payload).digest("hex"))
  }),
  "binance.testnet.private_key_file": row("whose signature a request has", async () => {
    const { publicKey, query, sent } = await signedByFile()
    const payload = sent.target.split("?")[1]!.replace(/&signature=.*/, "")
    const signature = Buffer.from(query.get("signature") ?? "", "base64")
    assert.isTrue(verify(null, Buffer.from(payload), publicKey, signature))
  }),
  "binance.testnet.order_transport": row("which way an order takes", async () => {
    const { rest, sockets } = await trading()
    const before = sockets.sockets.length
    const program = await serve(newFolder(), {
      DATABASE_URL: await newDatabase(),
      ...simulatorKeys,
      NEXUS_BINANCE_TESTNET_BASE_URL: rest.address,
      NEXUS_BINANCE_TESTNET_WS_API_URL: `${sockets.address.replace("http", "ws")}/ws-api/v3`,
      NEXUS_BINANCE_TESTNET_ORDER_TRANSPORT: "websocket",
      NEXUS_HTTP_DRAIN_MS: "0"
    })
    const order = await ends(program.url, (await place(program.url)).id)
    await program.end("SIGTERM")
    assert.strictEqual(order.status, "COMPLETED")
    assert.isFalse(rest.asked.some(({ method, target }) => method === "POST" && target.includes(order.client_order_id)))
    // One of the user stream, one of the orders.
    assert.isAtLeast(sockets.sockets.length - before, 2)
  }),
  "binance.testnet.recv_window_ms": row("the window that is sent", async () => {
    assert.strictEqual((await submission()).query.get("recvWindow"), "4321")
  }),
  "binance.testnet.timeout_ms": row("when an answer is no longer waited for", async () => {
    const { program, rest } = await trading()
    rest.swallow("POST", "/api/v3/order")
    await place(program.url)
    const left = () => rest.asked.find(({ leftAt, method }) => method === "POST" && leftAt !== null)
    await until("the client leaves", () => left() !== undefined)
    const { at, leftAt } = left()!
    assert.isAtLeast((leftAt ?? 0) - at, 850)
    assert.isBelow((leftAt ?? 0) - at, 5_000)
  })
}
