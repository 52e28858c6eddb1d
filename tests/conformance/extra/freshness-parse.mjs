// RFC 9111 4.2.1, 5.1, 5.2 and 5.3: fields that come more than once, or are barely numbers.

function reuse (id, name, kind, expectedType, fields) {
  return {
    name,
    id: `x-parse-${id}`,
    kind,
    depends_on: ['freshness-max-age'],
    requests: [
      { setup: true, pause_after: true, response_headers: fields.map(([field, value]) => [field, value, false]) },
      { expected_type: expectedType }
    ]
  }
}
const stale = (id, name, fields) => reuse(id, `HTTP cache must not reuse a response with ${name}`, 'required', 'not_cached', fields)
const fresh = (id, name, fields) => reuse(id, `An optimal HTTP cache reuses a response with ${name}`, 'optimal', 'cached', fields)
const does = (id, name, fields) => reuse(id, `Does HTTP cache reuse a response with ${name}?`, 'check', 'cached', fields)

const DATE = ['Date', 0]
const HOUR = ['Cache-Control', 'max-age=3600']
const HUGE = '99999999999999999999999'

// One moment twenty years ahead (two-digit years reach fifty), written rightly and wrongly. RFC 9110 5.6.7 has three
// formats, RFC 9111 4.2 wants their case ignored, and 5.3 wants everything else taken for the past.
const then = new Date(Date.UTC(new Date().getUTCFullYear() + 20, 7, 8, 2, 1, 8))
const IMF = then.toUTCString()
const [DAY, DATE_OF_MONTH, MONTH, YEAR, TIME] = IMF.replace(',', '').split(' ')
const LONG_DAY = new Intl.DateTimeFormat('en', { weekday: 'long', timeZone: 'UTC' }).format(then)
const expires = value => [['Expires', value], DATE]

