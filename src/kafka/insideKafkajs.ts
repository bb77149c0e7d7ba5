/** A part of kafkajs that it does not export. Hence the exact version: another one must be looked at by people first. */
import { createRequire } from "node:module"

const knownVersion = "2.2.4"
const require = createRequire(import.meta.url)

export const insideKafkajs = (path: string): unknown => {
  const { version } = require("kafkajs/package.json") as { readonly version: string }
  if (version !== knownVersion) {
    throw new Error(`kafkajs is ${version}, but what its guards reach into is known for ${knownVersion} only`)
  }
  return require(`kafkajs/src/${path}`)
}
