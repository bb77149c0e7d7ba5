/**
 * What a symbol allows, as `exchangeInfo` publishes it, and what the engine says to an order that wants more.
 */
import type { SymbolInfo } from "./Market.ts"
import type { Order, OrderType } from "./Order.ts"
import type { ListKind } from "./OrderList.ts"
import {
  amendNotSupported,
  notSupported,
  opoNotSupported,
  ocoNotSupported,
  otoNotSupported,
  quoteQuantityNotSupported,
  type Refusal,
  replaceNotSupported
} from "./Refusal.ts"

export interface Features {
  readonly orderTypes: ReadonlyArray<OrderType>
  readonly iceberg: boolean
  readonly trailingStop: boolean
  readonly quoteQuantity: boolean
  readonly oco: boolean
  readonly oto: boolean
  readonly opo: boolean
  readonly cancelReplace: boolean
  readonly amend: boolean
}

export const allFeatures: Features = {
  orderTypes: ["LIMIT", "LIMIT_MAKER", "MARKET", "STOP_LOSS", "STOP_LOSS_LIMIT", "TAKE_PROFIT", "TAKE_PROFIT_LIMIT"],
  iceberg: true,
  trailingStop: true,
  quoteQuantity: true,
  oco: true,
  oto: true,
  opo: true,
  cancelReplace: true,
  amend: true
}

type Asked = Pick<Order, "type" | "icebergQuantity" | "trailingDelta" | "quoteQuantity">

export const unsupportedOrder = ({ features }: SymbolInfo, order: Asked): Refusal | undefined => {
  if (!features.orderTypes.includes(order.type)) return notSupported(engineNames[order.type])
  if (order.icebergQuantity > 0n && !features.iceberg) return notSupported("Iceberg")
  if (order.trailingDelta > 0 && !features.trailingStop) return notSupported("Trailing stop")
  return order.quoteQuantity > 0n && !features.quoteQuantity ? quoteQuantityNotSupported : undefined
}

export const unsupportedList = ({ features }: SymbolInfo, kind: ListKind): Refusal | undefined => {
  const isPaid = kind === "OPO" || kind === "OPOCO"
  if (isPaid && !features.opo) return opoNotSupported
  if (kind !== "OCO" && !features.oto) return otoNotSupported
  return kind.endsWith("OCO") && !features.oco ? ocoNotSupported : undefined
}

export const unsupportedReplace = ({ features }: SymbolInfo): Refusal | undefined =>
  features.cancelReplace ? undefined : replaceNotSupported

export const unsupportedAmend = ({ features }: SymbolInfo): Refusal | undefined =>
  features.amend ? undefined : amendNotSupported

const engineNames: Readonly<Record<OrderType, string>> = {
  LIMIT: "Limit",
  LIMIT_MAKER: "Limit maker",
  MARKET: "Market",
  STOP_LOSS: "Stop loss",
  STOP_LOSS_LIMIT: "Stop loss limit",
  TAKE_PROFIT: "Take profit",
  TAKE_PROFIT_LIMIT: "Take profit limit"
}
