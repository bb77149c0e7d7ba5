/**
 * Splits the text of an .sql file into its statements: the driver sends one at a time.
 *
 * Knows what may hide a semicolon: quotes, quoted names, E'' with backslashes, $tag$ bodies, comments of both kinds
 * (blocks nest). A piece that is only comments and blanks is no statement.
 */
export const statementsOf = (text: string): ReadonlyArray<string> => {
  const statements: Array<string> = []
  let start = 0
  let isEmpty = true
  const end = (at: number) => {
    if (!isEmpty) statements.push(text.slice(start, at).trim())
    start = at + 1
    isEmpty = true
  }
  for (let at = 0; at < text.length;) {
    if (text[at] === ";") {
      end(at)
      at += 1
      continue
    }
    const comment = afterComment(text, at)
    if (comment > at) {
      at = comment
      continue
    }
    if (!/\s/.test(text[at]!)) isEmpty = false
    at = afterQuoted(text, at)
  }
  end(text.length)
  return statements
}

const afterComment = (text: string, at: number): number => {
  if (text.startsWith("--", at)) return after(text, "\n", at)
  if (!text.startsWith("/*", at)) return at
  let depth = 0
  const edge = /\/\*|\*\//g
  edge.lastIndex = at
  for (let found = edge.exec(text); found !== null; found = edge.exec(text)) {
    depth += found[0] === "/*" ? 1 : -1
    if (depth === 0) return edge.lastIndex
  }
  return text.length
}

/** Behind whatever begins here: a string, a quoted name, a dollar-quoted body, or one character. */
const afterQuoted = (text: string, at: number): number => {
  const character = text[at]
  // A doubled quote ends one string and begins the next, which comes to the same.
  if (character === "'") return isEscapeString(text, at) ? afterEscapeString(text, at) : after(text, "'", at + 1)
  if (character === '"') return after(text, '"', at + 1)
  const tag =
    character === "$" && !isInWord(text, at) ? /^\$(?:[A-Za-z_]\w*)?\$/.exec(text.slice(at, at + 66))?.[0] : undefined
  return tag === undefined ? at + 1 : after(text, tag, at + tag.length)
}

const isEscapeString = (text: string, at: number) => /[eE]/.test(text[at - 1] ?? "") && !isInWord(text, at - 1)

const isInWord = (text: string, at: number) => /[\w$]/.test(text[at - 1] ?? "")

const afterEscapeString = (text: string, at: number): number => {
  const rest = /^'(?:[^'\\]|\\[\s\S])*'/.exec(text.slice(at))
  return rest === null ? text.length : at + rest[0].length
}

const after = (text: string, what: string, from: number): number => {
  const found = text.indexOf(what, from)
  return found === -1 ? text.length : found + what.length
}
