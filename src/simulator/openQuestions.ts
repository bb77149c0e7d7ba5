/**
 * Where Binance's documentation is silent or contradicts itself about the edge of the exchange: one line a question,
 * with the answer chosen. A recording of the real exchange corrects a line, and with it the simulator.
 */

/** What is looked at before the engine is asked. The first that is not well is what the client gets to read. */
export type Complaint = "keyForm" | "duplicates" | "tooMany" | "parameters" | "unread" | "time" | "signature" | "key"

/** What is looked at once a signed order is known to be for a symbol, before its filters and the engine. */
export type OrderComplaint =
  | "type"
  | "side"
  | "timeInForce"
  | "fields"
  | "preventionMode"
  | "strategyType"
  | "precision"
  | "zeros"

export const openQuestions = {
  /** The order of complaints. Of an unknown key no signature can be wrong, but its payload can. */
  complaints: [
    "keyForm",
    "duplicates",
    "tooMany",
    "parameters",
    "unread",
    "time",
    "signature",
    "key"
  ] satisfies ReadonlyArray<Complaint>,
  /** The order of complaints about an order; "fields" are those that its type wants or does not want. */
  orderComplaints: [
    "type",
    "side",
    "timeInForce",
    "fields",
    "preventionMode",
    "strategyType",
    "precision",
    "zeros"
  ] satisfies ReadonlyArray<OrderComplaint>,
  /** The code of filters that count open orders: seen as the engine's, documented as the API's -1013. */
  countFilterCode: -2010 as -2010 | -1013,
  /** What placing a list answers when nothing else is asked for; the samples show RESULT. */
  listResponseType: "RESULT" as "ACK" | "RESULT" | "FULL",
  /** What a symbol does about self-trades by itself: NONE in all samples, EXPIRE_MAKER seen on the testnet in 2025. */
  defaultPreventionMode: "NONE" as "NONE" | "EXPIRE_MAKER",
  /** What an amendment to the executed quantity or below does: the order has nothing left to do, and expires. */
  amendToNothing: "expires" as "expires" | "refused",
  /** The HTTP status of the codes that say nothing of the outcome. */
  statusInDoubt: { [-1000]: 500, [-1001]: 500, [-1006]: 504, [-1007]: 504, [-1008]: 503, [-1016]: 503 },
  /** `recvWindow` above 60000: -1102 in the current list of errors, -1131 in the changelog of 2019. */
  recvWindowTooGreat: -1102,
  /** -1145: as the two pages of the API show it; the list of errors has a sentence about the two values. */
  invalidRestrictions: "Invalid cancelRestrictions",
  /** A timestamp before 2017 is refused, with which code is not said. */
  timestampBefore2017: -1021,
  /** A timestamp more than 10 s ahead is refused, with which code is not said. */
  timestampFarAhead: -1021,
  /** A timestamp that is neither of 13 nor of 16 digits. */
  timestampOfOtherLength: -1021,
  /** A signed request of the WebSocket API without `apiKey` and session: as REST without its header, or -1102. */
  webSocketKeyMissing: -2014 as -2014 | -1102,
  /** A method of the WebSocket API that does not exist. */
  unknownMethod: { status: 404, code: -1000 },
  /** A subscription that is wanted without a session. */
  subscribeWithoutSession: { status: 401, code: -1002 },
  /** How many requests in a minute are refused with 429 before the address is banned. */
  refusalsBeforeBan: 10,
  /** Each further ban of an address lasts so many times as long as its last. */
  banGrowth: 2,
  /** What an order's first fill as maker gives back of the unfilled order count; the exchange's own example. */
  makerCredit: 5,
  /**
   * The ends of an order after which its client order id is accepted again. Documented for filled and expired orders;
   * "unique among open orders" suggests the rest.
   */
  clientOrderIdFreeAfter: ["FILLED", "EXPIRED", "EXPIRED_IN_MATCH", "CANCELED", "REJECTED"],
  /** Where a client order id is unique among open orders: in its symbol, or in the whole account ("account"). */
  clientOrderIdScope: "symbol" as "symbol" | "account",
  /** Words in a value that make the firewall answer. */
  firewallWords: ["select", "union", "insert", "drop", "truncate", "alter", "delete from", "or 1 1"],
  /** A connection over the limit of 300 in five minutes is refused while it opens, with this status. */
  tooManyConnections: 429
} as const
