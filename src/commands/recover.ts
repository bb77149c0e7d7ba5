/** `nexus recover`: alone on the store, which it makes fit to be served again after it has lost commits. */
import { Console, DateTime, Effect } from "effect"
import { recover as recoverStore, type RecoveryOptions, type RecoveryReport } from "../engine/Recovery.ts"
import { table } from "./table.ts"

// As many as a person reads; with --json all are told.
const recoveredRows = 200

export const recover = ({ json, ...options }: Omit<RecoveryOptions, "say"> & { readonly json: boolean }) =>
  Effect.gen(function* () {
    const report = yield* recoverStore({ ...options, say: (text) => Console.error(text) })
    yield* Console.log(json ? JSON.stringify(report) : recoveryText(report))
  })

const recoveryText = (report: RecoveryReport): string => {
  const { events, generation, lanes, orders, since, unreadable, wasRaised } = report
  const created = orders.filter(({ isNew }) => isNew).length
  const lines = [
    wasRaised
      ? `the store is of generation ${generation} now`
      : `nothing is ahead of the log: generation ${generation} goes on`,
    "",
    table([
      ["lane", "log ended at", "known to", "brought back to", "lost"],
      ...lanes.map(({ broughtBackTo, head, known, lane, stop }) => [
        `${lane}`,
        `${head}`,
        `${known}`,
        `${broughtBackTo}`,
        stop === null ? "nothing that was known" : `${known - broughtBackTo} events: ${stop}`
      ])
    ]),
    "",
    `${events} events came back from Kafka; of the exchange's orders since ${DateTime.formatIso(DateTime.makeUnsafe(since))} ` +
      `${created} are imported, and ${orders.length - created} that the log had are brought up to date`
  ]
  if (orders.length > 0) {
    lines.push(
      table([
        ["order", "was", "symbol", "side", "type", "quantity", "filled", "trades", "status", "exchange id"],
        ...orders
          .slice(0, recoveredRows)
          .map((one) => [
            one.orderId,
            one.isNew ? "lost" : "older",
            one.symbol,
            one.side,
            one.type,
            one.quantity,
            one.filled,
            `${one.trades}`,
            one.status,
            one.exchangeOrderId
          ])
      ])
    )
  }
  if (orders.length > recoveredRows) lines.push(`… and ${orders.length - recoveredRows} more: --json has them all`)
  for (const { exchangeOrderId, symbol } of unreadable) {
    lines.push(
      `order ${exchangeOrderId} of ${symbol} is of a kind that Nexus does not place: look at it at the exchange`
    )
  }
  lines.push("", 'next: "nexus verify", then start the replicas')
  return lines.join("\n")
}
