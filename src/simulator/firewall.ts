/** The firewall before the API: values that read like SQL never reach it. */
import { openQuestions } from "./openQuestions.ts"

const firstWords = openQuestions.firewallWords.map((word) => word.split(" ")[0])
/** In raw text a word ends before what is no letter, an escape too. */
const anyWord = new RegExp(`(?:${firstWords.join("|")})(?![a-z])`, "i")
/** Words stand alone, between whatever is no letter and no digit. */
const words = new RegExp(
  openQuestions.firewallWords.map((word) => `(?<![a-z0-9])${word.replaceAll(" ", "[^a-z0-9]+")}(?![a-z0-9])`).join("|"),
  "i"
)

/** The raw text is enough to let nearly everything pass; only then are its values looked at. */
export const isBlocked = (raw: string, values: ReadonlyMap<string, string>): boolean => {
  if (!anyWord.test(raw)) return false
  for (const value of values.values()) if (words.test(value)) return true
  return false
}
