/**
 * The memory of a running program after a full collection, asked through its inspector (`node --inspect=…`), so that
 * the program itself runs as anyone runs it.
 */

export interface Memory {
  readonly heapUsed: number
  readonly heapTotal: number
  readonly external: number
  readonly rss: number
}

interface Evaluated {
  readonly result: { readonly value: string }
}

export const heapOf = async (inspectPort: number): Promise<Memory> => {
  const targets = (await (await fetch(`http://127.0.0.1:${inspectPort}/json`)).json()) as ReadonlyArray<{
    webSocketDebuggerUrl: string
  }>
  const socket = new WebSocket(targets[0]!.webSocketDebuggerUrl)
  // A program that dies meanwhile closes the connection, and nobody must wait for its answer.
  const gone = new Promise<never>((_, reject) => {
    const leave = () => reject(new Error("the program is gone"))
    socket.addEventListener("error", leave)
    socket.addEventListener("close", leave)
  })
  gone.catch(() => {})
  await Promise.race([gone, new Promise((resolve) => socket.addEventListener("open", resolve))])
  let id = 0
  const call = (method: string, params: object = {}): Promise<Evaluated> => {
    const mine = ++id
    const answered = new Promise<Evaluated>((resolve) => {
      const onMessage = (event: MessageEvent) => {
        const answer = JSON.parse(String(event.data)) as { readonly id?: number; readonly result: Evaluated }
        if (answer.id !== mine) return
        socket.removeEventListener("message", onMessage)
        resolve(answer.result)
      }
      socket.addEventListener("message", onMessage)
    })
    socket.send(JSON.stringify({ id: mine, method, params }))
    return Promise.race([gone, answered])
  }
  try {
    await call("HeapProfiler.enable")
    await call("HeapProfiler.collectGarbage")
    await call("HeapProfiler.collectGarbage")
    const answer = await call("Runtime.evaluate", { expression: "JSON.stringify(process.memoryUsage())" })
    return JSON.parse(answer.result.value) as Memory
  } finally {
    socket.close()
  }
}
