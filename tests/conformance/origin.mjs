// The suite's origin server: the package's own request handlers, bound to loopback only (its server.mjs binds every
// interface), plus two fields of ours per request: `interim_responses` and `response_pause`.

import http from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import handleConfig from 'http-cache-tests/server/handle-config.mjs'
import handleState from 'http-cache-tests/server/handle-state.mjs'
import handleTest from 'http-cache-tests/server/handle-test.mjs'
import { configs } from 'http-cache-tests/server/utils.mjs'

export const READY_PATH = '/conformance-ready'

/** Starts the origin on 127.0.0.1 (port 0: any free one). `nonce` is what the ready path answers. */
export function startOrigin (port, nonce) {
  const server = http.createServer((request, response) => {
    handle(request, response, nonce).catch(error => {
      if (response.headersSent) {
        response.destroy()
      } else {
        response.writeHead(500, { 'Content-Type': 'text/plain', 'Cache-Control': 'no-store' })
        response.end(`origin: ${error.message}\n`)
      }
    })
  })
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, '127.0.0.1', () => resolve(server))
  })
}

async function handle (request, response, nonce) {
  const { pathname } = new URL(request.url, 'http://origin')
  const [, dispatch, ...segments] = pathname.split('/')
  if (pathname === READY_PATH) {
    response.writeHead(200, { 'Content-Type': 'text/plain', 'Cache-Control': 'no-store' })
    response.end(nonce)
  } else if (dispatch === 'config') {
    handleConfig(segments, request, response)
  } else if (dispatch === 'state') {
    handleState(segments, request, response)
  } else if (dispatch === 'test') {
    await beforeTest(segments[0], request, response)
    if (!response.destroyed) handleTest(segments, request, response)
  } else {
    response.writeHead(404, { 'Content-Type': 'text/plain', 'Cache-Control': 'no-store' })
    response.end('not found\n')
  }
}

async function beforeTest (uuid, request, response) {
  const config = configs.get(uuid)?.[parseInt(request.headers['req-num']) - 1]
  for (const [status, headers = []] of config?.interim_responses ?? []) {
    if (status === 102) {
      response.writeProcessing()
    } else if (status === 103) {
      response.writeEarlyHints(Object.fromEntries(headers))
    } else {
      throw new Error(`cannot send interim status ${status}`)
    }
  }
  if (config?.response_pause) await sleep(config.response_pause * 1000)
}
