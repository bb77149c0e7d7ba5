/**
 * What an audit found wrong, by table, row and column. Counts without bound, keeps a bounded number of them:
 * a log that is broken everywhere must not break the auditor.
 */

export interface Finding {
  readonly table: "events" | "batches" | "streams" | "orders" | "cursors"
  /** Which row, e.g. `lane 2 position 17`. */
  readonly key: string
  /** Which column, or what about the row. */
  readonly column: string
  readonly expected: string
  readonly found: string
}

// Enough to see the pattern.
const maxKept = 200

export class Findings {
  readonly kept: Array<Finding> = []
  count = 0

  add(finding: Finding): void {
    this.count += 1
    if (this.kept.length < maxKept) this.kept.push(finding)
  }

  expect(
    table: Finding["table"],
    key: string,
    column: string,
    expected: string | number,
    found: string | number
  ): void {
    if (expected !== found) this.add({ table, key, column, expected: `${expected}`, found: `${found}` })
  }
}
