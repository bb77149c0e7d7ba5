/**
 * Certificates for a broker of the tests, made by the openssl of this machine: an authority, a server on 127.0.0.1, two
 * clients, and an authority that nobody trusts with a client of its own. They live as long as their folder.
 */
import { execFile } from "node:child_process"
import { writeFileSync } from "node:fs"
import { readFile } from "node:fs/promises"
import { join } from "node:path"
import { promisify } from "node:util"

const run = promisify(execFile)
/** Making a key takes milliseconds; a machine with both cores busy needs more. */
const timeoutMs = 30_000

export interface ClientCertificate {
  readonly cert: string
  readonly key: string
}

/** Paths of PEM files. */
export interface Certificates {
  readonly ca: string
  /** Key and certificate in one file, as a broker wants it. */
  readonly server: string
  readonly client: ClientCertificate
  /** To change over to. */
  readonly nextClient: ClientCertificate
  readonly otherCa: string
  readonly otherClient: ClientCertificate
}

/** Null when openssl is there, else why these cannot be made. */
export const opensslMissing = async (): Promise<string | null> => {
  try {
    await run("openssl", ["version"], { timeout: timeoutMs })
    return null
  } catch {
    return "no openssl on the PATH to make certificates with"
  }
}

export const makeCertificates = async (folder: string): Promise<Certificates> => {
  const at = (name: string) => join(folder, name)
  const openssl = (...args: ReadonlyArray<string>) => run("openssl", [...args], { timeout: timeoutMs })
  const newKey = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]

  const authority = async (name: string) => {
    const files = ["-keyout", at(`${name}.key`), "-out", at(`${name}.pem`)]
    await openssl("req", "-x509", ...newKey, ...files, "-days", "2", "-subj", `/CN=${name}`)
  }
  const signed = async (name: string, extensions: string, authority = "ca") => {
    writeFileSync(at(`${name}.ext`), extensions)
    await openssl("req", ...newKey, "-keyout", at(`${name}.key`), "-out", at(`${name}.csr`), "-subj", `/CN=${name}`)
    const by = ["-CA", at(`${authority}.pem`), "-CAkey", at(`${authority}.key`), "-CAcreateserial"]
    const files = ["-in", at(`${name}.csr`), "-out", at(`${name}.pem`), "-extfile", at(`${name}.ext`)]
    await openssl("x509", "-req", ...files, ...by, "-days", "2")
  }

  await Promise.all([authority("ca"), authority("other")])
  // One after the other: each writes the authority's next serial number.
  await signed("server", "subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth\n")
  const client = async (name: string, authority = "ca"): Promise<ClientCertificate> => {
    await signed(name, "extendedKeyUsage=clientAuth\n", authority)
    return { cert: at(`${name}.pem`), key: at(`${name}.key`) }
  }
  const clients = {
    client: await client("client"),
    nextClient: await client("next-client"),
    otherClient: await client("other-client", "other")
  }
  const both = await Promise.all([readFile(at("server.key"), "utf8"), readFile(at("server.pem"), "utf8")])
  writeFileSync(at("broker.pem"), both.join(""))
  return {
    ca: at("ca.pem"),
    server: at("broker.pem"),
    ...clients,
    otherCa: at("other.pem")
  }
}
