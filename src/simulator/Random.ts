/** Chance from a seed: the same seed gives the same market and the same faults. */

export interface Random {
  /** At least 0, below 1. */
  readonly next: () => number
  /** Whole, at least 0, below `bound`. */
  readonly below: (bound: number) => number
  /** Spread evenly over orders of magnitude between the two. */
  readonly logUniform: (low: number, high: number) => number
}

/** A 32-bit mixing generator: three multiplications per draw, which is all that a market needs. */
export const makeRandom = (seed: number): Random => {
  let state = seed >>> 0
  const next = (): number => {
    state = (state + 0x9e3779b9) >>> 0
    let mixed = state
    mixed = Math.imul(mixed ^ (mixed >>> 16), 0x21f0aaad)
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97)
    return ((mixed ^ (mixed >>> 15)) >>> 0) / 0x1_0000_0000
  }
  return {
    next,
    below: (bound) => Math.floor(next() * bound),
    logUniform: (low, high) => low * (high / low) ** next()
  }
}

/**
 * Chance for one named thing: what it draws depends on the seed and the name alone, not on what else draws meanwhile.
 * So requests that arrive in another order next time meet the same fate.
 */
export const randomOf = (seed: number, name: string): Random => {
  let hash = 0x811c9dc5 ^ seed
  for (let at = 0; at < name.length; at++) hash = Math.imul(hash ^ name.charCodeAt(at), 0x01000193)
  return makeRandom(hash)
}
