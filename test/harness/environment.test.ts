import { afterEach, assert, it, vi } from "vitest"
import { takeEnvironment } from "./environment.ts"

afterEach(() => {
  vi.unstubAllEnvs()
})

it("keys of a real exchange, a real database and settings of the shell never reach a test", () => {
  vi.stubEnv("BINANCE_TESTNET_API_KEY", "key")
  vi.stubEnv("BINANCE_TESTNET_API_SECRET", "secret")
  vi.stubEnv("DATABASE_URL", "postgres://production")
  vi.stubEnv("KAFKA_BROKERS", "broker:9092")
  vi.stubEnv("NEXUS_APP_PORT", "1")

  const { kafkaBrokers } = takeEnvironment()

  assert.strictEqual(kafkaBrokers, "broker:9092")
  const left = Object.keys(process.env).filter((name) => /BINANCE|NEXUS|DATABASE_URL|KAFKA/.test(name))
  assert.deepStrictEqual(left, [])
})
