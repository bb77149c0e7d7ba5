/**
 * What kind of host an address names: this machine, Binance, and whether orders there cost money. Decided by the name
 * alone, because a name must be judged before anything is sent to it.
 */

export const isLoopback = (host: string) => /^(localhost|127(\.\d{1,3}){3}|\[?::1\]?)\.?$/i.test(host)
export const isBinance = (host: string) => /(^|\.)binance\.(com|us|vision|cloud)\.?$/i.test(host)
/** Every host of Binance that is not the testnet's own: one forgotten in a list would cost money. */
export const isProduction = (host: string) => isBinance(host) && !/(^|\.)testnet\.binance\.vision\.?$/i.test(host)

export const placeOf = (host: string) =>
  isLoopback(host) ? "loopback" : isProduction(host) ? "production" : isBinance(host) ? "the testnet" : "another host"
