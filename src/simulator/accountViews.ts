/** The JSON of the account: balances, trades, and what trades cost. */
import type { Balance } from "./Accounts.ts"
import { type Amount, format } from "./Amount.ts"
import { type CommissionRates, type Commissions, discountAsset, rateFor } from "./Commission.ts"
import type { SymbolInfo } from "./Market.ts"
import type { Side } from "./Order.ts"
import { spotPermissions } from "./symbolViews.ts"
import type { Trade } from "./Trades.ts"

export const commissionAssetOf = ({ isBuyer, isInBnb }: Trade, symbol: SymbolInfo): string => {
  if (isInBnb) return discountAsset
  return isBuyer ? symbol.base : symbol.quote
}

export const myTradeView = (trade: Trade, symbol: SymbolInfo, listId: number) => ({
  symbol: symbol.symbol,
  id: trade.id,
  orderId: trade.orderId,
  orderListId: listId,
  price: format(trade.price),
  qty: format(trade.quantity),
  quoteQty: format(trade.quote),
  commission: format(trade.commission),
  commissionAsset: commissionAssetOf(trade, symbol),
  time: trade.time,
  isBuyer: trade.isBuyer,
  isMaker: trade.isMaker,
  isBestMatch: true
})

/** A share in 10,000, as older fields write rates. */
const basisPoints = (rate: Amount): number => Number(rate / 10_000n)

export const accountView = (
  balances: Iterable<Balance>,
  uid: number,
  updateTime: number,
  omitZero: boolean,
  { standard }: Commissions
) => ({
  makerCommission: basisPoints(standard.maker),
  takerCommission: basisPoints(standard.taker),
  buyerCommission: basisPoints(standard.buyer),
  sellerCommission: basisPoints(standard.seller),
  commissionRates: ratesView(standard),
  canTrade: true,
  canWithdraw: false,
  canDeposit: false,
  brokered: false,
  requireSelfTradePrevention: false,
  preventSor: false,
  updateTime,
  accountType: "SPOT",
  balances: [...balances]
    .filter(({ free, locked }) => !omitZero || free > 0n || locked > 0n)
    .map(({ asset, free, locked }) => ({ asset, free: format(free), locked: format(locked) })),
  permissions: spotPermissions,
  uid
})

const ratesView = ({ buyer, maker, seller, taker }: CommissionRates) => ({
  maker: format(maker),
  taker: format(taker),
  buyer: format(buyer),
  seller: format(seller)
})

const discountView = ({ discount, paysInBnb }: Commissions) => ({
  enabledForAccount: paysInBnb,
  enabledForSymbol: paysInBnb,
  discountAsset,
  discount: format(discount)
})

export const commissionView = (commissions: Commissions, symbol: string) => ({
  symbol,
  standardCommission: ratesView(commissions.standard),
  specialCommission: ratesView(commissions.special),
  taxCommission: ratesView(commissions.tax),
  discount: discountView(commissions)
})

/** The rates of one order: its side is known, its role is not. */
export const orderCommissionView = (commissions: Commissions, side: Side) => {
  const roles = (rates: CommissionRates) => ({
    maker: format(rateFor(rates, side, true)),
    taker: format(rateFor(rates, side, false))
  })
  return {
    standardCommissionForOrder: roles(commissions.standard),
    specialCommissionForOrder: roles(commissions.special),
    taxCommissionForOrder: roles(commissions.tax),
    discount: discountView(commissions)
  }
}
