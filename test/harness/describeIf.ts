/**
 * A suite that needs something this machine may not have. Where it is missing, the suite is skipped and the closing
 * lines of the run say why: `describeIf(null)("…", …)` runs, `describeIf("no Java")("…", …)` reports the reason.
 */
import { describe } from "vitest"

export const describeIf =
  (skipReason: string | null) =>
  (name: string, tests: () => void): void => {
    if (skipReason === null) describe(name, tests)
    else describe(name, { skip: true, meta: { skipReason } }, tests)
  }
