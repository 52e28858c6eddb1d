// RFC 9111 4.4: what an unsafe request invalidates, and what it must leave alone.

const FRESH = [['Cache-Control', 'max-age=3600'], ['Date', 0]]
const CREATED = [201, 'Created']

/** `value(t)` is the field's value in the answer to a POST; is what is stored under /target still served afterwards? */
function names (id, name, kind, field, value, survives) {
  return {
    name,
    id: `x-invalidate-${id}`,
    kind,
    depends_on: ['freshness-max-age'],
    run: async t => {
      const target = `/test/${t.uuid}/target`
      await t.configure([
        { response_headers: FRESH },
        { response_status: CREATED, response_headers: [[field, value(t, target)]] },
        { response_headers: FRESH }
      ])
      const stored = await t.send(1, { file: 'target' })
      t.setup(stored.status === 200, `Response 1 status is ${stored.status}`)
      const post = await t.send(2, { method: 'POST', body: 'abc' })
      t.setup(post.status === 201, `Response 2 status is ${post.status}`)
      const after = await t.send(3, { file: 'target' })
      t.check((after.answersRequest === 1) === survives, `Response 3 ${survives ? 'does not come' : 'comes'} from cache`)
    }
  }
}

const OTHERS = {
  'other-host': (t, target) => `http://other.example${target}`,
  'other-port': (t, target) => `http://127.0.0.1:9${target}`,
  'other-scheme': (t, target) => `https://${new URL(t.base).host}${target}`,
  'scheme-relative': (t, target) => `//other.example${target}`,
  userinfo: (t, target) => `http://${new URL(t.base).host}@other.example${target}`,
  'host-suffix': (t, target) => `http://${new URL(t.base).hostname}.other.example:${new URL(t.base).port}${target}`
}
const OURS = {
  path: (t, target) => target,
  relative: () => 'target',
  absolute: (t, target) => `${t.base}${target}`
}

function unsafe (id, name, kind, method, answer, expectedType, depends) {
  return {
    name,
    id: `x-invalidate-${id}`,
    kind,
    depends_on: depends ?? ['freshness-max-age'],
    requests: [
      { setup: true, response_headers: FRESH },
      { setup: true, request_method: method, ...(['POST', 'PATCH', 'PUT'].includes(method) ? { request_body: 'abc' } : {}), redirect: 'manual', check_body: false, ...answer },
      { expected_type: expectedType }
    ]
  }
}

export default {
  name: 'Invalidation',
  id: 'x-invalidation',
  tests: [
    ...['Location', 'Content-Location'].flatMap(field => [
      ...Object.entries(OTHERS).map(([id, value]) => names(`${field.toLowerCase()}-${id}`, `HTTP cache must not invalidate what ${field} names on another origin (${id})`, 'required', field, value, true)),
      ...Object.entries(OURS)
        .filter(([id]) => id !== 'relative')
        .map(([id, value]) => names(`${field.toLowerCase()}-${id}`, `An optimal HTTP cache invalidates what ${field} names on the same origin (${id})`, 'optimal', field, value, false))
    ]),
    {
      name: 'An optimal HTTP cache resolves a relative Location against the URL of the request before invalidating',
      id: 'x-invalidate-location-relative',
      kind: 'optimal',
      depends_on: ['freshness-max-age'],
      run: async t => {
        await t.configure([{ response_headers: FRESH }, { response_status: CREATED, response_headers: [['Location', OURS.relative()]] }, { response_headers: FRESH }])
        await t.send(1, { file: 'target' })
        await t.send(2, { file: 'sibling', method: 'POST', body: 'abc' })
        const after = await t.send(3, { file: 'target' })
        t.check(after.answersRequest === 3, 'Response 3 comes from cache')
      }
    },
    unsafe('patch', 'HTTP cache must invalidate after a successful PATCH', 'required', 'PATCH', {}, 'not_cached'),
    unsafe('rare-method', 'HTTP cache must invalidate after a successful request with a method that it has no use for', 'required', 'PROPPATCH', {}, 'not_cached'),
    unsafe('204', 'HTTP cache must invalidate after a POST that was answered 204', 'required', 'POST', { response_status: [204, 'No Content'] }, 'not_cached'),
    unsafe('303', 'HTTP cache must invalidate after a POST that was answered 303', 'required', 'POST', { response_status: [303, 'See Other'], response_headers: [['Location', '/elsewhere', false]] }, 'not_cached'),
    unsafe('400', 'An optimal HTTP cache does not invalidate after a POST that was answered 400', 'optimal', 'POST', { response_status: [400, 'Bad Request'] }, 'cached'),
    unsafe('404', 'An optimal HTTP cache does not invalidate after a DELETE that was answered 404', 'optimal', 'DELETE', { response_status: [404, 'Not Found'] }, 'cached'),
    unsafe('options', 'An optimal HTTP cache does not invalidate after OPTIONS', 'optimal', 'OPTIONS', {}, 'cached'),
    unsafe('fresh-post', 'HTTP cache must not answer GET with the response to a POST that has no Content-Location', 'required', 'POST', { response_headers: FRESH }, 'not_cached'),
    {
      name: 'HTTP cache must invalidate every variant of the URL',
      id: 'x-invalidate-variants',
      depends_on: ['vary-match'],
      requests: [
        ...['1', '2'].map(value => ({ setup: true, request_headers: [['Foo', value]], response_headers: [...FRESH, ['Vary', 'Foo']] })),
        { setup: true, request_method: 'POST', request_body: 'abc' },
        ...['1', '2'].map(value => ({ request_headers: [['Foo', value]], expected_type: 'not_cached', response_headers: [...FRESH, ['Vary', 'Foo']] }))
      ]
    },
    {
      name: 'An optimal HTTP cache does not invalidate other queries of the same path',
      id: 'x-invalidate-other-query',
      kind: 'optimal',
      depends_on: ['query-args-same'],
      requests: [
        { setup: true, query_arg: 'a=1', response_headers: FRESH },
        { setup: true, query_arg: 'a=2', request_method: 'POST', request_body: 'abc' },
        { query_arg: 'a=1', expected_type: 'cached' }
      ]
    },
    {
      name: 'HTTP cache must not answer an unsafe request from cache',
      id: 'x-invalidate-write-through',
      depends_on: ['freshness-max-age'],
      requests: [
        { setup: true, response_headers: FRESH },
        { request_method: 'POST', request_body: 'abc', expected_type: 'not_cached', expected_method: 'POST' }
      ]
    },
    {
      name: 'Does HTTP cache refuse to keep a response that was under way when its URL was invalidated?',
      id: 'x-invalidate-in-flight',
      kind: 'check',
      depends_on: ['freshness-max-age'],
      run: async t => {
        await t.configure([{ response_headers: FRESH, response_pause: 2 }, {}, { response_headers: FRESH }])
        const slow = t.send(1)
        await t.pause(0.5)
        await t.send(2, { method: 'POST', body: 'abc' })
        await slow
        const after = await t.send(3)
        t.check(after.answersRequest === 3, 'Response 3 comes from cache')
      }
    }
  ]
}
