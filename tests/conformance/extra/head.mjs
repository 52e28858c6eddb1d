// RFC 9110 9.3.2 and RFC 9111 4.3.5: HEAD and what is stored for GET.

const FRESH = [['Cache-Control', 'max-age=3600'], ['Date', 0]]

export default {
  name: 'HEAD',
  id: 'x-head',
  tests: [
    {
      name: 'An optimal HTTP cache answers HEAD from what it stored for GET',
      id: 'x-head-from-get',
      kind: 'optimal',
      depends_on: ['freshness-max-age'],
      requests: [{ setup: true, response_headers: FRESH }, { request_method: 'HEAD', expected_type: 'cached', expected_response_text: '' }]
    },
    {
      name: 'HTTP cache must send with HEAD the Content-Length of the GET response, or none',
      id: 'x-head-content-length',
      depends_on: ['x-head-from-get'],
      run: async t => {
        await t.configure([{ response_headers: FRESH, response_body: 'twelve bytes' }, { response_headers: FRESH, response_body: 'twelve bytes' }])
        await t.send(1)
        const head = await t.send(2, { method: 'HEAD' })
        t.check([undefined, '12'].includes(head.headers['content-length']), `Content-Length is ${head.headers['content-length']}`)
        t.check(head.body === '', 'the response to HEAD has a body')
      }
    },
    {
      name: 'HTTP cache must not answer GET with the empty body of a response to HEAD',
      id: 'x-head-not-for-get',
      depends_on: ['freshness-max-age'],
      run: async t => {
        await t.configure([{ response_headers: FRESH, response_body: 'whole' }, { response_headers: FRESH, response_body: 'whole' }])
        const head = await t.send(1, { method: 'HEAD' })
        t.setup(head.status === 200 && head.body === '', `Response 1 is ${head.status} "${head.body}"`)
        const get = await t.send(2)
        t.check(get.status === 200 && get.body === 'whole', `Response 2 is ${get.status} "${get.body}"`)
      }
    },
    {
      name: 'HTTP cache must answer HEAD with Age when it answers from cache',
      id: 'x-head-age',
      depends_on: ['x-head-from-get'],
      requests: [
        { setup: true, pause_after: true, response_headers: FRESH },
        { request_method: 'HEAD', expected_type: 'cached', setup_tests: ['expected_type'], expected_response_headers: [['Age', '>', 2]] }
      ]
    },
    {
      name: 'HTTP cache must not answer HEAD from a response that it may not select',
      id: 'x-head-vary',
      depends_on: ['x-head-from-get'],
      requests: [
        { setup: true, request_headers: [['Foo', '1']], response_headers: [...FRESH, ['Vary', 'Foo']] },
        { request_method: 'HEAD', request_headers: [['Foo', '2']], expected_type: 'not_cached' }
      ]
    },
    {
      name: 'HTTP cache must keep the stored body apart from a HEAD in between',
      id: 'x-head-between',
      depends_on: ['freshness-max-age'],
      run: async t => {
        await t.configure([1, 2, 3].map(() => ({ response_headers: FRESH, response_body: 'whole' })))
        await t.send(1)
        await t.send(2, { method: 'HEAD', headers: [['Cache-Control', 'no-cache']] })
        const get = await t.send(3)
        t.check(get.status === 200 && get.body === 'whole', `Response 3 is ${get.status} "${get.body}"`)
      }
    },
    {
      name: 'Does HTTP cache drop a stored response when HEAD shows another entity tag?',
      id: 'x-head-other-etag',
      kind: 'check',
      depends_on: ['freshness-max-age'],
      requests: [
        { setup: true, response_headers: [...FRESH, ['ETag', '"h1"']] },
        { setup: true, request_method: 'HEAD', request_headers: [['Cache-Control', 'no-cache']], expected_type: 'not_cached', response_headers: [...FRESH, ['ETag', '"h2"']] },
        { expected_type: 'not_cached' }
      ]
    }
  ]
}
