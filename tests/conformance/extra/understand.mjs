// RFC 9111 3 and 5.2.2.3: must-understand, and what may be stored whatever the status.

function reuse (id, name, kind, expectedType, status, cacheControl) {
  return {
    name,
    id: `x-understand-${id}`,
    kind,
    depends_on: ['freshness-max-age'],
    requests: [
      { setup: true, response_status: status, response_headers: [['Cache-Control', cacheControl]], check_body: false },
      { expected_type: expectedType, response_status: status, check_body: false }
    ]
  }
}

export default {
  name: 'must-understand',
  id: 'x-must-understand',
  tests: [
    reuse('200-no-store', 'An optimal HTTP cache ignores no-store next to must-understand on a status that it understands', 'optimal', 'cached', [200, 'OK'], 'max-age=3600, must-understand, no-store'),
    reuse('404-no-store', 'An optimal HTTP cache ignores no-store next to must-understand on a 404', 'optimal', 'cached', [404, 'Not Found'], 'max-age=3600, must-understand, no-store'),
    reuse('499-no-store', 'HTTP cache must not store a response with must-understand and no-store whose status it does not understand', 'required', 'not_cached', [499, 'Strange'], 'max-age=3600, must-understand, no-store'),
    reuse('499', 'HTTP cache must not store a response with must-understand whose status it does not understand', 'required', 'not_cached', [499, 'Strange'], 'max-age=3600, must-understand'),
    reuse('599-no-store', 'HTTP cache must not store a 599 with must-understand and no-store', 'required', 'not_cached', [599, 'Strange'], 'max-age=3600, must-understand, no-store'),
    reuse('200-private', 'HTTP cache must not store a private response because of must-understand', 'required', 'not_cached', [200, 'OK'], 'max-age=3600, must-understand, private'),
    reuse('case', 'An optimal HTTP cache takes `MUST-Understand` in any case', 'optimal', 'cached', [200, 'OK'], 'max-age=3600, MUST-Understand, no-store'),
    reuse('no-store-alone', 'HTTP cache must not store a 200 with no-store', 'required', 'not_cached', [200, 'OK'], 'max-age=3600, no-store')
  ]
}
