/** One order list of the account, and its compact text. The orders know their list; the list knows their ids. */

export type ListKind = "OCO" | "OTO" | "OTOCO" | "OPO" | "OPOCO"
export type ContingencyType = "OCO" | "OTO"
export type ListStatusType = "EXEC_STARTED" | "UPDATED" | "ALL_DONE"

const kinds: ReadonlyArray<ListKind> = ["OCO", "OTO", "OTOCO", "OPO", "OPOCO"]

export interface OrderList {
  readonly id: number
  /** Place of the symbol in the list of symbols. */
  readonly market: number
  readonly kind: ListKind
  readonly clientId: string
  readonly time: number
  /** When something last happened to it. */
  updateTime: number
  /** As placed: the working order first, of a pair the stop loss first. */
  readonly orderIds: ReadonlyArray<number>
  /** Of these orders as they are called now: an amendment renames one. */
  readonly clientOrderIds: Array<string>
  isDone: boolean
  /** Whether the pending orders have been placed; true from the start when there are none. */
  isPlaced: boolean
}

export const contingencyOf = ({ kind }: OrderList): ContingencyType => (kind === "OCO" ? "OCO" : "OTO")

/** Whether its first order must be filled before the others are placed. */
export const hasWorking = ({ kind }: OrderList): boolean => kind !== "OCO"

/** Whether its last two orders are a pair of which one cancels the other. */
export const hasPair = ({ kind }: Pick<OrderList, "kind">): boolean =>
  kind === "OCO" || kind === "OTOCO" || kind === "OPOCO"

/** Whether what the working order buys is what the pending ones sell. */
export const paysOn = ({ kind }: OrderList): boolean => kind === "OPO" || kind === "OPOCO"

/** How many orders a list is made of. */
export const sizeOf = (kind: ListKind): number => (kind === "OTOCO" || kind === "OPOCO" ? 3 : 2)

export const encodeList = (list: OrderList): string =>
  [
    list.id,
    list.market,
    list.kind,
    list.clientId,
    list.time,
    list.updateTime,
    list.orderIds.join(","),
    list.clientOrderIds.join(","),
    list.isDone ? 1 : 0,
    list.isPlaced ? 1 : 0
  ].join("|")

/** Undefined when the text is no list. */
export const decodeList = (line: string): OrderList | undefined => {
  const field = line.split("|")
  const kind = kinds.find((one) => one === field[2])
  if (field.length !== 10 || kind === undefined) return undefined
  return {
    id: Number(field[0]),
    market: Number(field[1]),
    kind,
    clientId: field[3]!,
    time: Number(field[4]),
    updateTime: Number(field[5]),
    orderIds: field[6]!.split(",").map(Number),
    clientOrderIds: field[7]!.split(","),
    isDone: field[8] === "1",
    isPlaced: field[9] === "1"
  }
}
