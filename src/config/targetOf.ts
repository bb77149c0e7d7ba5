/**
 * Where PostgreSQL is: one of the two database URLs, or the keys without one, made into what a driver wants.
 *
 * A URL may say less than the keys do, and may ask for an encryption that a variable of ours overrides.
 */
import { Redacted, Result } from "effect"
import type { DatabaseTarget } from "./Config.ts"
import type { Reject } from "./ConfigFaults.ts"
import { type Sections, type SslMode, sslModes } from "./keys.ts"

/** The address of a URL, or of the keys without one. What the URL leaves out, but for the password, the keys say. */
export const targetOf = (
  database: Sections["database"],
  which: "url" | "migrate_url",
  ownSslMode: SslMode | undefined,
  reject: Reject
): DatabaseTarget => {
  const path = `database.${which}`
  const given = Redacted.value(database[which])
  const fromKeys: DatabaseTarget = {
    host: database.host,
    port: database.port,
    username: database.username,
    password: database.password,
    database: database.name,
    ssl_mode: database.ssl_mode,
    tls: tlsOf[database.ssl_mode]
  }
  if (given === "") {
    if (Redacted.value(database.password) === "") {
      reject("database.password", "must be given, or database.url instead of it", "")
    }
    return fromKeys
  }
  const url = URL.parse(given)
  const parts =
    url === null
      ? []
      : [url.hostname, url.username, url.password, url.pathname.slice(1)].map((part) =>
          Result.getOrUndefined(Result.try(() => decodeURIComponent(part)))
        )
  const [host, username, password, name] = parts
  if (
    url === null ||
    !/^postgres(ql)?:$/.test(url.protocol) ||
    host === undefined ||
    username === undefined ||
    password === undefined ||
    name === undefined
  ) {
    reject(path, "must be postgres://user:password@host:port/database, special characters as %XX", "something else")
    return fromKeys
  }
  const asked = url.searchParams.get("sslmode")
  const known = sslModes.find((mode) => mode === asked)
  if (asked !== null && known === undefined) reject(path, `must ask for an sslmode of ${sslModes.join(", ")}`, asked)
  const ssl_mode = ownSslMode ?? known ?? database.ssl_mode
  return {
    host: (host.replace(/^\[|\]$/g, "") || url.searchParams.get("host")) ?? database.host,
    port: url.port === "" ? Number(url.searchParams.get("port") ?? 5432) : Number(url.port),
    username: username || database.username,
    password: Redacted.make(password, { label: path }),
    database: name || database.name,
    ssl_mode,
    tls: tlsOf[ssl_mode]
  }
}

const tlsOf: { readonly [M in SslMode]: DatabaseTarget["tls"] } = {
  disable: false,
  require: { rejectUnauthorized: false },
  "verify-ca": { rejectUnauthorized: true, checkServerIdentity: () => undefined },
  "verify-full": { rejectUnauthorized: true }
}
