/**
 * The rules about the exchange: keys where requests are signed, encryption beyond loopback, both addresses of one
 * exchange, and two words of consent before an order can cost money.
 */
import type { Config } from "./Config.ts"
import type { Reject } from "./ConfigFaults.ts"
import { isBinance, isLoopback, isProduction, placeOf } from "./hosts.ts"

/** The exchange itself gives up on a request after 10 s; a client that leaves sooner makes doubt out of slowness. */
const exchangeTimeoutMs = 10_000
/** What must be typed, beside `allow_production: true`, before an order can cost money. */
const confirmation = "I trade real money"

export const rejectExchange = (
  config: Config,
  has: { readonly hasKey: boolean; readonly hasSecret: boolean },
  reject: Reject
) => {
  const { binance, parts } = config
  const { base_url, enabled, timeout_ms, ws_api_url } = binance.testnet
  if (parts.exchangeEmbedded) {
    if (binance.exchange === "TESTNET") {
      reject(
        "binance.exchange",
        "TESTNET needs both keys of binance.testnet, or binance.mode server",
        "an embedded exchange",
        ["binance.mode"]
      )
    }
    if (binance.mode === "auto" && has.hasKey !== has.hasSecret) {
      const missing = has.hasKey ? "api_secret" : "api_key"
      reject(`binance.testnet.${missing}`, "must be given, since the other half of the pair is", "")
    }
    return
  }
  if (!enabled) {
    reject("binance.testnet.enabled", "must be true, or binance.mode embedded", "false", ["binance.mode"])
  }
  // Only these roles sign requests; a process of others can do without the keys.
  if (config.app.roles.some((role) => role === "executor" || role === "reports" || role === "reconciler")) {
    if (!has.hasKey) reject("binance.testnet.api_key", "must be given: this process signs requests", "")
    if (!has.hasSecret) {
      reject("binance.testnet.api_secret", "or private_key_file must be given: this process signs requests", "")
    }
  }
  for (const [path, given] of [
    ["binance.testnet.base_url", base_url],
    ["binance.testnet.ws_api_url", ws_api_url]
  ] as const) {
    const { hostname, protocol } = new URL(given)
    if (
      /^(http|ws):$/.test(protocol) &&
      !isLoopback(hostname) &&
      (binance.exchange !== "SIMULATOR" || isBinance(hostname))
    ) {
      reject(path, "must be encrypted (https, wss) unless it is on loopback or binance.exchange is SIMULATOR", given)
    }
    if (isProduction(hostname) && !(binance.allow_production && binance.production_confirmed === confirmation)) {
      reject(
        path,
        `is a production host: it needs binance.allow_production true and binance.production_confirmed "${confirmation}"`,
        given
      )
    }
    // The short margins of a simulator would call orders absent that the real exchange still takes.
    if (binance.exchange === "SIMULATOR" && isBinance(hostname)) {
      reject(path, "must not be a host of Binance while binance.exchange is SIMULATOR", given, ["binance.exchange"])
    }
  }
  const places = [base_url, ws_api_url].map((each) => placeOf(new URL(each).hostname))
  // A proxy on this machine may stand before one half of the testnet, when binance.exchange says that it is the testnet.
  const proxied = binance.exchange === "TESTNET" && places.includes("loopback")
  if (places[0] !== places[1] && !proxied) {
    reject(
      "binance.testnet.ws_api_url",
      `must be of the same exchange as binance.testnet.base_url, which is on ${places[0]}`,
      ws_api_url,
      ["binance.testnet.base_url"]
    )
  }
  if (parts.exchange === "TESTNET" && timeout_ms <= exchangeTimeoutMs) {
    reject("binance.testnet.timeout_ms", `must be more than the exchange's own ${exchangeTimeoutMs}`, `${timeout_ms}`)
  }
}
