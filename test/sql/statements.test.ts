/** Where one statement of an .sql file ends. */
import { assert, describe, it } from "vitest"
import { statementsOf } from "../../src/sql/statements.ts"

describe("an .sql file is split at semicolons, except", () => {
  const cases: ReadonlyArray<readonly [where: string, text: string, statements: ReadonlyArray<string>]> = [
    ["in strings", `select ';', 'it''s;'; select 2`, [`select ';', 'it''s;'`, "select 2"]],
    [
      "in strings with backslashes",
      String.raw`select E'\';', e'\\'; select 2`,
      [String.raw`select E'\';', e'\\'`, "select 2"]
    ],
    [
      "but a backslash in a plain string hides nothing",
      String.raw`select '\'; select 2`,
      [String.raw`select '\'`, "select 2"]
    ],
    ["in quoted names", `select 1 as "a;""b"; select 2`, [`select 1 as "a;""b"`, "select 2"]],
    ["in comments of a line", "select 1 -- one; two\n; select 2", ["select 1 -- one; two", "select 2"]],
    [
      "in nested comments of a block",
      "select /* ; /* ; */ ; */ 1; select 2",
      ["select /* ; /* ; */ ; */ 1", "select 2"]
    ],
    ["in bodies between dollars", "do $$ begin; end; $$; select 2", ["do $$ begin; end; $$", "select 2"]],
    [
      "in bodies with a tag that hold other dollars",
      "do $a$ $$;$$ $b$;$b$ $a$; select 2",
      ["do $a$ $$;$$ $b$;$b$ $a$", "select 2"]
    ],
    [
      "but a parameter or a name with a dollar opens no body",
      "select $1; select a$b$; select 3",
      ["select $1", "select a$b$", "select 3"]
    ]
  ]
  for (const [where, text, statements] of cases) {
    it(where, () => {
      assert.deepStrictEqual(statementsOf(text), statements)
    })
  }
})

describe("what is no statement is left out:", () => {
  it("blanks, comments and stray semicolons", () => {
    assert.deepStrictEqual(statementsOf(" ;\n-- only a comment;\n/* and ; another */;;\n"), [])
  })

  it("but a comment before a statement travels with it", () => {
    assert.deepStrictEqual(statementsOf("-- why\nselect 1;"), ["-- why\nselect 1"])
  })
})
