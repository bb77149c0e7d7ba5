/**
 * Who may import whom, and what may stand in one place only: the architecture as data.
 *
 * A room is a folder of src, or one of the four files beside the folders; config.ts and the folder config/ behind it are
 * one. A room may import rooms of a lower level, never one of its own level; the exceptions below are all there are.
 */

export const levels: Readonly<Record<string, number>> = {
  domain: 0,
  config: 1,
  telemetry: 2,
  sql: 3,
  kafka: 3,
  binance: 3,
  simulator: 3,
  audit: 4,
  engine: 5,
  http: 6,
  commands: 6,
  web: 7,
  main: 7,
  cli: 8
}

/** Rooms that see less than their level allows: an independent judge, and a page that knows only the contract. */
export const seesOnly: Readonly<Record<string, ReadonlyArray<string>>> = {
  simulator: [],
  web: ["src/http/Api.ts"]
}

/** Rooms that only these may import. */
export const seenOnlyBy: Readonly<Record<string, ReadonlyArray<string>>> = {
  simulator: ["main", "cli"]
}

/** Rooms with a door: from elsewhere, tools and tests of other rooms too, only this one file may be imported. */
export const doors: Readonly<Record<string, string>> = {
  config: "src/config.ts"
}

/** Text that may stand only in certain rooms or files of src. Comments are not looked at. */
export interface OnePlace {
  readonly rule: string
  readonly pattern: RegExp
  /** Rooms (`sql`) or files (`src/cli.ts`). */
  readonly only: ReadonlyArray<string>
}

// A whole statement at the head of a string: a word of English prose such as "update" alone is not SQL.
const statement =
  /["'`]\s*(select\s[^"'`]*\sfrom\s|insert\s+into\s|update\s+[\w.]+\s+set\s|delete\s+from\s|with\s+\w+\s+as\s*\(|(create|alter|drop)\s+(table|role|view|index|schema|database|function)\s|truncate\s+[\w.]|begin["'`]|commit["'`])/i

export const onePlaces: ReadonlyArray<OnePlace> = [
  { rule: "SQL only in sql/", pattern: statement, only: ["sql"] },
  { rule: "SQL only in sql/", pattern: /\bsql(\.\w+)?(<[^>`]*>)?`/, only: ["sql"] },
  { rule: "SQL only in sql/", pattern: /from "(effect\/sql|@effect\/sql-pg|pg)(\/[^"]*)?"/, only: ["sql"] },
  { rule: "kafkajs only in kafka/", pattern: /["']kafkajs(\/[^"']*)?["']/, only: ["kafka"] },
  {
    rule: "Binance paths only in binance/ and simulator/",
    pattern: /\/(api\/v3|sapi\/v\d)\b/,
    only: ["binance", "simulator"]
  },
  {
    // -1000 to -1199 and -2008 to -2043: the codes of the exchange's errors.
    rule: "Binance codes only in binance/ and simulator/",
    pattern: /(?<![\w.)\]] ?)-(1[01]\d\d|20[0-4]\d)\b(?!\.)/,
    only: ["binance", "simulator"]
  },
  { rule: "process.exit only in cli.ts", pattern: /\bprocess\s*\.\s*exit\b/, only: ["src/cli.ts"] },
  { rule: "process.env only in config.ts", pattern: /\bprocess\s*\.\s*env\b/, only: ["src/config.ts"] },
  {
    rule: "process is used by its global name, so that the two rules above see it",
    pattern: /import\s*\{[^}]*\b(env|exit)\b[^}]*\}\s*from "(node:)?process"/,
    only: []
  }
]

/** Rooms whose time, chance and ids come from services. */
export const pureRooms: ReadonlyArray<string> = ["domain", "engine"]

export const impureWords: ReadonlyArray<RegExp> = [
  /\bDate\.now\b/,
  /\bnew Date\(\s*\)/,
  /\bMath\.random\b/,
  /\bsetTimeout\b/,
  /\bPromise\b/,
  /\brandomUUID\b/
]

/** Names that say nothing about what is inside. */
export const emptyNames: ReadonlySet<string> = new Set([
  "utils",
  "util",
  "helpers",
  "helper",
  "common",
  "shared",
  "types",
  "index",
  "misc"
])

/** What may lie at the top of the repository; anything else wants a decision record and a line here. */
export const topLevel: ReadonlySet<string> = new Set([
  "schema",
  "src",
  "test",
  "bench",
  "tools",
  "deploy",
  "docs",
  "config.yaml",
  "docker-compose.yml",
  "Dockerfile",
  "package.json",
  "package-lock.json",
  "tsconfig.json",
  "README.md",
  "ARCHITECTURE.md",
  "CONTRIBUTING.md",
  "CHANGELOG.md",
  "SECURITY.md",
  "LICENSE",
  ".env.example",
  ".ci",
  ".oxlintrc.json",
  ".oxfmtrc.json",
  "vitest.config.ts",
  ".gitignore",
  ".dockerignore",
  ".npmrc"
])
