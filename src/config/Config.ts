/**
 * What the program is configured to be: the keys decoded, and what follows from several of them together, so that no
 * part has to conclude it again. Made by `derive` and by nothing else.
 */
import type { Redacted } from "effect"
import type { Sections, SslMode } from "./keys.ts"

/** Which parts this process brings itself ("embedded") and which it finds at an address ("server"). */
export interface Parts {
  readonly database: "embedded" | "server"
  readonly kafka: "embedded" | "server"
  readonly exchange: "SIMULATOR" | "TESTNET"
  readonly exchangeEmbedded: boolean
  /** Asked for twice: what the exchange executes costs money, whatever `exchange` is called. */
  readonly realMoney: boolean
}

/** Where PostgreSQL is, as a driver wants it: `host` may be the folder of a Unix socket. */
export interface DatabaseTarget {
  readonly host: string
  readonly port: number
  readonly username: string
  readonly password: Redacted.Redacted
  readonly database: string
  readonly ssl_mode: SslMode
  /** Options of `tls.connect`: "require" encrypts, "verify-ca" asks who signed, "verify-full" also whom it names. */
  readonly tls: false | { readonly rejectUnauthorized: boolean; readonly checkServerIdentity?: () => undefined }
}

export interface Config extends Omit<Sections, "kafka"> {
  readonly kafka: Omit<Sections["kafka"], "create_topics"> & { readonly create_topics: boolean }
  readonly parts: Parts
  /** δ and T of the order protocol, by the kind of exchange unless `binance.delta_ms` or `staleness_ms` say else. */
  readonly margins: { readonly delta_ms: number; readonly staleness_ms: number }
  /** Only meant when `parts.database` is "server". `migrating` is `serving` unless `database.migrate_url` is given. */
  readonly connections: { readonly serving: DatabaseTarget; readonly migrating: DatabaseTarget }
}
