// Client side: a fetch with a time limit, a raw client that sees interim responses, and what scripted tests are given.

import http from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import nodeFetch, { Headers, Response } from 'node-fetch'
import { AssertionError, SetupError, token } from 'http-cache-tests/lib/utils.mjs'

const REQUEST_TIMEOUT_MS = 20_000

/** The `fetch` given to the suite. Tests named in `interimIds` go through the raw client; `seen(id, number, list)` is told what came. */
export function makeFetch (interimIds, seen) {
  return async function fetch (url, init = {}) {
    const header = name => init.headers?.find(([key]) => key === name)?.[1]
    if (interimIds.has(header('Test-ID'))) {
      const answer = await rawRequest(url, init)
      seen(header('Test-ID'), parseInt(header('Req-Num')), answer.interim)
      return new Response(answer.body, { status: answer.status, headers: new Headers(answer.pairs) })
    }
    return nodeFetch(url, { ...init, signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS) })
  }
}

/** One request on its own connection; resolves when the whole body is in. */
export function rawRequest (url, { method = 'GET', headers = [], body } = {}) {
  return new Promise((resolve, reject) => {
    const interim = []
    const request = http.request(url, { method, agent: false, signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS) })
    const values = new Map()
    for (const [name, value] of headers) values.set(name, [...(values.get(name) ?? []), value])
    for (const [name, list] of values) request.setHeader(name, list.length === 1 ? list[0] : list)
    request.on('information', info => interim.push([info.statusCode, info.headers]))
    request.on('error', reject)
    request.on('response', response => {
      const chunks = []
      response.on('data', chunk => chunks.push(chunk))
      response.on('error', reject)
      response.on('end', () => {
        const pairs = []
        for (let i = 0; i < response.rawHeaders.length; i += 2) pairs.push([response.rawHeaders[i], response.rawHeaders[i + 1]])
        resolve({ status: response.statusCode, headers: response.headers, pairs, interim, body: Buffer.concat(chunks).toString() })
      })
    })
    request.end(body)
  })
}

/** Compares the interim responses that arrived with a request's `expected_interim_responses`; throws what differs. */
export function checkInterim (number, expected, arrived = []) {
  expected.forEach(([status, headers = []], index) => {
    const got = arrived[index]
    if (got?.[0] !== status) {
      throw new AssertionError({ message: `Response ${number}: interim response ${index + 1} is ${got?.[0] ?? 'missing'}, not ${status}` })
    }
    for (const [name, value] of headers) {
      if (got[1][name.toLowerCase()] !== value) {
        throw new AssertionError({ message: `Response ${number}: interim header ${name} is "${got[1][name.toLowerCase()]}", not "${value}"` })
      }
    }
  })
}

/** What a scripted test (`run: async t => ...`) works with. */
export class Script {
  uuid = token()
  #stateReads = 0

  constructor (base, id) {
    this.base = base
    this.id = id
  }

  /** Tells the origin what to answer: one entry per request number, in the suite's own field names. */
  async configure (requests) {
    const body = JSON.stringify(requests.map(request => ({ ...request, id: this.id })))
    const answer = await rawRequest(`${this.base}/config/${this.uuid}`, { method: 'PUT', headers: [['Content-Type', 'application/json']], body })
    this.setup(answer.status === 201, `PUT config resulted in ${answer.status}`)
  }

  /** Sends request `number` (from 1). `origin` in the answer: how many requests the origin had seen, NaN if it made no part of it. */
  async send (number, { file, method, headers = [], body } = {}) {
    const url = `${this.base}/test/${this.uuid}${file ? `/${file}` : ''}`
    const answer = await rawRequest(url, { method, body, headers: [...headers, ['Test-ID', this.id], ['Req-Num', String(number)]] })
    return { ...answer, origin: parseInt(answer.headers['server-request-count']), answersRequest: parseInt(answer.headers['client-request-count']) }
  }

  /** The requests that the origin saw. */
  async state () {
    const answer = await rawRequest(`${this.base}/state/${this.uuid}?read=${++this.#stateReads}`, {})
    return answer.status === 200 ? JSON.parse(answer.body) : []
  }

  pause (seconds) {
    return sleep(seconds * 1000)
  }

  /** A condition without which the test says nothing. */
  setup (condition, message) {
    if (!condition) throw new SetupError({ message })
  }

  /** What the test is about. */
  check (condition, message) {
    if (!condition) throw new AssertionError({ message })
  }
}
