/**
 * Lets a client of kafkajs 2.2.4 begin while some topic of the cluster, anybody's, has a partition without a leader.
 *
 * A new producer asks for the metadata of all topics, only to learn which broker is the controller; so does an admin. kafkajs
 * takes an error of any partition in the answer for a failure of the whole. One topic with a single replica on a broker that
 * is gone then keeps every new producer from its first send, for as long as that broker is away. What is asked of topics by
 * name stays as strict as it was.
 */
import { insideKafkajs } from "./insideKafkajs.ts"

interface Protocol {
  readonly request: unknown
  readonly response: { readonly parse: (data: unknown) => Promise<unknown> }
}

interface Broker {
  readonly lookupRequest: (...of: ReadonlyArray<unknown>) => (asked: unknown) => Protocol
}

let installed = false

/** Before the first client is built. Repeating it does nothing. */
export const installForeignTopicsGuard = (): void => {
  if (installed) return
  const { prototype } = insideKafkajs("broker/index.js") as {
    readonly prototype: { metadata: (this: Broker, topics?: ReadonlyArray<string>) => Promise<unknown> }
  }
  const original = prototype.metadata
  prototype.metadata = function (this: Broker, topics: ReadonlyArray<string> = []): Promise<unknown> {
    return original.call(topics.length === 0 ? lenient(this) : this, topics)
  }
  installed = true
}

/** The same broker, whose answers are taken as they are. */
const lenient = (broker: Broker): Broker =>
  Object.create(broker, {
    lookupRequest: {
      value: (...of: ReadonlyArray<unknown>) => {
        const protocol = broker.lookupRequest(...of)
        return (asked: unknown): Protocol => {
          const { request, response } = protocol(asked)
          return { request, response: { ...response, parse: (data) => Promise.resolve(data) } }
        }
      }
    }
  }) as Broker
