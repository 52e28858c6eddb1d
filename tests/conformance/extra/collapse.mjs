// RFC 9111 4: requests at the same time. A cache may wait for one answer and use it for all; it may never do that with
// an answer that it could not have stored and selected for each of them.

const FRESH = [['Cache-Control', 'max-age=3600'], ['Date', 0]]
const NUMBERS = [1, 2, 3, 4, 5]

/** Five requests at once; each of the origin's answers has its own body and takes a second. */
async function together (t, responseHeaders, requestHeaders = () => []) {
  await t.configure(NUMBERS.map(number => ({ response_headers: responseHeaders(number), response_body: `body-${number}`, response_pause: 1 })))
  const from = Date.now()
  const answers = await Promise.all(NUMBERS.map(number => t.send(number, { headers: requestHeaders(number) })))
  t.setup(answers.every(answer => answer.status === 200), `status is ${answers.map(answer => answer.status).join(' ')}`)
  return { answers, seconds: (Date.now() - from) / 1000, seen: (await t.state()).length }
}

const eachOwn = (id, name, responseHeaders, requestHeaders) => ({
  name: `HTTP cache must not share ${name} between requests at the same time`,
  id: `x-collapse-not-${id}`,
  run: async t => {
    const { answers } = await together(t, responseHeaders, requestHeaders)
    answers.forEach((answer, at) => t.check(answer.body === `body-${NUMBERS[at]}`, `request ${NUMBERS[at]} got "${answer.body}"`))
  }
})

export default {
  name: 'Requests at the same time',
  id: 'x-collapse',
  tests: [
    {
      name: 'An optimal HTTP cache asks the origin once for five requests at the same time',
      id: 'x-collapse-fresh',
      kind: 'optimal',
      depends_on: ['freshness-max-age'],
      run: async t => {
        const { answers, seen } = await together(t, () => FRESH)
        t.check(seen === 1, `the origin saw ${seen} requests`)
        t.check(new Set(answers.map(answer => answer.body)).size === 1, 'the bodies differ')
      }
    },
    {
      name: 'An optimal HTTP cache validates once for five requests at the same time',
      id: 'x-collapse-validation',
      kind: 'optimal',
      depends_on: ['x-collapse-fresh'],
      run: async t => {
        const headers = [['Cache-Control', 'max-age=1'], ['ETag', '"c1"']]
        await t.configure([{ response_headers: headers }, ...NUMBERS.map(() => ({ response_headers: headers, expected_type: 'etag_validated', response_pause: 0.9 }))])
        await t.send(1)
        await t.pause(3)
        const answers = await Promise.all(NUMBERS.map(number => t.send(number + 1)))
        t.setup(answers.every(answer => answer.status === 200), `status is ${answers.map(answer => answer.status).join(' ')}`)
        const seen = (await t.state()).length
        t.check(seen === 2, `the origin saw ${seen} requests, not 2`)
      }
    },
    eachOwn('private', 'a private response', () => [['Cache-Control', 'private, max-age=3600']]),
    eachOwn('no-store', 'a no-store response', () => [['Cache-Control', 'no-store']]),
    eachOwn('vary', 'a response of another variant', () => [...FRESH, ['Vary', 'Foo']], number => [['Foo', String(number)]]),
    eachOwn('vary-star', 'a response with `Vary: *`', () => [...FRESH, ['Vary', '*']]),
    eachOwn('authorization', 'a response to a request with Authorization', () => FRESH, number => [['Authorization', `Bearer ${number}`]]),
    eachOwn('no-freshness', 'a response without freshness', () => []),
    eachOwn('targeted', 'a response that the targeted field calls private', () => [...FRESH, ['CDN-Cache-Control', 'private']]),
    {
      name: 'HTTP cache must not share a response between POSTs at the same time',
      id: 'x-collapse-not-post',
      run: async t => {
        await t.configure(NUMBERS.map(number => ({ response_headers: FRESH, response_body: `body-${number}`, response_pause: 1 })))
        const answers = await Promise.all(NUMBERS.map(number => t.send(number, { method: 'POST', body: 'abc' })))
        answers.forEach((answer, at) => t.check(answer.body === `body-${NUMBERS[at]}`, `request ${NUMBERS[at]} got "${answer.body}"`))
      }
    },
    {
      name: 'HTTP cache must honour request `no-cache` while another request is under way',
      id: 'x-collapse-not-no-cache',
      depends_on: ['ccreq-no-cache'],
      run: async t => {
        await t.configure(NUMBERS.map(number => ({ response_headers: FRESH, response_body: `body-${number}`, response_pause: 1 })))
        const leader = t.send(1)
        await t.pause(0.3)
        const [first, second] = await Promise.all([leader, t.send(2, { headers: [['Cache-Control', 'no-cache']] })])
        t.setup(first.body === 'body-1', `request 1 got "${first.body}"`)
        t.check(second.body === 'body-2', `request 2 got "${second.body}"`)
      }
    },
    {
      name: 'An optimal HTTP cache does not answer requests for a private response one after another',
      id: 'x-collapse-private-parallel',
      kind: 'optimal',
      depends_on: ['x-collapse-not-private'],
      run: async t => {
        const { seconds } = await together(t, () => [['Cache-Control', 'private']])
        t.check(seconds < 3.5, `five requests of a second each took ${seconds.toFixed(1)} s`)
      }
    },
    {
      name: 'An optimal HTTP cache answers those who wait when the first request fails',
      id: 'x-collapse-leader-fails',
      kind: 'optimal',
      depends_on: ['x-collapse-fresh'],
      run: async t => {
        await t.configure([{ disconnect: true, response_pause: 1, response_headers: FRESH }, ...NUMBERS.map(() => ({ response_headers: FRESH }))])
        const leader = t.send(1)
        await t.pause(0.3)
        const followers = await Promise.all(NUMBERS.map(number => t.send(number + 1)))
        await leader
        t.check(followers.every(answer => answer.status === 200), `status is ${followers.map(answer => answer.status).join(' ')}`)
      }
    }
  ]
}
