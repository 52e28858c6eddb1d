// RFC 9213: CDN-Cache-Control is a Dictionary of RFC 8941 and, when valid and not empty, stands in for Cache-Control
// and Expires altogether. A field that does not parse, or is empty, is as if it were not there.

const WAIT = { setup: true, pause_after: true }

/** First response with these fields; is the second request answered from cache? */
function reuse (id, name, kind, expectedType, fields, second = {}) {
  return {
    name,
    id: `x-cdn-${id}`,
    kind,
    depends_on: id === 'max-age' ? ['freshness-none'] : ['x-cdn-max-age'],
    requests: [
      { ...WAIT, response_headers: fields.map(([field, value]) => [field, value, false]), request_headers: second.request_headers },
      { ...second, expected_type: expectedType }
    ].map(request => Object.fromEntries(Object.entries(request).filter(([, value]) => value !== undefined)))
  }
}

const cdn = value => ['CDN-Cache-Control', value]
const cc = value => ['Cache-Control', value]
const optimal = (id, name, fields, second) => reuse(id, `An optimal CDN cache reuses ${name}`, 'optimal', 'cached', fields, second)
const forbidden = (id, name, fields, second) => reuse(id, `A CDN cache must not reuse ${name}`, 'required', 'not_cached', fields, second)

/** A value that is no valid field: Cache-Control rules, whichever of the two says what. */
function ignored (id, what, good, bad) {
  return [
    forbidden(`${id}-ignored-fresh`, `a no-store response because of ${what}`, [cc('no-store'), cdn(good)]),
    ...(bad ? [optimal(`${id}-ignored-no-store`, `a fresh response in spite of ${what}`, [cc('max-age=3600'), cdn(bad)])] : [])
  ]
}

