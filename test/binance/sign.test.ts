/** The exchange's own examples of signatures, and some derived from them, for each kind of key. */
import { assert, describe, it } from "@effect/vitest"
import { Redacted, Result } from "effect"
import { createPublicKey, generateKeyPairSync, verify } from "node:crypto"
import { signerOf } from "../../src/binance/PrivateKey.ts"
import {
  hmacSigner,
  queryOf,
  type Signer,
  signedParams,
  signedQuery,
  webSocketPayload
} from "../../src/binance/sign.ts"

const key = "vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A"
const secret = "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j"

/** $K stands for the key. */
const vectors: ReadonlyArray<readonly [id: string, payload: string, signature: string]> = [
  [
    "R1",
    "symbol=LTCBTC&side=BUY&type=LIMIT&timeInForce=GTC&quantity=1&price=0.1&recvWindow=5000&timestamp=1499827319559",
    "c8db56825ae71d6d79447849e617115f4a920fa2acdcab2b053c4b2838bd6b71"
  ],
  [
    "R2",
    "symbol=%EF%BC%91%EF%BC%92%EF%BC%93%EF%BC%94%EF%BC%95%EF%BC%96&side=BUY&type=LIMIT&timeInForce=GTC&quantity=1&price=0.1&recvWindow=5000&timestamp=1499827319559",
    "e1353ec6b14d888f1164ae9af8228a3dbd508bc82eb867db8ab6046442f33ef3"
  ],
  [
    "R3",
    "symbol=LTCBTC&side=BUY&type=LIMIT&timeInForce=GTCquantity=1&price=0.1&recvWindow=5000&timestamp=1499827319559",
    "0fd168b8ddb4876a0358a8d14d0c9f3da0e9b20c5d52b2a00fcf7d1c602f9a77"
  ],
  [
    "W1",
    "apiKey=$K&price=52000.00&quantity=0.01000000&recvWindow=100&side=SELL&symbol=BTCUSDT&timeInForce=GTC&timestamp=1645423376532&type=LIMIT",
    "aa1b5712c094bc4e57c05a1a5c1fd8d88dcd628338ea863fec7b88e59fe2db24"
  ],
  [
    "W2",
    "apiKey=$K&price=0.10000000&quantity=1.00000000&recvWindow=5000&side=BUY&symbol=１２３４５６&timeInForce=GTC&timestamp=1645423376532&type=LIMIT",
    "b33892ae8e687c939f4468c6268ddd4c40ac1af18ad19a064864c47bae0752cd"
  ],
  [
    "W3",
    "apiKey=$K&newOrderRespType=ACK&price=52000.00&quantity=0.01000000&recvWindow=100&side=SELL&symbol=BTCUSDT&timeInForce=GTC&timestamp=1645423376532&type=LIMIT",
    "cc15477742bd704c29492d96c7ead9414dfd8e0ec4a00f947bb5bb454ddbd08a"
  ],
  ["W4", "apiKey=$K&timestamp=1649729878532", "1cf54395b336b0a9727ef27d5d98987962bc47aca6e13fe978612d0adee066ed"],
  [
    "W5",
    "apiKey=$K&price=23416.10000000&quantity=0.00847000&side=SELL&symbol=BTCUSDT&timeInForce=GTC&timestamp=1660801715431&type=LIMIT",
    "15af09e41c36f3cc61378c2fbe2c33719a03dd5eba8d0f9206fbda44de717c88"
  ],
  [
    "W6",
    "apiKey=$K&origClientOrderId=4d96324ff9d44481926157&symbol=BTCUSDT&timestamp=1660801715830",
    "33d5b721f278ae17a52f004a82a6f68a70c68e7dd6776ed0be77a455ab855282"
  ],
  [
    "W7",
    "apiKey=$K&cancelOrigClientOrderId=4d96324ff9d44481926157&cancelReplaceMode=ALLOW_FAILURE&price=23416.10000000&quantity=0.00847000&side=SELL&symbol=BTCUSDT&timeInForce=GTC&timestamp=1660813156900&type=LIMIT",
    "7028fdc187868754d25e42c37ccfa5ba2bab1d180ad55d4c3a7e2de643943dc5"
  ],
  [
    "W8",
    "apiKey=$K&symbol=BTCUSDT&timestamp=1660805557200",
    "773f01b6e3c2c9e0c1d217bc043ce383c1ddd6f0e25f8d6070f2b66a6ceaf3a5"
  ],
  [
    "W9",
    "apiKey=$K&newOrderRespType=RESULT&price=23420.00000000&quantity=0.00650000&side=SELL&stopLimitPrice=23405.00000000&stopLimitTimeInForce=GTC&stopPrice=23410.00000000&symbol=BTCUSDT&timestamp=1660801713767",
    "6689c2a36a639ff3915c2904871709990ab65f3c7a9ff13857558fd350315c35"
  ],
  ["W10", "apiKey=$K&timestamp=1660801839480", "83303b4a136ac1371795f465808367242685a9e3a42b22edb4d977d0696eb45c"],
  [
    "W11",
    "apiKey=$K&orderId=12569099453&symbol=BTCUSDT&timestamp=1660801720951",
    "2c3aab5a078ee4ea465ecd95523b77289f61476c2f238ec10c55ea6cb11a6f35"
  ],
  [
    "W12",
    "apiKey=$K&symbol=BTCUSDT&timestamp=1660813156812",
    "d632b3fdb8a81dd44f82c7c901833309dd714fe508772a89b0a35b0ee0c48b89"
  ],
  [
    "W13",
    "apiKey=$K&endTime=1660867200000&limit=5&startTime=1660780800000&symbol=BTCUSDT&timestamp=1661955123341",
    "f50a972ba7fad92842187643f6b930802d4e20bce1ba1e788e856e811577bd42"
  ],
  ["W14", "apiKey=$K&timestamp=1660801713831", "1bea8b157dd78c3da30359bddcd999e4049749fe50b828e620e12f64e8b433c9"],
  [
    "W15",
    "apiKey=$K&endTime=1660867200000&limit=5&startTime=1660780800000&timestamp=1661955123341",
    "c8e1484db4a4a02d0e84dfa627eb9b8298f07ebf12fcc4eaf86e4a565b2712c2"
  ],
  [
    "W16",
    "apiKey=$K&endTime=1660867200000&startTime=1660780800000&symbol=BTCUSDT&timestamp=1661955125250",
    "c5a5ffb79fd4f2e10a92f895d488943a57954edf5933bde3338dfb6ea6d6eefc"
  ],
  ["W17", "apiKey=$K&timestamp=1660801839500", "76289424d6e288f4dc47d167ac824e859dabf78736f4348abbbac848d719eb94"],
  [
    "D1",
    "symbol=LTCBTC&side=BUY&type=LIMIT&timeInForce=GTC&quantity=1&price=0.1&recvWindow=5000.123&timestamp=1499827319559",
    "a82c5d07b6ff781080afc0f116c39ec518b5033fb05e7bbb2f73880ae5dc4c34"
  ],
  [
    "D2",
    "symbol=LTCBTC&side=BUY&type=LIMIT&timeInForce=GTC&quantity=1&price=0.1&recvWindow=5000&timestamp=1499827319559123",
    "8ce738dbd47924b50494d0723dcb40302952f2416e818d8c9640f90198652e62"
  ],
  [
    "D3",
    "symbol=１２３４５６&side=BUY&type=LIMIT&timeInForce=GTC&quantity=1&price=0.1&recvWindow=5000&timestamp=1499827319559",
    "ca2cdfbf21d2e2958de492c7f2dd1f059dd2ed4d4459d26a5ec7928db50c8d4f"
  ],
  [
    "D4",
    "symbol=%ef%bc%91%ef%bc%92%ef%bc%93%ef%bc%94%ef%bc%95%ef%bc%96&side=BUY&type=LIMIT&timeInForce=GTC&quantity=1&price=0.1&recvWindow=5000&timestamp=1499827319559",
    "a6437db89051521c0310ac04ab760d68da896c146d72eed37dbe7ec5ed3cd114"
  ]
]

