import { defineConfig } from "vitest/config"
import { ClosingLine } from "./test/harness/ClosingLine.ts"

export default defineConfig({
  // Vite would read .env files; tests never do.
  envDir: false,
  test: {
    include: ["test/**/*.test.ts"],
    pool: "forks",
    // One worker per core of the smallest machine that the gate runs on; more only take turns.
    maxWorkers: 2,
    globalSetup: ["test/harness/globalSetup.ts"],
    reporters: ["default", new ClosingLine()],
    // A real server on a busy machine answers late; a hang is still found.
    testTimeout: 30_000,
    hookTimeout: 60_000,
    teardownTimeout: 30_000,
    coverage: {
      provider: "v8",
      include: ["src/**"],
      reporter: ["text-summary"]
    }
  }
})