export default {
  name: 'Freshness fields that come more than once',
  id: 'x-freshness-parse',
  tests: [
    stale('age-31-bits', 'an Age of 2147483647', [DATE, HOUR, ['Age', '2147483647']]),
    stale('age-over-31-bits', 'an Age of 2147483648', [DATE, HOUR, ['Age', '2147483648']]),
    stale('age-over-32-bits', 'an Age of 4294967297', [DATE, HOUR, ['Age', '4294967297']]),
    stale('age-over-64-bits', 'an Age beyond 64 bits', [DATE, HOUR, ['Age', HUGE]]),
    stale('age-equal', 'an Age that equals its lifetime', [DATE, HOUR, ['Age', '3600']]),
    fresh('age-leading-zeros', 'an Age of `000010`', [DATE, HOUR, ['Age', '000010']]),
    stale('age-three-lines', 'three Age lines, the first of them old', [DATE, HOUR, ['Age', '7200'], ['Age', '0'], ['Age', '1']]),
    fresh('age-list-later-old', 'a list of Ages, a later one of them old', [DATE, HOUR, ['Age', '0, 1, 7200']]),
    fresh('age-not-a-number', 'an Age that is no number, which is to be ignored', [DATE, HOUR, ['Age', 'abc']]),
    fresh('age-negative', 'a negative Age, which is to be ignored', [DATE, HOUR, ['Age', '-7200']]),
    fresh('age-decimal', 'a decimal Age, which is to be ignored', [DATE, HOUR, ['Age', '7200.0']]),
    fresh('age-two-lines-first-young', 'two Age lines, the first of them young', [DATE, HOUR, ['Age', '0'], ['Age', '7200']]),
    fresh('age-two-lines-equal', 'two equal Age lines', [DATE, HOUR, ['Age', '1800'], ['Age', '1800']]),
    does('age-parameter', 'an Age with a parameter', [DATE, HOUR, ['Age', '7200;foo=bar']]),
    does('age-empty', 'an empty Age', [DATE, HOUR, ['Age', '']]),
    does('age-plus', 'an Age of `+7200`', [DATE, HOUR, ['Age', '+7200']]),
    stale('date-old', 'an old Date', [['Date', -7200], HOUR]),
    fresh('date-future', 'a Date in the future', [['Date', 600], HOUR]),
    fresh('max-age-over-64-bits', 'a max-age beyond 64 bits', [['Cache-Control', `max-age=${HUGE}`]]),
    stale('max-age-first-zero', '`max-age=0, max-age=3600`', [['Cache-Control', 'max-age=0, max-age=3600']]),
    does('max-age-last-zero', '`max-age=3600, max-age=0`', [['Cache-Control', 'max-age=3600, max-age=0']]),
    stale('max-age-no-value-alone', '`max-age` without a value', [['Cache-Control', 'max-age']]),
    stale('max-age-empty-value', '`max-age=` without a value', [['Cache-Control', 'max-age=']]),
    stale('max-age-semicolon', 'semicolons for commas', [['Cache-Control', 'max-age=0; max-age=3600']]),
    stale('no-store-second-line', 'no-store on a second line', [HOUR, ['Cache-Control', 'no-store']]),
    stale('no-store-with-value', '`no-store=1`', [['Cache-Control', 'max-age=3600, no-store=1']]),
    stale('private-with-other', 'private between other directives', [['Cache-Control', 'max-age=3600, private, foo']]),
    stale('no-store-in-odd-case', '`NO-store`', [['Cache-Control', 'max-age=3600, NO-store']]),
    fresh('no-store-quoted', 'no-store only within a quoted extension', [['Cache-Control', 'max-age=3600, ext="a, no-store, b"']]),
    fresh('no-store-quoted-escape', 'no-store within a quoted extension with an escaped quote', [['Cache-Control', 'max-age=3600, ext="a\\", no-store, \\"b"']]),
    fresh('empty-members', 'empty members in Cache-Control', [['Cache-Control', ', , max-age=3600 ,,']]),
    fresh('s-maxage-expires', 's-maxage and a past Expires', [['Cache-Control', 's-maxage=3600'], ['Expires', -1000], DATE]),
    stale('s-maxage-zero', '`s-maxage=0` with a positive max-age', [['Cache-Control', 'max-age=3600, s-maxage=0']]),
    stale('expires-equals-date', 'an Expires equal to Date', [['Expires', 0], DATE]),
    stale('expires-two-lines-past-first', 'two Expires lines, the first of them past', [['Expires', -1000], ['Expires', 10000], DATE]),
    does('expires-two-lines-future-first', 'two Expires lines, the first of them in the future', [['Expires', 10000], ['Expires', -1000], DATE]),
    stale('expires-empty', 'an empty Expires', [['Expires', ''], DATE]),
    stale('expires-minus-one', '`Expires: -1`', [['Expires', '-1'], DATE]),
    stale('expires-number', 'a number of seconds as Expires', [['Expires', '3600'], DATE]),
    fresh('expires-imf', 'an Expires in the usual format', expires(IMF)),
    fresh('expires-rfc850', 'an Expires in the format of RFC 850', expires(`${LONG_DAY}, ${DATE_OF_MONTH}-${MONTH}-${YEAR.slice(2)} ${TIME} GMT`)),
    fresh('expires-asctime', 'an Expires in the format of asctime()', expires(`${DAY} ${MONTH}  ${Number(DATE_OF_MONTH)} ${TIME} ${YEAR}`)),
    fresh('expires-far', 'an Expires beyond 32 bits', expires('Sun, 21 Nov 2286 04:46:39 GMT')),
    fresh('expires-day-case', 'an Expires whose day is in upper case', expires(IMF.replace(DAY, DAY.toUpperCase()))),
    fresh('expires-month-case', 'an Expires whose month is in lower case', expires(IMF.replace(MONTH, MONTH.toLowerCase()))),
    fresh('expires-gmt-case', 'an Expires with `gmt`', expires(IMF.replace('GMT', 'gmt'))),
    ...[
      ['utc', 'UTC for GMT', IMF.replace('GMT', 'UTC')],
      ['offset', 'an offset for GMT', IMF.replace('GMT', '+0000')],
      ['zone', 'another time zone', IMF.replace('GMT', 'AEST')],
      ['no-zone', 'no time zone', IMF.replace(' GMT', '')],
      ['no-comma', 'no comma', IMF.replace(',', '')],
      ['dashes', 'dashes in the date', `${DAY}, ${DATE_OF_MONTH}-${MONTH}-${YEAR} ${TIME} GMT`],
      ['periods', 'periods in the time', IMF.replaceAll(':', '.')],
      ['spaces', 'two spaces in a row', IMF.replace(` ${MONTH} `, `  ${MONTH}  `)],
      ['short-year', 'a year of two digits', IMF.replace(YEAR, YEAR.slice(2))],
      ['short-hour', 'an hour of one digit', IMF.replace(TIME, TIME.slice(1))],
      ['no-such-day', 'a 31st of February', IMF.replace(`${DATE_OF_MONTH} ${MONTH}`, '31 Feb')],
      ['no-such-hour', 'a 25th hour', IMF.replace(TIME, '25:01:08')],
      ['epoch-seconds', 'seconds since 1970', String(then.getTime() / 1000)],
      ['iso', 'a date of ISO 8601', then.toISOString()]
    ].map(([id, what, value]) => stale(`expires-${id}`, `an Expires with ${what}`, expires(value))),
    fresh('max-age-two-expires', 'max-age and two Expires lines', [HOUR, ['Expires', -1000], ['Expires', '0'], DATE])
  ]
}