const ed25519Pem =
  "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIIJEYWtGBrhACmb9Dvy+qa8WEf0lQOl1s4CLIAB9m89u\n-----END PRIVATE KEY-----\n"
const ed25519Key = "4yNzx3yWC5bS6YTwEkSRaC0nRmSQIIStAUOh1b6kqaBrTLIhjCpI5lJH8q8R8WNO"

/** Of the private key that the exchange publishes for its FIX examples. Such signatures have one value only. */
const ed25519Vectors: ReadonlyArray<readonly [id: string, payload: string, signature: string]> = [
  [
    "E1",
    "A\u0001EXAMPLE\u0001SPOT\u00011\u000120240627-11:17:25.223",
    "4MHXelVVcpkdwuLbl6n73HQUXUf1dse2PCgT1DYqW9w8AVZ1RACFGM+5UdlGPrQHrgtS3CvsRURC1oj73j8gCA=="
  ],
  [
    "E2",
    "symbol=BTCUSDT&side=SELL&type=LIMIT&timeInForce=GTC&quantity=1&price=0.2&timestamp=1668481559918&recvWindow=5000",
    "inDT086KVIP8vgUfw5sV3VTkescWztiAGlf4x8FLKHM4NInsn0c1kYVLoGMO8cyjfR6vmTku2YQE0gtfVVlfCw=="
  ],
  [
    "E3",
    "symbol=%EF%BC%91%EF%BC%92%EF%BC%93%EF%BC%94%EF%BC%95%EF%BC%96&side=SELL&type=LIMIT&timeInForce=GTC&quantity=1&price=0.2&timestamp=1668481559918&recvWindow=5000",
    "vECjNXSlVOz1DskXXQ866KhikKY8cxajBXKAU0COlYYemqEr45TXiRS/jNB3LyHHh48pu7z2S6pTFhmhWNRBBw=="
  ],
  [
    "E4",
    "apiKey=$E&price=52000.00&quantity=0.01000000&recvWindow=100&side=SELL&symbol=BTCUSDT&timeInForce=GTC&timestamp=1645423376532&type=LIMIT",
    "82wlF5RobwT7JZehRQgOaupNEm5GrAqJj5tqZeCCE6ZxkhlUbWBThOx00q3FVnCKn882P+9p85phztjk4bOMAQ=="
  ],
  [
    "E5",
    "apiKey=$E&price=0.10000000&quantity=1.00000000&recvWindow=5000&side=BUY&symbol=１２３４５６&timeInForce=GTC&timestamp=1645423376532&type=LIMIT",
    "c54NpyUZhXB0TQWxM60+OHcwRu50TfjPg5I3J3mPeFasLGjHZnuNGE6Ych+fRF6te6sr6URRF4lxUmYXbQ/rCA=="
  ]
]

