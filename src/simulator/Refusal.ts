/**
 * What the exchange answers when it refuses, with code, message and HTTP status as documented.
 *
 * Refusals are values, not exceptions: the path of an order is synchronous and quick.
 */
import { openQuestions } from "./openQuestions.ts"

export interface RefusalDetail {
  /** What the answer carries besides code and message. */
  readonly data?: unknown
  /** When it is worth another try, in epoch milliseconds. */
  readonly retryAt?: number
}

export class Refusal {
  readonly status: number
  readonly code: number
  readonly message: string
  readonly data: unknown
  readonly retryAt: number | undefined

  constructor(status: number, code: number, message: string, detail: RefusalDetail = {}) {
    this.status = status
    this.code = code
    this.message = message
    this.data = detail.data
    this.retryAt = detail.retryAt
  }
}

const refuse = (code: number, message: string): Refusal => new Refusal(400, code, message)

export const isRefusal = (value: unknown): value is Refusal => value instanceof Refusal

// The request.
export const illegalCharacters = (name: string, range: string) =>
  refuse(-1100, `Illegal characters found in parameter '${name}'; legal range is '${range}'.`)
export const duplicateParameter = refuse(-1101, "Duplicate values for a parameter detected.")
export const mandatory = (name: string) =>
  refuse(-1102, `Mandatory parameter '${name}' was not sent, was empty/null, or malformed.`)
export const mandatoryEither = (first: string, second: string) =>
  refuse(-1102, `Param '${first}' or '${second}' must be sent, but both were empty/null!`)
export const tooGreat = (name: string, limit: string) =>
  refuse(openQuestions.recvWindowTooGreat, `'${name}' contains unexpected value. Cannot be greater than ${limit}.`)
export const notAllRead = (read: number, sent: number) =>
  refuse(-1104, `Not all sent parameters were read; read '${read}' parameter(s) but was sent '${sent}'.`)
export const tooManyParameters = (most: number, sent: number) =>
  refuse(-1101, `Too many parameters; expected '${most}' and received '${sent}'.`)
export const overflowed = (name: string) => refuse(-1108, `Parameter '${name}' overflowed.`)
export const emptyParameter = (name: string) => refuse(-1105, `Parameter '${name}' was empty.`)
export const notRequired = (name: string) => refuse(-1106, `Parameter '${name}' sent when not required.`)
export const tooPrecise = (name: string) => refuse(-1111, `Parameter '${name}' has too much precision.`)
export const timeInForceNotRequired = refuse(-1114, "TimeInForce parameter sent when not required.")
export const invalidTimeInForce = refuse(-1115, "Invalid timeInForce.")
export const invalidType = refuse(-1116, "Invalid orderType.")
export const invalidSide = refuse(-1117, "Invalid side.")
export const invalidSymbol = refuse(-1121, "Invalid symbol.")
export const tooLongInterval = (hours: number) =>
  refuse(-1127, `More than ${hours} hours between startTime and endTime.`)
export const badCombination = refuse(-1128, "Combination of optional parameters invalid.")
export const fieldsTogether = (...names: ReadonlyArray<string>) =>
  refuse(-1128, `Fields [${names.join(", ")}] must be sent together or omitted entirely.`)
export const invalidPegPriceType = refuse(-1210, "Invalid pegPriceType.")
export const invalidPegOffsetType = refuse(-1211, "Invalid pegOffsetType.")
export const invalidValue = (name: string) => refuse(-1130, `Data sent for parameter '${name}' is not valid.`)
export const invalidTimeUnit = refuse(-1194, "Invalid value for time unit; expected either MICROSECOND or MILLISECOND.")
export const strategyTypeTooLow = refuse(-1134, "strategyType was less than 1000000.")
export const invalidRestrictions = refuse(-1145, openQuestions.invalidRestrictions)

