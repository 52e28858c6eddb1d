// RFC 5861 (stale-while-revalidate, stale-if-error) and RFC 9111 4.2.4, 5.2.2.2, 5.2.2.8: when stale may be served.

const DOWN = [[500, 'Internal Server Error'], [502, 'Bad Gateway'], [503, 'Service Unavailable'], [504, 'Gateway Timeout']]
const first = cacheControl => ({ setup: true, pause_after: true, response_headers: [['Cache-Control', cacheControl], ['ETag', '"s1"']] })

/** After the pause the response is stale; nothing in `cacheControl` lets it be served without asking the origin. */
const mustAsk = (id, cacheControl, kind = 'required') => ({
  name: `HTTP cache must not reuse a stale response with \`${cacheControl}\` without asking the origin`,
  id: `x-swr-${id}`,
  kind,
  depends_on: ['x-swr-served'],
  requests: [first(cacheControl), { expected_type: 'not_cached' }]
})

/** The origin hangs up; the cache has only a stale response that it may not serve. Any 5xx of its own is right. */
const mustFail = (id, cacheControl) => ({
  name: `HTTP cache must answer with an error when the origin hangs up and the stored response has \`${cacheControl}\``,
  id: `x-sie-${id}`,
  run: async t => {
    await t.configure([{ response_headers: [['Cache-Control', cacheControl]] }, { disconnect: true }])
    const stored = await t.send(1)
    t.setup(stored.status === 200, `Response 1 status is ${stored.status}`)
    await t.pause(3)
    const answer = await t.send(2)
    t.check(answer.status >= 500 && Number.isNaN(answer.origin), `Response 2 status is ${answer.status}, from ${Number.isNaN(answer.origin) ? 'the cache itself' : 'storage'}`)
  }
})

