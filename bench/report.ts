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

/** What the machine has done since it started, over all cores, in clock ticks: [busy, all]. */
export const machineTicks = (): readonly [number, number] => {
  const [user = 0, nice = 0, system = 0, idle = 0, wait = 0, irq = 0, softIrq = 0, steal = 0] = readFileSync(
    "/proc/stat",
    "utf8"
  )
    .split("\n")[0]!
    .trim()
    .split(/\s+/)
    .slice(1)
    .map(Number)
  const busy = user + nice + system + irq + softIrq + steal
  return [busy, busy + idle + wait]
}
