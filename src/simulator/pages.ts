/** Answers of the front end, which is no part of the API: pages of HTML, as its web server and its firewall give them. */

/** Something that goes out instead of an answer. */
export interface Page {
  readonly status: number
  readonly type: string
  readonly text: string
  readonly retryAfterSeconds?: number
  /** The connection is cut where the text ends, though more was promised. */
  readonly isCut?: boolean
}

export const htmlPage = (status: number, reason: string): Page => {
  const title = `${status} ${reason}`
  const lines = [
    "<html>",
    `<head><title>${title}</title></head>`,
    "<body>",
    `<center><h1>${title}</h1></center>`,
    "<hr><center>nginx</center>",
    "</body>",
    "</html>",
    ""
  ]
  return { status, type: "text/html", text: lines.join("\r\n") }
}

/** Of the API's own server. */
export const notFoundPage: Page = {
  status: 404,
  type: "text/html",
  text: "<html><body><h2>404 Not found</h2></body></html>"
}
export const gonePage = htmlPage(410, "Gone")
export const forbiddenPage = htmlPage(403, "Forbidden")
