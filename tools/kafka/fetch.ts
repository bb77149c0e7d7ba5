/** `npm run kafka:fetch`: brings Kafka's jars into the cache now, so that nothing waits for them later. */
import { kafkaArtifacts } from "./Artifacts.ts"

const artifacts = await kafkaArtifacts()
console.log(artifacts._tag === "Ready" ? `ready: ${artifacts.classPath}` : `not fetched: ${artifacts.reason}`)
