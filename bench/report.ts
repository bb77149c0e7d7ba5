/** The one table that a bench prints, and what every figure in it depends on. */
import { closeSync, fdatasyncSync, openSync, readFileSync, rmSync, writeSync } from "node:fs"
import { cpus } from "node:os"
import { join } from "node:path"

export const median = (values: ReadonlyArray<number>): number => {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}

/** Of sorted values. */
export const percentile = (sorted: ReadonlyArray<number>, share: number): number =>
  sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN

/** The first column is text, the others are figures. */
export const table = (head: ReadonlyArray<string>, rows: ReadonlyArray<ReadonlyArray<string>>): string => {
  const all = [head, ...rows]
  const widths = head.map((_, column) => Math.max(...all.map((row) => (row[column] ?? "").length)))
  const line = (row: ReadonlyArray<string>) =>
    widths
      .map((width, column) => (column === 0 ? (row[column] ?? "").padEnd(width) : (row[column] ?? "").padStart(width)))
      .join("  ")
      .trimEnd()
  return [line(head), widths.map((width) => "-".repeat(width)).join("  "), ...rows.map(line)].join("\n")
}

/** What the figures depend on. */
export const machine = (): string => {
  const { dependencies } = JSON.parse(readFileSync(join(import.meta.dirname, "../package.json"), "utf8")) as {
    dependencies: Readonly<Record<string, string>>
  }
  const all = cpus()
  return `${all.length} cores (${all[0]?.model.trim()}), ${process.platform}, Node ${process.versions.node}, effect ${dependencies.effect}`
}

const flushes = 200

/** Median time of an 8 kB write with fdatasync in a folder: what a commit waits for. */
export const flushMillis = (folder: string): number => {
  const file = join(folder, "flush")
  const page = Buffer.alloc(8_192, 1)
  const handle = openSync(file, "w")
  const took = Array.from({ length: flushes }, () => {
    const from = performance.now()
    writeSync(handle, page)
    fdatasyncSync(handle)
    return performance.now() - from
  })
  closeSync(handle)
  rmSync(file)
  return median(took)
}
