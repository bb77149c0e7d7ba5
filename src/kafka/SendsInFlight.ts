/**
 * Since when each lane's send has had no answer: whether Kafka is slow now, and whether a send hangs for good.
 *
 * A send is bounded by the client's finite retries; one that outlives every bound is a fault of the client that no wait
 * mends, and since it may still be stored, only the end of the process ends it. In real time: it watches sockets.
 */

/** An answered send takes milliseconds; kafkajs itself waits much longer before it calls one lost. */
const slowMillis = 2_000
/** Twice what a send takes at worst until it is given up. */
const hangingMillis = 60_000

export class SendsInFlight {
  /** By topic and lane. */
  private readonly since = new Map<string, number>()

  begins(name: string, now: number): void {
    this.since.set(name, now)
  }

  ends(name: string): void {
    this.since.delete(name)
  }

  has(name: string): boolean {
    return this.since.has(name)
  }

  /** Why what is sent now does not arrive in time, or null. */
  slow(now: number): string | null {
    const waited = now - Math.min(...this.since.values())
    return waited > slowMillis ? `Kafka has not answered a send for ${Math.round(waited / 1_000)} s` : null
  }

  /** One sentence for each lane that stands still. */
  hanging(now: number): ReadonlyArray<string> {
    return [...this.since]
      .filter(([, since]) => now - since > hangingMillis)
      .map(([name, since]) => {
        const seconds = Math.round((now - since) / 1_000)
        return `a send to ${name} has had no answer for ${seconds} s: restart this process`
      })
  }
}
