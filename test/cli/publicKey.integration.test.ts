/** `simulate-exchange --public-key`: clients that sign with a private key of their own. */
import { generateKeyPairSync, type KeyObject, sign } from "node:crypto"
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { afterEach, assert, describe, it } from "vitest"
import { signed, simulatorKeys, startSimulator } from "./exchange.ts"
import { newFolder, removeAll, run } from "./Program.ts"

afterEach(removeAll)

const accountSignedBy = (address: string, algorithm: string | null, key: KeyObject): Promise<Response> => {
  const query = `recvWindow=60000&timestamp=${Date.now()}`
  const signature = encodeURIComponent(sign(algorithm, Buffer.from(query), key).toString("base64"))
  return fetch(`${address}/api/v3/account?${query}&signature=${signature}`, {
    headers: { "X-MBX-APIKEY": simulatorKeys.BINANCE_TESTNET_API_KEY }
  })
}

describe("simulate-exchange --public-key", () => {
  it("takes signatures of the private keys whose public halves it was given, beside the secret's", async () => {
    const folder = newFolder()
    const keys = [
      { algorithm: null, ...generateKeyPairSync("ed25519") },
      { algorithm: "sha256", ...generateKeyPairSync("rsa", { modulusLength: 2_048 }) }
    ]
    const flags = keys.flatMap(({ publicKey }, n) => {
      const file = join(folder, `${n}.pem`)
      writeFileSync(file, publicKey.export({ type: "spki", format: "pem" }))
      return ["--public-key", file]
    })
    const { address } = await startSimulator(folder, ...flags)
    const stranger = generateKeyPairSync("ed25519").privateKey

    const known = await Promise.all(
      keys.map(({ algorithm, privateKey }) => accountSignedBy(address, algorithm, privateKey))
    )
    const bySecret = await signed(address, "GET", "account")
    const unknown = await accountSignedBy(address, null, stranger)

    assert.deepStrictEqual(
      [...known, bySecret].map(({ status }) => status),
      [200, 200, 200]
    )
    assert.strictEqual(unknown.status, 400)
  })

  it("starts on no file that holds no key, and says which flag is at fault", async () => {
    const folder = newFolder()
    const file = join(folder, "key.pem")
    writeFileSync(file, "no key\n")

    const noKey = await run(["simulate-exchange", "--port", "0", "--public-key", file], folder, simulatorKeys)
    const noFile = await run(["simulate-exchange", "--public-key", join(folder, "gone")], folder, simulatorKeys)

    assert.strictEqual(noKey.code, 1)
    assert.include(noKey.out + noKey.err, "public key")
    assert.strictEqual(noFile.code, 1)
    assert.include(noFile.out + noFile.err, "public-key")
  })
})
