/**
 * A reader of the events topic as somebody else would write it: from the published schemas and the CloudEvents headers,
 * with no code of Nexus.
 *
 * Its keep is one set of positions per generation and lane. Positions are dense, so it can prove that it has missed
 * nothing up to the highest it has seen; a marker stands where an event could not be sent, and says so. A generation
 * begins where its records say it does, and what earlier ones have of the lane from there on is void.
 */
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { Ajv2020, type ValidateFunction } from "ajv/dist/2020.js"
import { type EachMessagePayload, Kafka, logLevel } from "kafkajs"

export interface Message {
  readonly partition: number
  readonly headers: Readonly<Record<string, string>>
  readonly value: string
}

export interface Proof {
  readonly complete: boolean
  /** `generation 1 lane 0 position 7`. */
  readonly missing: ReadonlyArray<string>
  /** Records that the schemas do not allow, or that come again with another body. */
  readonly wrong: ReadonlyArray<string>
  /** Events seen, repeats apart. */
  readonly events: number
  readonly repeats: number
  /** Positions whose event Kafka would not take. */
  readonly skipped: ReadonlyArray<string>
  /** Seen, and void since a later generation. */
  readonly voided: ReadonlyArray<string>
}

const validators = (schemaFolder: string): ReadonlyMap<string, ValidateFunction> => {
  const ajv = new Ajv2020({ strict: true, allErrors: true, formats: { uuid: true } })
  const schemas = readdirSync(schemaFolder)
    .filter((name) => name.endsWith(".json"))
    .map((name) => JSON.parse(readFileSync(join(schemaFolder, name), "utf8")) as { readonly $id: string })
  return new Map(schemas.map((schema) => [schema.$id, ajv.compile(schema)]))
}

export const prove = (schemaFolder: string, messages: ReadonlyArray<Message>): Proof => {
  const schemas = validators(schemaFolder)
  const lanes = new Map<string, Map<number, string>>()
  const begins = new Map<string, { readonly generation: number; readonly lane: string; readonly start: number }>()
  const wrong: Array<string> = []
  const skipped: Array<string> = []
  let repeats = 0

  const check = (name: string, schema: string, value: unknown) => {
    const validate = schemas.get(schema)
    if (validate === undefined) wrong.push(`${name}: no schema ${schema} is published`)
    else if (!validate(value)) wrong.push(`${name}: ${JSON.stringify(validate.errors)}`)
  }

  for (const { headers, partition, value } of messages) {
    const lane = `generation ${headers["ce_generation"]} lane ${headers["ce_lane"]}`
    const name = `${lane} position ${headers["ce_position"]}`
    check(name, "urn:nexus:headers:1", headers)
    if (headers["ce_lane"] !== String(partition)) wrong.push(`${name}: lies in partition ${partition}`)
    const positions = lanes.get(lane) ?? new Map<number, string>()
    lanes.set(lane, positions)
    const start = Number(headers["ce_generationstart"] ?? 1)
    const known = begins.get(lane)
    if (known !== undefined && known.start !== start) wrong.push(`${name}: its generation begins in two places`)
    begins.set(lane, { generation: Number(headers["ce_generation"]), lane: headers["ce_lane"]!, start })
    const position = Number(headers["ce_position"])
    const before = positions.get(position)
    if (before !== undefined) {
      repeats += 1
      if (before !== value) wrong.push(`${name}: came again with another body`)
      continue
    }
    positions.set(position, value)
    const isMarker = headers["ce_type"] === "nexus.Skipped"
    if (isMarker) skipped.push(name)
    check(name, isMarker ? "urn:nexus:marker:1" : headers["ce_dataschema"]!, JSON.parse(value))
  }

  const missing: Array<string> = []
  const voided: Array<string> = []
  let events = 0
  for (const [name, positions] of lanes) {
    events += positions.size
    const { generation, lane, start } = begins.get(name)!
    const later = [...begins.values()].filter((one) => one.lane === lane && one.generation > generation)
    const end = Math.min(...later.map((one) => one.start))
    voided.push(...[...positions.keys()].filter((position) => position >= end).map((at) => `${name} position ${at}`))
    // Complete up to where the next generation begins, or up to the highest that was seen.
    const highest = later.length > 0 ? end - 1 : Math.max(...positions.keys())
    for (let position = start; position <= highest; position++) {
      if (!positions.has(position)) missing.push(`${name} position ${position}`)
    }
  }
  return { complete: missing.length === 0 && wrong.length === 0, missing, wrong, events, repeats, skipped, voided }
}

/** Everything that the topic has now, from its beginning. */
export const readAll = async (brokers: string, topic: string): Promise<ReadonlyArray<Message>> => {
  const kafka = new Kafka({ brokers: brokers.split(","), clientId: "somebody-else", logLevel: logLevel.NOTHING })
  const admin = kafka.admin()
  await admin.connect()
  const ends = new Map((await admin.fetchTopicOffsets(topic)).map(({ high, partition }) => [partition, Number(high)]))
  await admin.disconnect()
  const open = new Set([...ends].filter(([, end]) => end > 0).map(([partition]) => partition))
  const messages: Array<Message> = []
  if (open.size === 0) return messages

  const consumer = kafka.consumer({ groupId: `somebody-else-${topic}`, maxWaitTimeInMs: 100 })
  await consumer.connect()
  await consumer.subscribe({ topics: [topic], fromBeginning: true })
  await new Promise<void>((resolve, reject) => {
    const eachMessage = ({ message, partition }: EachMessagePayload) => {
      const headers = Object.entries(message.headers ?? {}).map(([name, value]) => [name, String(value)])
      messages.push({ partition, headers: Object.fromEntries(headers), value: String(message.value) })
      if (Number(message.offset) + 1 >= ends.get(partition)!) open.delete(partition)
      if (open.size === 0) resolve()
      return Promise.resolve()
    }
    consumer.run({ autoCommit: false, eachMessage }).catch(reject)
  })
  await consumer.disconnect()
  return messages
}