// Credentials and timing.
export const tooOld = refuse(-1021, "Timestamp for this request is outside of the recvWindow.")
export const tooEarly = refuse(-1021, "Timestamp for this request was 1000ms ahead of the server's time.")
export const before2017 = refuse(
  openQuestions.timestampBefore2017,
  "Timestamp for this request is outside of the recvWindow."
)
export const farAhead = refuse(
  openQuestions.timestampFarAhead,
  "Timestamp for this request was 1000ms ahead of the server's time."
)
export const ofOtherLength = refuse(
  openQuestions.timestampOfOtherLength,
  "Timestamp for this request is outside of the recvWindow."
)
export const badSignature = refuse(-1022, "Signature for this request is not valid.")
export const badKeyFormat = new Refusal(401, -2014, "API-key format invalid.")
export const unknownKey = new Refusal(401, -2015, "Invalid API-key, IP, or permissions for action.")

// Filters and the engine.
export const filterFailure = (name: string) => refuse(-1013, `Filter failure: ${name}`)
export const invalidQuantity = refuse(-1013, "Invalid quantity.")
export const invalidPrice = refuse(-1013, "Invalid price.")
export const noSmartRouting = refuse(-1013, "This symbol has no SOR.")
export const preventionModeNotAllowed = refuse(
  -1013,
  "This symbol does not allow the specified self-trade prevention mode."
)
const rejectedOrder = (message: string) => refuse(-2010, message)
export const insufficientBalance = rejectedOrder("Account has insufficient balance for requested action.")
export const duplicateOrder = rejectedOrder("Duplicate order sent.")
export const wouldTake = rejectedOrder("Order would immediately match and take.")
export const wouldTrigger = rejectedOrder("Order would trigger immediately.")
export const badPrices = rejectedOrder("The relationship of the prices for the orders is not correct.")
export const marketClosed = rejectedOrder("Market is closed.")
export const worthNothing = rejectedOrder("Price * QTY is zero or less.")
export const tooLittleLiquidity = (than: "LOT_SIZE" | "MARKET_LOT_SIZE" | "symbol") =>
  rejectedOrder(
    than === "symbol"
      ? "Order book liquidity is less than symbol minimum quantity."
      : `Order book liquidity is less than ${than} filter minimum quantity.`
  )
export const icebergExceedsQuantity = rejectedOrder("IcebergQty exceeds QTY.")
export const unsupportedCombination = rejectedOrder("Unsupported order combination")
export const notSupported = (what: string) => rejectedOrder(`${what} orders are not supported for this symbol.`)
export const quoteQuantityNotSupported = rejectedOrder("Quote order qty market orders are not support for this symbol.")
export const ocoNotSupported = rejectedOrder("OCO orders are not supported for this symbol")
export const otoNotSupported = rejectedOrder("OTO orders are not supported for this symbol.")
export const opoNotSupported = rejectedOrder("OPO orders are not supported for this symbol.")
export const replaceNotSupported = rejectedOrder("Order cancel-replace is not supported for this symbol.")
export const countFilterFailure = (name: string) => refuse(openQuestions.countFilterCode, `Filter failure: ${name}`)
// Order lists.
export const notForPairs = refuse(-1158, "Order type not supported in OCO.")
export const icebergWithoutGtc = (name: string, timeInForce: string) =>
  refuse(-1160, `Parameter '${name}' is not supported if '${timeInForce}' is not GTC.`)
export const pairOutOfPlace = {
  [-1165]: refuse(-1165, "A limit order in a buy OCO must be below."),
  [-1166]: refuse(-1166, "A limit order in a sell OCO must be above."),
  [-1168]: refuse(-1168, "At least one OCO order must be contingent."),
  [-1196]: refuse(-1196, "A stop loss order in a buy OCO must be above."),
  [-1197]: refuse(-1197, "A stop loss order in a sell OCO must be below."),
  [-1198]: refuse(-1198, "A take profit order in a buy OCO must be below."),
  [-1199]: refuse(-1199, "A take profit order in a sell OCO must be above.")
} as const
export const paidWorkingMustBuy = refuse(-1222, "Working order in an OPO list must be a bid.")
export const paidPendingMustSell = refuse(-1223, "Pending orders in an OPO list must be asks.")
export const listDoesNotExist = refuse(-2013, "Order list does not exist.")

