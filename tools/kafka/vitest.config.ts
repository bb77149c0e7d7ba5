/** `npm run test:kafka`: all that Kafka is asked to show, the slow proofs among it. Else as every test run. */
import gate from "../../vitest.config.ts"

export default { ...gate, test: { ...gate.test, include: ["test/kafka/**/*.test.ts", "test/kafka/**/*.proof.ts"] } }
