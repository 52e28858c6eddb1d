// RFC 9110 15.2 and RFC 9111 3: interim responses come before the final one, and only a final one may be stored.

const FRESH = [['Cache-Control', 'max-age=3600'], ['Date', 0]]
const HINTS = [['link', '</style.css>; rel=preload; as=style'], ['x-interim', 'yes']]
const forwarded = (id, status, headers) => ({
  name: `An optimal HTTP cache passes a ${status} response on to the client`,
  id: `x-interim-${id}-forwarded`,
  kind: 'optimal',
  requests: [{ interim_responses: [[status, headers]], expected_interim_responses: [[status, headers]], response_headers: FRESH }]
})
const final = (id, name, interim) => ({
  name: `HTTP cache must deliver the final response after ${name}`,
  id: `x-interim-${id}-final`,
  requests: [{ interim_responses: interim, response_headers: FRESH, expected_type: 'not_cached', expected_response_headers_missing: ['x-interim'] }]
})
const cached = (id, name, interim) => ({
  name: `An optimal HTTP cache reuses the final response after ${name}`,
  id: `x-interim-${id}-cached`,
  kind: 'optimal',
  depends_on: [`x-interim-${id}-final`],
  requests: [
    { interim_responses: interim, response_headers: FRESH, setup: true },
    { expected_type: 'cached', expected_status: 200 }
  ]
})
const MANY = Array.from({ length: 20 }, () => [103, HINTS])

export default {
  name: 'Interim responses',
  id: 'x-interim',
  tests: [
    forwarded('102', 102, []),
    forwarded('103', 103, HINTS),
    final('102', 'a 102', [[102]]),
    final('103', 'a 103', [[103, HINTS]]),
    final('both', 'a 102 and two 103', [[102], [103, HINTS], [103, HINTS]]),
    final('many', 'twenty interim responses', MANY),
    cached('102', 'a 102', [[102]]),
    cached('103', 'a 103', [[103, HINTS]]),
    cached('both', 'a 102 and two 103', [[102], [103, HINTS], [103, HINTS]]),
    {
      name: 'HTTP cache must not store the fields of an interim response',
      id: 'x-interim-fields-not-stored',
      depends_on: ['x-interim-103-cached'],
      requests: [
        { interim_responses: [[103, HINTS]], response_headers: FRESH, setup: true },
        { expected_type: 'cached', setup_tests: ['expected_type'], expected_response_headers_missing: ['x-interim', 'link'] }
      ]
    },
    {
      name: 'HTTP cache must not store a no-store response after a 103 that said max-age',
      id: 'x-interim-103-cache-control',
      depends_on: ['x-interim-103-final'],
      requests: [
        { interim_responses: [[103, [...HINTS, ['cache-control', 'max-age=3600']]]], response_headers: [['Cache-Control', 'no-store']], setup: true },
        { expected_type: 'not_cached' }
      ]
    },
    {
      name: 'HTTP cache must not take an interim response for the answer to a validation',
      id: 'x-interim-validation',
      depends_on: ['x-interim-103-final'],
      requests: [
        { response_headers: [['Cache-Control', 'max-age=1'], ['ETag', '"i1"']], setup: true, pause_after: true },
        { interim_responses: [[103, HINTS]], response_headers: [['Cache-Control', 'max-age=3600'], ['ETag', '"i1"']], expected_type: 'etag_validated', expected_status: 200 }
      ]
    }
  ]
}