// Amendments and both halves of a cancel-replace.
export const amendRefusal = (message: string) => refuse(-2038, message)
export const amendIncreases = amendRefusal("Order amend (quantity increase) is not supported.")
export const amendChangesNothing = amendRefusal("The requested action would change no state; rejecting")
export const amendOfPendingPaidOrder = amendRefusal("Order amend (pending OPO order) is not supported.")
export const amendNotSupported = amendRefusal("Order amend is not supported for this symbol.")
export const amendFilterFailure = (name: string) => amendRefusal(`Filter failure: ${name}`)
export const partlyReplaced = (status: 409 | 429, detail: RefusalDetail) =>
  new Refusal(status, -2021, "Order cancel-replace partially failed.", detail)
export const notReplaced = (status: 400 | 429, detail: RefusalDetail) =>
  new Refusal(status, -2022, "Order cancel-replace failed.", detail)

export const unknownOrder = refuse(-2011, "Unknown order sent.")
export const restricted = refuse(-2011, "Order was not canceled due to cancel restrictions.")
export const archived = refuse(
  -2026,
  "Order was canceled or expired with no executed qty over 90 days ago and has been archived."
)
export const orderDoesNotExist = refuse(-2013, "Order does not exist.")
export const idsOfDifferentOrders = refuse(-2039, "Client order ID is not correct for this order ID.")

// Limits and the server itself.
export const tooMuchWeight = (limit: number, retryAt: number) =>
  new Refusal(
    429,
    -1003,
    `Too much request weight used; current limit is ${limit} request weight per 1 MINUTE. Please use WebSocket Streams for live updates to avoid polling the API.`,
    { retryAt }
  )
export const tooManyRequests = (retryAt: number) => new Refusal(429, -1003, "Too many requests queued.", { retryAt })
export const banned = (until: number) =>
  new Refusal(
    418,
    -1003,
    `Way too much request weight used; IP banned until ${until}. Please use WebSocket Streams for live updates to avoid bans.`,
    { retryAt: until }
  )
export const tooManyOrders = (limit: number, interval: string, retryAt: number) =>
  new Refusal(429, -1015, `Too many new orders; current limit is ${limit} orders per ${interval}.`, { retryAt })
export const tooManyConnections = (limit: number, retryAt: number) =>
  new Refusal(
    openQuestions.tooManyConnections,
    -1034,
    `Too many connection attempts from IP; current limit is ${limit} per '5 MINUTE'.`,
    { retryAt }
  )
export const shuttingDown = new Refusal(503, -1016, "This service is no longer available.")
/** Says nothing of the outcome. */
export const inDoubt = (code: keyof typeof openQuestions.statusInDoubt): Refusal =>
  new Refusal(openQuestions.statusInDoubt[code], code, doubts[code])
const doubts: Readonly<Record<keyof typeof openQuestions.statusInDoubt, string>> = {
  [-1000]: "An unknown error occurred while processing the request.",
  [-1001]: "Internal error; unable to process your request. Please try again.",
  [-1006]: "An unexpected response was received from the message bus. Execution status unknown.",
  [-1007]: "Timeout waiting for response from backend server. Send status unknown; execution status unknown.",
  [-1008]: "Server is currently overloaded with other requests. Please try again in a few minutes.",
  [-1016]: "This service is no longer available."
}
export const malformedRequest = refuse(-1000, "An unknown error occurred while processing the request.")

// The WebSocket API.
export const invalidJson = refuse(-1135, "Invalid JSON Request")
export const invalidInJson = (name: string, expected: string) =>
  refuse(-1135, `Invalid '${name}' in JSON request; expected ${expected}.`)
export const unknownMethod = new Refusal(
  openQuestions.unknownMethod.status,
  openQuestions.unknownMethod.code,
  "An unknown error occurred while processing the request."
)
export const blockedByFirewall = new Refusal(403, -1000, "An unknown error occurred while processing the request.")
export const alreadySubscribed = refuse(-2035, "User Data Stream subscription already active.")
export const notSubscribed = refuse(-2036, "User Data Stream subscription not active.")
export const subscriptionsUsedUp = refuse(-2042, "Maximum subscription ID reached for this connection.")
export const needsSession = new Refusal(
  openQuestions.subscribeWithoutSession.status,
  openQuestions.subscribeWithoutSession.code,
  "You are not authorized to execute this request."
)
export const cannotLogOn = (kind: string) => refuse(-4056, `${kind} API key is not supported.`)
