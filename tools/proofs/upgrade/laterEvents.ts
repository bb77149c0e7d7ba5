/**
 * An event that the serving release does not know: a process of the later release takes orders, processes of the older
 * one execute them. Each such order is parked, all others flow, and the later release takes the parked ones up again.
 */
import { pause } from "../programs.ts"
import type { Report } from "../replicas/verdict.ts"
import { laterType } from "./laterRelease.ts"
import type { Release } from "./releases.ts"
import type { Stage } from "./Stage.ts"

interface View {
  readonly status: string
  readonly parked?: { readonly reason: string }
}

const patienceMillis = 30_000
const inADay = () => new Date(Date.now() + 86_400_000).toISOString()
const market = (id: string, more: object) =>
  JSON.stringify({ id, symbol: "BTCUSDT", side: "BUY", type: "MARKET", quantity: "0.0002", ...more })

export const laterEvents = async (stage: Stage, older: Release, later: Release, report: Report): Promise<void> => {
  for (const slot of stage.slots) await stage.replace(slot, older)
  const beside = await stage.startBeside(later, "api")

  const noted = market("noted", { valid_until: inADay() })
  const placed = await ask(beside, "POST", "", noted)
  const parked = await viewUntil(stage.api, "noted", ({ parked }) => parked !== undefined)
  const again = await ask(stage.api, "POST", "", noted)
  const refused = await ask(stage.api, "DELETE", "/noted")
  const list = await stage.command(older, "parked", "list")
  const says = `cannot read ${laterType}`
  report(
    `an order with ${laterType}, taken by ${later.name}, is parked by ${older.name}`,
    placed.status === 202 &&
      parked?.status === "PENDING" &&
      (parked.parked?.reason.includes(says) ?? false) &&
      again.status === 200 &&
      refused.status === 409 &&
      refused.text.includes(says) &&
      list.out.includes("noted"),
    `POST ${placed.status}, GET ${parked?.status}: ${parked?.parked?.reason}; again POST ${again.status}, DELETE ${refused.status}; parked list names it`
  )

  const sound = await ask(stage.api, "POST", "", market("sound", {}))
  const filled = await viewUntil(stage.api, "sound", ({ status }) => status === "COMPLETED")
  const heads = await stage.witness.heads()
  const missing = () => heads.reduce((sum, { head, lane }) => sum + stage.reader.missing(lane, 1, head), 0)
  const end = Date.now() + patienceMillis
  while (missing() > 0 && Date.now() < end) await pause(100)
  report(
    "others flow, and every lane goes on",
    sound.status === 202 && filled?.status === "COMPLETED" && missing() === 0,
    `POST ${sound.status}, then ${filled?.status}; ${missing()} positions missing in Kafka`
  )

  for (const slot of stage.slots) await stage.replace(slot, later)
  const retried = await stage.command(later, "parked", "retry", "noted", "--by", "ann", "--reason", "upgraded")
  const done = await viewUntil(stage.api, "noted", ({ status }) => status === "COMPLETED")
  const verified = await stage.command(later, "verify")
  report(
    `${later.name} takes it up again`,
    retried.code === 0 && done?.status === "COMPLETED" && done.parked === undefined && verified.code === 0,
    `${retried.out.trim().split("\n").at(-1)}; then ${done?.status}; ${verified.out.trim().split("\n").at(-1)}`
  )
}

const ask = async (api: string, method: string, path: string, body?: string) => {
  const headers = { "content-type": "application/json" }
  const response = await fetch(
    `${api}/api/v1/orders${path}`,
    body === undefined ? { method } : { method, body, headers }
  )
  return { status: response.status, text: await response.text() }
}

const viewUntil = async (api: string, id: string, isIt: (view: View) => boolean): Promise<View | undefined> => {
  let view: View | undefined
  for (const end = Date.now() + patienceMillis; Date.now() < end; await pause(50)) {
    const { status, text } = await ask(api, "GET", `/${id}`)
    if (status !== 200) continue
    view = JSON.parse(text) as View
    if (isIt(view)) return view
  }
  return view
}
