/**
 * A TCP port of loopback that nobody listens on now.
 *
 * Below 32768 on purpose: in the ephemeral range the closed connection of another process can block a listen.
 * Between the answer and its use somebody else may take it, so callers that start servers try again.
 */
import { createServer } from "node:net"

const lowest = 20_000
const highest = 32_000
const attempts = 100

const isFree = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const server = createServer()
    server.once("error", () => resolve(false))
    server.listen({ port, host: "127.0.0.1", exclusive: true }, () => server.close(() => resolve(true)))
  })

export const freePort = async (): Promise<number> => {
  for (let attempt = 0; attempt < attempts; attempt++) {
    const port = lowest + Math.floor(Math.random() * (highest - lowest))
    if (await isFree(port)) return port
  }
  throw new Error(`no free port of 127.0.0.1 between ${lowest} and ${highest} in ${attempts} tries`)
}