export default {
  name: 'Stale responses',
  id: 'x-stale',
  tests: [
    {
      name: 'An optimal HTTP cache serves a stale response within `stale-while-revalidate`',
      id: 'x-swr-served',
      kind: 'optimal',
      depends_on: ['freshness-max-age'],
      requests: [first('max-age=1, stale-while-revalidate=60'), { expected_type: 'cached' }]
    },
    {
      name: 'An optimal HTTP cache has a fresh response after serving a stale one within `stale-while-revalidate`',
      id: 'x-swr-refreshed',
      kind: 'optimal',
      depends_on: ['x-swr-served'],
      requests: [
        { setup: true, pause_after: true, response_headers: [['Cache-Control', 'max-age=1, stale-while-revalidate=60']] },
        { setup: true, pause_after: true, expected_type: 'cached', response_headers: [['Cache-Control', 'max-age=3600']] },
        { expected_type: 'cached', expected_response_headers: [['Client-Request-Count', '2']] }
      ]
    },
    {
      name: 'An optimal HTTP cache validates in the background within `stale-while-revalidate`, when there is an entity tag',
      id: 'x-swr-validates',
      kind: 'optimal',
      depends_on: ['x-swr-served'],
      run: async t => {
        const cacheControl = ['Cache-Control', 'max-age=1, stale-while-revalidate=60']
        await t.configure([
          { response_headers: [cacheControl, ['ETag', '"s2"']] },
          { response_headers: [cacheControl, ['ETag', '"s2"']], expected_type: 'etag_validated' }
        ])
        await t.send(1)
        await t.pause(3)
        const stale = await t.send(2)
        t.setup(stale.answersRequest === 1, 'Response 2 does not come from cache')
        await t.pause(1)
        const [, second] = await t.state()
        t.check(second?.request_headers['if-none-match'] === '"s2"', `the background request had If-None-Match ${second?.request_headers['if-none-match']}`)
      }
    },
    {
      name: 'An optimal HTTP cache sends one background request for many stale hits',
      id: 'x-swr-one-request',
      kind: 'optimal',
      depends_on: ['x-swr-served'],
      run: async t => {
        const answer = { response_headers: [['Cache-Control', 'max-age=1, stale-while-revalidate=60']] }
        await t.configure([answer, ...Array.from({ length: 6 }, () => ({ ...answer, response_pause: 1 }))])
        await t.send(1)
        await t.pause(3)
        const hits = await Promise.all([2, 3, 4, 5, 6, 7].map(number => t.send(number)))
        t.setup(hits.every(hit => hit.answersRequest === 1), 'not every response comes from cache')
        await t.pause(2)
        const seen = (await t.state()).length
        t.check(seen === 2, `the origin saw ${seen} requests, not 2`)
      }
    },
    {
      name: 'An optimal HTTP cache does not make the client wait for the background request within `stale-while-revalidate`',
      id: 'x-swr-does-not-wait',
      kind: 'optimal',
      depends_on: ['x-swr-served'],
      run: async t => {
        const headers = { response_headers: [['Cache-Control', 'max-age=1, stale-while-revalidate=60']] }
        await t.configure([headers, { ...headers, response_pause: 3 }])
        await t.send(1)
        await t.pause(3)
        const from = Date.now()
        const stale = await t.send(2)
        t.setup(stale.answersRequest === 1, 'Response 2 does not come from cache')
        t.check(Date.now() - from < 2000, `Response 2 took ${Date.now() - from} ms`)
      }
    },
    {
      name: 'An optimal HTTP cache keeps serving stale within `stale-while-revalidate` when the background request fails',
      id: 'x-swr-background-fails',
      kind: 'optimal',
      depends_on: ['x-swr-served'],
      requests: [
        { setup: true, pause_after: true, response_headers: [['Cache-Control', 'max-age=1, stale-while-revalidate=60, stale-if-error=60']] },
        { setup: true, pause_after: true, expected_type: 'cached', response_status: [503, 'Service Unavailable'], expected_status: 200 },
        { expected_type: 'cached', response_status: [503, 'Service Unavailable'], expected_status: 200 }
      ]
    },
    mustAsk('window', 'max-age=1, stale-while-revalidate=1'),
    mustAsk('zero', 'max-age=1, stale-while-revalidate=0'),
    mustAsk('invalid', 'max-age=1, stale-while-revalidate=abc'),
    mustAsk('must-revalidate', 'max-age=1, stale-while-revalidate=60, must-revalidate'),
    mustAsk('proxy-revalidate', 'max-age=1, stale-while-revalidate=60, proxy-revalidate'),
    mustAsk('no-cache', 'max-age=1, stale-while-revalidate=60, no-cache'),
    mustAsk('no-store', 'max-age=1, stale-while-revalidate=60, no-store'),
    mustAsk('private', 'max-age=1, stale-while-revalidate=60, private'),
    mustAsk('s-maxage', 's-maxage=1, stale-while-revalidate=60', 'check'),
    {
      name: 'HTTP cache must not serve stale within `stale-while-revalidate` to a request with no-cache',
      id: 'x-swr-request-no-cache',
      depends_on: ['x-swr-served', 'ccreq-no-cache'],
      requests: [first('max-age=1, stale-while-revalidate=60'), { request_headers: [['Cache-Control', 'no-cache']], expected_type: 'not_cached' }]
    },

    {
      name: 'An optimal HTTP cache serves stale within `stale-if-error` when the origin hangs up',
      id: 'x-sie-close',
      kind: 'optimal',
      depends_on: ['freshness-max-age'],
      requests: [first('max-age=1, stale-if-error=60'), { disconnect: true, expected_type: 'cached' }]
    },
    ...DOWN.map(status => ({
      name: `An optimal HTTP cache serves stale within \`stale-if-error\` when the origin answers ${status[0]}`,
      id: `x-sie-${status[0]}`,
      kind: 'optimal',
      depends_on: ['freshness-max-age'],
      requests: [first('max-age=1, stale-if-error=60'), { response_status: status, expected_status: 200, expected_type: 'cached' }]
    })),
    {
      name: 'Does HTTP cache honour `stale-if-error` of the request?',
      id: 'x-sie-request',
      kind: 'check',
      depends_on: ['x-sie-503'],
      requests: [first('max-age=1'), { request_headers: [['Cache-Control', 'stale-if-error=60']], response_status: [503, 'Service Unavailable'], expected_status: 200, expected_type: 'cached' }]
    },
    ...[[404, 'Not Found'], [403, 'Forbidden'], [410, 'Gone']].map(status => ({
      name: `HTTP cache must not hide a ${status[0]} behind \`stale-if-error\``,
      id: `x-sie-not-${status[0]}`,
      depends_on: ['x-sie-503'],
      requests: [first('max-age=1, stale-if-error=60'), { response_status: status, expected_status: status[0], expected_type: 'not_cached' }]
    })),
    {
      name: 'HTTP cache must return to the origin\'s answer as soon as it works again',
      id: 'x-sie-recovers',
      depends_on: ['x-sie-503'],
      requests: [
        first('max-age=1, stale-if-error=60'),
        { setup: true, pause_after: true, response_status: [503, 'Service Unavailable'], expected_status: 200, expected_type: 'cached' },
        { response_headers: [['Cache-Control', 'max-age=1'], ['ETag', '"s3"']], expected_response_headers: [['Client-Request-Count', '3']] }
      ]
    },
    {
      name: 'Does HTTP cache pass a 503 on after the `stale-if-error` window?',
      id: 'x-sie-window',
      kind: 'check',
      depends_on: ['x-sie-503'],
      requests: [first('max-age=1, stale-if-error=1'), { response_status: [503, 'Service Unavailable'], expected_status: 503, expected_type: 'not_cached' }]
    },
    {
      name: 'Does HTTP cache pass a 503 on when nothing allows stale?',
      id: 'x-sie-absent',
      kind: 'check',
      depends_on: ['freshness-max-age'],
      requests: [first('max-age=1'), { response_status: [503, 'Service Unavailable'], expected_status: 503, expected_type: 'not_cached' }]
    },
    mustFail('must-revalidate-close', 'max-age=1, must-revalidate'),
    mustFail('must-revalidate-sie-close', 'max-age=1, stale-if-error=60, must-revalidate'),
    mustFail('proxy-revalidate-close', 'max-age=1, proxy-revalidate'),
    mustFail('no-cache-close', 'max-age=1, no-cache'),
    mustFail('s-maxage-close', 's-maxage=1'),
    mustFail('no-store-close', 'max-age=1, stale-if-error=60, no-store'),
    {
      name: 'HTTP cache must send the true Age with a stale response',
      id: 'x-swr-age',
      depends_on: ['x-swr-served'],
      requests: [
        { setup: true, pause_after: true, response_headers: [['Cache-Control', 'max-age=11, stale-while-revalidate=600'], ['Age', '30'], ['Date', 0]] },
        { expected_type: 'cached', setup_tests: ['expected_type'], expected_response_headers: [['Age', '>', 32]] }
      ]
    }
  ]
}
