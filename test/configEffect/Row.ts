/** One key of config.yaml: where its effect is seen, and a test that another value than the default is seen there. */
export interface Row {
  readonly seenIn: string
  readonly test: () => Promise<void>
}

/** By the path of the key. */
export type Rows = Readonly<Record<string, Row>>

export const row = (seenIn: string, test: () => Promise<void>): Row => ({ seenIn, test })
