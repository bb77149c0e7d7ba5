/** The limit of Node itself: node:http, the body through JSON.parse, one answer as long as an order's. */
import { createServer } from "node:http"

const answer = JSON.stringify({
  id: "bench-000000001",
  symbol: "BTCUSDT",
  side: "BUY",
  type: "LIMIT",
  quantity: 0.015,
  price: 61_234.5,
  status: "PENDING",
  created_at: "2026-01-01T00:00:00.000Z",
  updated_at: "2026-01-01T00:00:00.000Z",
  client_order_id: "nxabcdefghijklmnopqrstuvwxyz234567",
  filled_quantity: 0,
  fills: []
})
const headers = { "Content-Type": "application/json", "Content-Length": String(answer.length) }

const server = createServer((request, response) => {
  const pieces: Array<Buffer> = []
  request.on("data", (piece: Buffer) => pieces.push(piece))
  request.on("end", () => {
    const body: unknown = JSON.parse(Buffer.concat(pieces).toString())
    response.writeHead(body === null ? 400 : 202, headers).end(answer)
  })
})
server.listen(0, "127.0.0.1", () => {
  const address = server.address()
  console.log(typeof address === "object" ? address?.port : 0)
})
