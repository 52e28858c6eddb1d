// RFC 9111 4.1: which stored response a request may select.

const FRESH = [['Cache-Control', 'max-age=3600'], ['Date', 0]]
const withVary = (...values) => [...FRESH, ...values.map(value => ['Vary', value, false])]

function pair (id, name, kind, expectedType, vary, first, second) {
  return {
    name,
    id: `x-vary-${id}`,
    kind,
    depends_on: ['freshness-max-age'],
    requests: [
      { setup: true, request_headers: first, response_headers: withVary(...vary) },
      { request_headers: second, expected_type: expectedType }
    ]
  }
}
const reuses = (id, name, ...rest) => pair(id, `An optimal HTTP cache reuses ${name}`, 'optimal', 'cached', ...rest)
const mustNot = (id, name, ...rest) => pair(id, `HTTP cache must not reuse ${name}`, 'required', 'not_cached', ...rest)

export default {
  name: 'Vary combinations',
  id: 'x-vary',
  tests: [
    mustNot('two-lines', 'a response when a field differs that a second Vary line names', ['Foo', 'Bar'], [['Foo', '1'], ['Bar', '1']], [['Foo', '1'], ['Bar', '2']]),
    reuses('two-lines-match', 'a response when the fields of two Vary lines match', ['Foo', 'Bar'], [['Foo', '1'], ['Bar', '1']], [['Foo', '1'], ['Bar', '1']]),
    mustNot('star-on-second-line', 'a response with `*` on a second Vary line', ['Foo', '*'], [['Foo', '1']], [['Foo', '1']]),
    reuses('field-name-case', 'a response when the fields match that Vary names in another case', ['fOO'], [['Foo', '1']], [['FOO', '1']]),
    mustNot('field-name-case-differs', 'a response when a field differs that Vary names in another case', ['fOO'], [['Foo', '1']], [['Foo', '2']]),
    mustNot('value-case', 'a response when an unknown field differs in case only', ['Foo'], [['Foo', 'a']], [['Foo', 'A']]),
    mustNot('empty-is-not-absent', 'a response to a request with an empty field for one without it', ['Foo'], [['Foo', '']], []),
    mustNot('swapped-values', 'a response when two fields swapped their values', ['Foo, Bar'], [['Foo', '1'], ['Bar', '2']], [['Foo', '2'], ['Bar', '1']]),
    mustNot('moved-boundary', 'a response when the values only join to the same text', ['Foo, Bar'], [['Foo', 'ab'], ['Bar', 'c']], [['Foo', 'a'], ['Bar', 'bc']]),
    mustNot('line-order', 'a response when the lines of a field changed order', ['Foo'], [['Foo', '1'], ['Foo', '2']], [['Foo', '2'], ['Foo', '1']]),
    reuses('empty-members', 'a response whose Vary has empty members', [', Foo,,'], [['Foo', '1']], [['Foo', '1']]),
    mustNot('empty-members-differs', 'a response whose Vary has empty members when the field differs', [', Foo,,'], [['Foo', '1']], [['Foo', '2']]),
    reuses('repeated-name', 'a response whose Vary names a field twice', ['Foo, foo'], [['Foo', '1']], [['Foo', '1']]),
    mustNot('accept-encoding', 'a response when Accept-Encoding differs', ['Accept-Encoding'], [['Accept-Encoding', 'gzip']], [['Accept-Encoding', 'identity']]),
    mustNot('cookie', 'a response when Cookie differs', ['Cookie'], [['Cookie', 'user=1']], [['Cookie', 'user=2']]),
    mustNot('origin', 'a response when Origin appears', ['Origin'], [], [['Origin', 'http://a.example']]),
    mustNot('user-agent', 'a response when User-Agent differs', ['User-Agent'], [['User-Agent', 'one']], [['User-Agent', 'two']]),
    {
      name: 'An optimal HTTP cache keeps four variants',
      id: 'x-vary-four-variants',
      kind: 'optimal',
      depends_on: ['freshness-max-age'],
      requests: [
        ...['1', '2', '3', '4'].map(value => ({ setup: true, request_headers: [['Foo', value]], response_headers: withVary('Foo'), response_body: `body-${value}`, expected_type: 'not_cached' })),
        ...['1', '2', '3', '4'].map(value => ({ request_headers: [['Foo', value]], expected_response_text: `body-${value}`, expected_type: 'cached' }))
      ]
    },
    {
      name: 'HTTP cache must not reuse a response without Vary when a later one for the same URL varies',
      id: 'x-vary-appears-later',
      kind: 'required',
      depends_on: ['freshness-max-age'],
      requests: [
        { setup: true, request_headers: [['Foo', '1']], response_headers: [['Cache-Control', 'max-age=1'], ['Date', 0]], pause_after: true },
        { setup: true, request_headers: [['Foo', '1']], response_headers: withVary('Foo'), expected_type: 'not_cached' },
        { request_headers: [['Foo', '2']], expected_type: 'not_cached' }
      ]
    },
    {
      name: 'HTTP cache must use the most recent of two stored responses that match',
      id: 'x-vary-most-recent',
      depends_on: ['freshness-max-age'],
      requests: [
        { setup: true, request_headers: [['Foo', '1'], ['Bar', '1']], response_headers: [['Cache-Control', 'max-age=3600'], ['Date', -60], ['Vary', 'Foo', false]], response_body: 'older' },
        { setup: true, request_headers: [['Foo', '2'], ['Bar', '1']], response_headers: [['Cache-Control', 'max-age=3600'], ['Date', 0], ['Vary', 'Bar', false]], response_body: 'newer' },
        { request_headers: [['Foo', '1'], ['Bar', '1']], expected_response_text: 'newer', response_body: 'newer' }
      ]
    },
    {
      name: 'An optimal HTTP cache validates a variant with the entity tag of that variant',
      id: 'x-vary-validate-own-etag',
      kind: 'optimal',
      depends_on: ['freshness-max-age'],
      requests: [
        { setup: true, pause_after: true, request_headers: [['Foo', '1']], response_headers: [['Cache-Control', 'max-age=1'], ['Vary', 'Foo'], ['ETag', '"v1"']], response_body: 'one' },
        { expected_type: 'etag_validated', request_headers: [['Foo', '1']], expected_request_headers: [['If-None-Match', '"v1"']], response_headers: [['Cache-Control', 'max-age=1'], ['Vary', 'Foo'], ['ETag', '"v1"']], expected_status: 200, expected_response_text: 'one' }
      ]
    }
  ]
}
