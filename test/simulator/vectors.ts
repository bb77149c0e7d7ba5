/**
 * Published signatures: Binance's own examples, and a few derived from them with the same example keys.
 *
 * R and D are payloads of REST, W and some of E payloads of the WebSocket API, E1 is the log-on of its FIX API.
 */
export type Vector = readonly [id: string, payload: string, signature: string]

/** The example credentials that Binance publishes. */
export const exampleKey = "vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A"
export const exampleSecret = "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j"
/** The public half of the Ed25519 example in the documentation of the FIX API. */
export const examplePublicKey =
  "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGUIKv9dSpWXBViXp2m6vAIb8QMFJYBgyFEQsFJlqgA0=\n-----END PUBLIC KEY-----\n"

const K = exampleKey

export const restVectors: ReadonlyArray<Vector> = [
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

export const webSocketVectors: ReadonlyArray<Vector> = [
  [
    "W1",
    `apiKey=${K}&price=52000.00&quantity=0.01000000&recvWindow=100&side=SELL&symbol=BTCUSDT&timeInForce=GTC&timestamp=1645423376532&type=LIMIT`,
    "aa1b5712c094bc4e57c05a1a5c1fd8d88dcd628338ea863fec7b88e59fe2db24"
  ],
  [
    "W2",
    `apiKey=${K}&price=0.10000000&quantity=1.00000000&recvWindow=5000&side=BUY&symbol=１２３４５６&timeInForce=GTC&timestamp=1645423376532&type=LIMIT`,
    "b33892ae8e687c939f4468c6268ddd4c40ac1af18ad19a064864c47bae0752cd"
  ],
  [
    "W3",
    `apiKey=${K}&newOrderRespType=ACK&price=52000.00&quantity=0.01000000&recvWindow=100&side=SELL&symbol=BTCUSDT&timeInForce=GTC&timestamp=1645423376532&type=LIMIT`,
    "cc15477742bd704c29492d96c7ead9414dfd8e0ec4a00f947bb5bb454ddbd08a"
  ],
  ["W4", `apiKey=${K}&timestamp=1649729878532`, "1cf54395b336b0a9727ef27d5d98987962bc47aca6e13fe978612d0adee066ed"],
  [
    "W5",
    `apiKey=${K}&price=23416.10000000&quantity=0.00847000&side=SELL&symbol=BTCUSDT&timeInForce=GTC&timestamp=1660801715431&type=LIMIT`,
    "15af09e41c36f3cc61378c2fbe2c33719a03dd5eba8d0f9206fbda44de717c88"
  ],
  [
    "W6",
    `apiKey=${K}&origClientOrderId=4d96324ff9d44481926157&symbol=BTCUSDT&timestamp=1660801715830`,
    "33d5b721f278ae17a52f004a82a6f68a70c68e7dd6776ed0be77a455ab855282"
  ],
  [
    "W7",
    `apiKey=${K}&cancelOrigClientOrderId=4d96324ff9d44481926157&cancelReplaceMode=ALLOW_FAILURE&price=23416.10000000&quantity=0.00847000&side=SELL&symbol=BTCUSDT&timeInForce=GTC&timestamp=1660813156900&type=LIMIT`,
    "7028fdc187868754d25e42c37ccfa5ba2bab1d180ad55d4c3a7e2de643943dc5"
  ],
  [
    "W8",
    `apiKey=${K}&symbol=BTCUSDT&timestamp=1660805557200`,
    "773f01b6e3c2c9e0c1d217bc043ce383c1ddd6f0e25f8d6070f2b66a6ceaf3a5"
  ],
  [
    "W9",
    `apiKey=${K}&newOrderRespType=RESULT&price=23420.00000000&quantity=0.00650000&side=SELL&stopLimitPrice=23405.00000000&stopLimitTimeInForce=GTC&stopPrice=23410.00000000&symbol=BTCUSDT&timestamp=1660801713767`,
    "6689c2a36a639ff3915c2904871709990ab65f3c7a9ff13857558fd350315c35"
  ],
  ["W10", `apiKey=${K}&timestamp=1660801839480`, "83303b4a136ac1371795f465808367242685a9e3a42b22edb4d977d0696eb45c"],
  [
    "W11",
    `apiKey=${K}&orderId=12569099453&symbol=BTCUSDT&timestamp=1660801720951`,
    "2c3aab5a078ee4ea465ecd95523b77289f61476c2f238ec10c55ea6cb11a6f35"
  ],
  [
    "W12",
    `apiKey=${K}&symbol=BTCUSDT&timestamp=1660813156812`,
    "d632b3fdb8a81dd44f82c7c901833309dd714fe508772a89b0a35b0ee0c48b89"
  ],
  [
    "W13",
    `apiKey=${K}&endTime=1660867200000&limit=5&startTime=1660780800000&symbol=BTCUSDT&timestamp=1661955123341`,
    "f50a972ba7fad92842187643f6b930802d4e20bce1ba1e788e856e811577bd42"
  ],
  ["W14", `apiKey=${K}&timestamp=1660801713831`, "1bea8b157dd78c3da30359bddcd999e4049749fe50b828e620e12f64e8b433c9"],
  [
    "W15",
    `apiKey=${K}&endTime=1660867200000&limit=5&startTime=1660780800000&timestamp=1661955123341`,
    "c8e1484db4a4a02d0e84dfa627eb9b8298f07ebf12fcc4eaf86e4a565b2712c2"
  ],
  [
    "W16",
    `apiKey=${K}&endTime=1660867200000&startTime=1660780800000&symbol=BTCUSDT&timestamp=1661955125250`,
    "c5a5ffb79fd4f2e10a92f895d488943a57954edf5933bde3338dfb6ea6d6eefc"
  ],
  ["W17", `apiKey=${K}&timestamp=1660801839500`, "76289424d6e288f4dc47d167ac824e859dabf78736f4348abbbac848d719eb94"]
]

export const ed25519Vectors: ReadonlyArray<Vector> = [
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
    "apiKey=4yNzx3yWC5bS6YTwEkSRaC0nRmSQIIStAUOh1b6kqaBrTLIhjCpI5lJH8q8R8WNO&price=52000.00&quantity=0.01000000&recvWindow=100&side=SELL&symbol=BTCUSDT&timeInForce=GTC&timestamp=1645423376532&type=LIMIT",
    "82wlF5RobwT7JZehRQgOaupNEm5GrAqJj5tqZeCCE6ZxkhlUbWBThOx00q3FVnCKn882P+9p85phztjk4bOMAQ=="
  ],
  [
    "E5",
    "apiKey=4yNzx3yWC5bS6YTwEkSRaC0nRmSQIIStAUOh1b6kqaBrTLIhjCpI5lJH8q8R8WNO&price=0.10000000&quantity=1.00000000&recvWindow=5000&side=BUY&symbol=１２３４５６&timeInForce=GTC&timestamp=1645423376532&type=LIMIT",
    "c54NpyUZhXB0TQWxM60+OHcwRu50TfjPg5I3J3mPeFasLGjHZnuNGE6Ych+fRF6te6sr6URRF4lxUmYXbQ/rCA=="
  ]
]
