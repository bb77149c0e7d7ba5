/**
 * Says at the very end what a run did not run and why, and closes with `N passed, N failed, N skipped`.
 *
 * Printed as the process ends, after every other reporter, the coverage summary and the stopping of the servers.
 * A file that could not be loaded and an error outside any test count as one failure each, so "0 failed" means it.
 */
import { writeSync } from "node:fs"
import type { Reporter, TestCase, TestModule } from "vitest/node"

declare module "vitest" {
  interface TaskMeta {
    /** Why a test or a suite does not run here; set by `describeIf`. */
    skipReason?: string
  }
}

const noReason = "marked as skipped in the file"

export class ClosingLine implements Reporter {
  #count = { passed: 0, failed: 0, skipped: 0 }
  #notes: ReadonlyArray<string> = []

  onInit() {
    process.once("exit", (code) => {
      // A run that fails without a failed test (a server that did not start, nothing to run) is no success either.
      const failed = this.#count.failed === 0 && code !== 0 ? 1 : this.#count.failed
      const line = `${this.#count.passed} passed, ${failed} failed, ${this.#count.skipped} skipped`
      writeSync(1, `${["", ...this.#notes, line].join("\n")}\n`)
    })
  }

  onTestRunEnd(modules: ReadonlyArray<TestModule>, unhandledErrors: ReadonlyArray<unknown>) {
    const count = { passed: 0, failed: unhandledErrors.length, skipped: 0 }
    const reasons = new Map<string, Map<string, number>>()
    for (const module of modules) {
      if (module.errors().length > 0) count.failed++
      for (const test of module.children.allTests()) {
        const result = test.result()
        // A test that never ended (its worker died) is no success.
        count[result.state === "pending" ? "failed" : result.state]++
        if (result.state !== "skipped") continue
        const ofFile = reasons.get(module.relativeModuleId) ?? new Map<string, number>()
        reasons.set(module.relativeModuleId, ofFile)
        const reason = result.note ?? reasonOf(test)
        ofFile.set(reason, (ofFile.get(reason) ?? 0) + 1)
      }
    }
    this.#count = count
    this.#notes = [...reasons].flatMap(([file, why]) =>
      [...why].map(([reason, n]) => `skipped: ${file} (${n}): ${reason}`)
    )
  }
}

const reasonOf = (test: TestCase): string => {
  const own = test.meta().skipReason
  if (own !== undefined) return own
  for (let at: TestCase["parent"] = test.parent; at.type === "suite"; at = at.parent) {
    const reason = at.meta().skipReason
    if (reason !== undefined) return reason
  }
  return noReason
}