const hmac = hmacSigner(Redacted.make(secret))
const ed25519 = Result.getOrThrow(signerOf(ed25519Pem))
const rsaPair = generateKeyPairSync("rsa", {
  modulusLength: 2_048,
  privateKeyEncoding: { type: "pkcs8", format: "pem" },
  publicKeyEncoding: { type: "spki", format: "pem" }
})
const rsa = Result.getOrThrow(signerOf(rsaPair.privateKey))
const isRsaSignature = (payload: string, signature: string) =>
  verify("sha256", Buffer.from(payload), rsaPair.publicKey, Buffer.from(signature, "base64"))

const ofHmac = vectors.map(([id, payload, expected]) => [id, payload.replaceAll("$K", key), expected] as const)
const ofEd25519 = ed25519Vectors.map(
  ([id, payload, expected]) => [id, payload.replaceAll("$E", ed25519Key), expected] as const
)

describe("signing", () => {
  for (const [id, payload, expected] of ofHmac) {
    it(`gives the exchange's own HMAC of example ${id}`, () => {
      assert.strictEqual(hmac.sign(payload), expected)
    })
  }

  for (const [id, payload, expected] of ofEd25519) {
    it(`gives the one Ed25519 signature of example ${id}`, () => {
      assert.strictEqual(ed25519.sign(payload), expected)
    })
  }

  it("has all 29 examples, and knows their keys by their files", () => {
    assert.strictEqual(vectors.length + ed25519Vectors.length, 29)
    assert.deepStrictEqual([hmac.kind, ed25519.kind, rsa.kind], ["HMAC", "ED25519", "RSA"])
  })

  it("of an RSA key is PKCS #1 v1.5 over SHA-256, which its public half confirms for every example", () => {
    for (const [id, payload] of [...ofHmac, ...ofEd25519]) {
      const signature = rsa.sign(payload)
      assert.isTrue(isRsaSignature(payload, signature), id)
      assert.isFalse(isRsaSignature(`${payload}0`, signature), id)
    }
  })

  it("never signs REST's encoded text as if it were the raw one", () => {
    const [, raw, wrong] = ofHmac.find(([id]) => id === "D3")!

    assert.notInclude(signedQuery(hmac, parametersOf(raw)), wrong)
  })
})

const parametersOf = (payload: string) => payload.split("&").map((pair) => pair.split("=") as [string, string])

const publicEd25519 = createPublicKey({
  key: Buffer.from("MCowBQYDK2VwAyEAGUIKv9dSpWXBViXp2m6vAIb8QMFJYBgyFEQsFJlqgA0=", "base64"),
  format: "der",
  type: "spki"
})
const confirms: ReadonlyArray<readonly [Signer, (payload: string, signature: string) => boolean]> = [
  [hmac, (payload, signature) => hmac.sign(payload) === signature],
  [
    ed25519,
    (payload, signature) => verify(null, Buffer.from(payload), publicEd25519, Buffer.from(signature, "base64"))
  ],
  [rsa, isRsaSignature]
]

describe("the string that is signed and sent", () => {
  for (const [signer, isConfirmed] of confirms) {
    it(`encodes before it signs on REST, so that a symbol in any script is accepted: ${signer.kind}`, () => {
      const [, payload] = ofHmac.find(([id]) => id === "R2")!

      const query = signedQuery(signer, parametersOf(decodeURIComponent(payload)))

      const [signed, signature] = query.split("&signature=")
      assert.strictEqual(signed, payload)
      assert.match(signature!, /^[A-Za-z0-9%]+$/)
      assert.isTrue(isConfirmed(payload, decodeURIComponent(signature!)))
    })

    it(`is sorted and not encoded on the WebSocket API: ${signer.kind}`, () => {
      const [, payload] = ofHmac.find(([id]) => id === "W2")!
      const shuffled = parametersOf(payload).toReversed()
      const withoutKey = shuffled.filter(([name]) => name !== "apiKey")

      const params = signedParams({ apiKey: Redacted.make(key), signer }, withoutKey)

      assert.strictEqual(webSocketPayload(shuffled), payload)
      assert.isTrue(isConfirmed(payload, `${params["signature"]}`))
      assert.strictEqual(params["apiKey"], key)
    })
  }

  it("writes a space as %20 and leaves no character that a server reads in two ways", () => {
    assert.strictEqual(queryOf([["text", "a b+c&d=e"]]), "text=a%20b%2Bc%26d%3De")
  })
})