export default {
  name: 'Targeted cache control',
  id: 'x-cdn-cache-control',
  tests: [
    optimal('max-age', 'a response with `CDN-Cache-Control: max-age`', [cdn('max-age=3600')]),
    optimal('over-short-cc', 'what is fresh by the targeted field and stale by Cache-Control', [cc('max-age=1'), cdn('max-age=3600')]),
    forbidden('over-long-cc', 'what is stale by the targeted field and fresh by Cache-Control', [cc('max-age=3600'), cdn('max-age=1')]),
    forbidden('over-s-maxage', 'what is stale by the targeted field and fresh by s-maxage', [cc('s-maxage=3600'), cdn('max-age=1')]),
    forbidden('zero', 'a response with `max-age=0`', [cdn('max-age=0')]),
    forbidden('zero-over-expires', 'a response with `max-age=0` because of a future Expires', [cdn('max-age=0'), ['Expires', 10000], ['Date', 0]]),
    optimal('over-past-expires', 'a fresh response with a past Expires', [cdn('max-age=3600'), ['Expires', -10000], ['Date', 0]]),
    optimal('over-invalid-expires', 'a fresh response with an invalid Expires', [cdn('max-age=3600'), ['Expires', '0'], ['Date', 0]]),
    optimal('over-no-store', 'a fresh response that Cache-Control forbids to store', [cc('no-store'), cdn('max-age=3600')]),
    optimal('over-private', 'a fresh response that Cache-Control calls private', [cc('private'), cdn('max-age=3600')]),
    optimal('over-no-cache', 'a fresh response that Cache-Control wants validated', [cc('no-cache'), cdn('max-age=3600')]),
    optimal('over-pragma', 'a fresh response with `Pragma: no-cache`', [['Pragma', 'no-cache'], cdn('max-age=3600')]),
    forbidden('no-store', 'a no-store response', [cc('max-age=3600'), cdn('no-store'), ['Expires', 10000], ['Date', 0]]),
    forbidden('no-store-after-max-age', 'a response with `max-age=3600, no-store`', [cc('max-age=3600'), cdn('max-age=3600, no-store')]),
    forbidden('private', 'a private response', [cc('max-age=3600'), cdn('private')]),
    forbidden('no-cache', 'a no-cache response without validation', [cc('max-age=3600'), cdn('no-cache')]),
    forbidden('unknown-only-fresh', 'a response without freshness of its own: the targeted field has only unknown members, so Cache-Control does not count', [cc('max-age=3600'), cdn('none')]),
    forbidden('age', 'a response whose Age exceeds the targeted lifetime', [['Date', 0], cdn('max-age=3600'), ['Age', '7200']]),
    optimal('age-less', 'a response whose Age is below the targeted lifetime', [['Date', 0], cc('max-age=60'), cdn('max-age=3600'), ['Age', '1800']]),
    optimal('s-maxage', 'what is fresh by s-maxage and stale by max-age in the targeted field', [cdn('max-age=1, s-maxage=3600')]),
    forbidden('s-maxage-short', 'what is stale by s-maxage and fresh by max-age in the targeted field', [cdn('max-age=3600, s-maxage=1')]),
    optimal('extension', 'a fresh response with unknown members', [cdn('foobar, baz="1", max-age=3600')]),
    optimal('parameter', 'a fresh response with a parameter on the member', [cdn('max-age=3600;foo=1;bar')]),
    forbidden('parameter-on-no-store', 'a no-store response with a parameter on the member', [cc('max-age=3600'), cdn('no-store;foo=bar')]),
    forbidden('parameter-is-no-member', 'a stale response because of a parameter called max-age', [cdn('max-age=1;max-age=3600')]),
    optimal('largest', 'a response with the largest integer there is', [cdn('max-age=999999999999999')]),
    optimal('31-bits-and-one', 'a response with `max-age=2147483648`', [cdn('max-age=2147483648')]),
    optimal('leading-zero', 'a response with `max-age=03600`', [cdn('max-age=03600')]),
    optimal('last-wins-fresh', 'a response with `max-age=0, max-age=3600`', [cdn('max-age=0, max-age=3600')]),
    forbidden('last-wins-stale', 'a response with `max-age=3600, max-age=0`', [cdn('max-age=3600, max-age=0')]),
    optimal('two-lines', 'a response with the members on two lines', [cdn('foo'), cdn('max-age=3600')]),
    forbidden('two-lines-no-store', 'a response with no-store on a second line', [cdn('max-age=3600'), cdn('no-store')]),
    optimal('whitespace', 'a response with tabs and spaces around the comma', [cdn('foo \t,\t max-age=3600')]),
    optimal('empty', 'a fresh response in spite of an empty targeted field', [cc('max-age=3600'), cdn('')]),
    forbidden('empty-no-store', 'a no-store response because of an empty targeted field', [cc('no-store'), cdn('')]),

    ...ignored('garbage', 'a member that is no structured field', 'max-age=10000, &&&', 'no-store, &&&'),
    ...ignored('upper-case', 'a key in upper case', 'Max-Age=10000', 'No-Store'),
    ...ignored('trailing-comma', 'a trailing comma', 'max-age=10000,', 'no-store,'),
    ...ignored('space-before-equals', 'a space before the equals sign', 'max-age =10000', 'no-store, max-age =1'),
    ...ignored('space-after-equals', 'a space after the equals sign', 'max-age= 10000', 'no-store, max-age= 1'),
    ...ignored('semicolon', 'an empty parameter', 'max-age=10000;', 'no-store;'),
    ...ignored('too-large', 'an integer of sixteen digits', 'max-age=1000000000000000', 'no-store, max-age=1000000000000000'),
    ...ignored('unclosed-string', 'a string without an end', 'max-age=10000, foo="bar', 'no-store, foo="bar'),
    ...ignored('single-quotes', 'single quotes', "max-age='10000'", "no-store, foo='bar'"),
    ...ignored('non-ascii', 'octets beyond ASCII', 'max-age=10000, foo="b\u00e9"', 'no-store, foo="b\u00e9"'),
    ...ignored('second-line-garbage', 'garbage between good members', 'max-age=10000, =, foo', 'no-store, =, foo'),

    // Parses, but the value has the wrong type: nobody may take a lifetime from it.
    ...ignored('string-value', '`max-age` as a string', 'max-age="10000"'),
    ...ignored('decimal-value', '`max-age` as a decimal', 'max-age=10000.5'),
    ...ignored('decimal-zero-value', '`max-age` as a decimal without a fraction', 'max-age=10000.0'),
    ...ignored('boolean-value', '`max-age` as a boolean', 'max-age'),
    ...ignored('token-value', '`max-age` as a token', 'max-age=a10000'),
    ...ignored('list-value', '`max-age` as an inner list', 'max-age=(10000)'),
    ...ignored('negative-value', 'a negative `max-age`', 'max-age=-10000'),
    reuse('wrong-type-falls-back', 'Does a CDN cache fall back to Cache-Control when `max-age` in the targeted field is no integer?', 'check', 'cached', [cc('max-age=3600'), cdn('max-age="1"')]),
    reuse('false-no-store', 'Does a CDN cache take `no-store=?0` as no-store absent?', 'check', 'cached', [cc('no-store'), cdn('no-store=?0, max-age=3600')]),

    {
      name: 'An optimal CDN cache validates a response with targeted `no-cache` upon use',
      id: 'x-cdn-no-cache-validate',
      kind: 'optimal',
      depends_on: ['x-cdn-no-cache'],
      requests: [
        { setup: true, response_headers: [['CDN-Cache-Control', 'no-cache', false], ['Cache-Control', 'max-age=3600', false], ['ETag', '"x1"']] },
        { expected_type: 'etag_validated' }
      ]
    },
    {
      name: 'A CDN cache must not reuse a stale response with targeted `must-revalidate` and `stale-while-revalidate` without validation',
      id: 'x-cdn-must-revalidate',
      depends_on: ['x-cdn-max-age'],
      requests: [
        { ...WAIT, response_headers: [['CDN-Cache-Control', 'max-age=1, must-revalidate, stale-while-revalidate=60', false]] },
        { expected_type: 'not_cached' }
      ]
    },
    {
      name: 'An optimal CDN cache honours `stale-while-revalidate` in the targeted field',
      id: 'x-cdn-stale-while-revalidate',
      kind: 'optimal',
      depends_on: ['x-cdn-max-age'],
      requests: [
        { ...WAIT, response_headers: [['Cache-Control', 'no-store', false], ['CDN-Cache-Control', 'max-age=1, stale-while-revalidate=60', false]] },
        { expected_type: 'cached' }
      ]
    },
    optimal('authorization-public', 'a response to a request with Authorization when the targeted field says public', [cc('max-age=1'), cdn('public, max-age=3600')], { request_headers: [['Authorization', 'FOO']] }),
    forbidden('authorization', 'a response to a request with Authorization when only Cache-Control, which does not count, says public', [cc('public, max-age=3600'), cdn('max-age=3600')], { request_headers: [['Authorization', 'FOO']] }),
    {
      name: 'Does the CDN-Cache-Control field reach the client, from origin and from cache?',
      id: 'x-cdn-forwarded',
      kind: 'check',
      depends_on: ['x-cdn-max-age'],
      requests: [
        { pause_after: true, response_headers: [['CDN-Cache-Control', 'max-age=3600', false]], expected_response_headers: [['CDN-Cache-Control', 'max-age=3600']] },
        { expected_type: 'cached', expected_response_headers: [['CDN-Cache-Control', 'max-age=3600']] }
      ]
    },
    {
      name: 'A CDN cache must send Age with a response that it keeps by the targeted field',
      id: 'x-cdn-age-sent',
      depends_on: ['x-cdn-max-age'],
      requests: [
        { ...WAIT, response_headers: [['Cache-Control', 'max-age=1'], ['CDN-Cache-Control', 'max-age=3600', false], ['Date', 0]] },
        { expected_type: 'cached', setup_tests: ['expected_type'], expected_response_headers: [['Age', '>', 2]] }
      ]
    },
    {
      name: 'A CDN cache must leave Cache-Control, Expires and Date as the origin sent them',
      id: 'x-cdn-others-unchanged',
      depends_on: ['x-cdn-max-age'],
      requests: [
        { ...WAIT, response_headers: [['Cache-Control', 'max-age=1'], ['CDN-Cache-Control', 'max-age=3600', false], ['Date', 0], ['Expires', 1]] },
        { expected_type: 'cached', setup_tests: ['expected_type'], expected_response_headers: [['Cache-Control', 'max-age=1'], ['Date', 0], ['Expires', 1]] }
      ]
    },
    {
      name: 'A CDN cache must apply the targeted field of a 304, too',
      id: 'x-cdn-304-update',
      depends_on: ['x-cdn-max-age'],
      requests: [
        { ...WAIT, response_headers: [['CDN-Cache-Control', 'max-age=1', false], ['Cache-Control', 'max-age=3600', false], ['ETag', '"x2"']] },
        { setup: true, expected_type: 'etag_validated', response_headers: [['CDN-Cache-Control', 'no-cache', false], ['Cache-Control', 'max-age=3600', false], ['ETag', '"x2"']] },
        { expected_type: 'not_cached' }
      ]
    }
  ]
}
