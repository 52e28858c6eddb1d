#!/usr/bin/env node
// Runs the public HTTP cache tests (npm: http-cache-tests) and our own (extra/) against a proxy, and compares every
// verdict with expected.json. See README.md.

import { spawn } from 'node:child_process'
import fs from 'node:fs'
import net from 'node:net'
import os from 'node:os'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

const HERE = path.dirname(fileURLToPath(import.meta.url))
const EXPECTED = path.join(HERE, 'expected.json')
const OUT = path.join(HERE, 'out')
const USAGE = `usage: run.mjs (--binary FILE | --base URL --origin-port N) [--id ID[,ID]] [--update] [--timeout SECONDS]

  --binary FILE      the proxy to start: FILE run --upstream URL --listen ADDR --admin ADDR
  --base URL         a proxy that is already running ...
  --origin-port N    ... and forwards to this loopback port, where the suite's origin is started
  --id ID[,ID]       only these tests (and those that they depend on)
  --update           write what was found to expected.json, keeping the reasons of what still fails
  --timeout SECONDS  limit for everything (default 600)`
const RETRIES = 2
const RETRY_AT_MOST = 60 // more differences than this are no matter of timing
const CHUNK = 100

// The suite's marks (lib/display.mjs), in words.
const VERDICTS = { '✅': 'pass', '⛔️': 'fail', '⚠️': 'optional fail', Y: 'yes', N: 'no', '🔹': 'setup fail', '⁉️': 'harness fail', '⚪️': 'dependency fail', '↻': 'retried', '-': 'untested' }
const PLAIN = new Set(['pass', 'yes', 'no']) // verdicts that need no reason

const say = text => process.stdout.write(`${text}\n`)
const cleanups = []
let ending

async function end (code) {
  ending ??= (async () => {
    for (const cleanup of cleanups.reverse()) {
      try { await cleanup() } catch (error) { process.stderr.write(`cleaning up: ${error.message}\n`) }
    }
  })()
  await ending
  process.exit(code)
}

async function fail (message) {
  process.stderr.write(`conformance: ${message}\n`)
  say('0 passed, 1 failed')
  await end(1)
}

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => fail(`ended by ${signal}`))
process.on('uncaughtException', error => fail(error.stack ?? String(error)))

const options = readArguments()
setTimeout(() => fail(`not done after ${options.timeout} s`), options.timeout * 1000).unref()
await main()

function readArguments () {
  let values
  try {
    ({ values } = parseArgs({
      options: {
        binary: { type: 'string' },
        base: { type: 'string' },
        'origin-port': { type: 'string' },
        id: { type: 'string' },
        update: { type: 'boolean', default: false },
        timeout: { type: 'string', default: '600' },
        help: { type: 'boolean', default: false }
      }
    }))
  } catch (error) {
    wrongUsage(error.message)
  }
  if (values.help) {
    say(USAGE)
    process.exit(0)
  }
  const running = values.base !== undefined && values['origin-port'] !== undefined
  if (running === (values.binary !== undefined)) wrongUsage('give either --binary, or --base and --origin-port')
  const timeout = Number(values.timeout)
  const originPort = Number(values['origin-port'] ?? 0)
  if (!(timeout > 0)) wrongUsage('--timeout takes a number of seconds')
  if (!Number.isInteger(originPort)) wrongUsage('--origin-port takes a port number')
  return { ...values, timeout, originPort, base: values.base?.replace(/\/$/, ''), ids: values.id?.split(',') }
}

function wrongUsage (message) {
  process.stderr.write(`${message}\n${USAGE}\n`)
  process.exit(2)
}

async function main () {
  const started = Date.now()
  if (!fs.existsSync(path.join(HERE, 'node_modules', 'http-cache-tests'))) await fail('http-cache-tests is not installed: npm ci in tests/conformance')
  const { startOrigin } = await import('./origin.mjs')

  fs.rmSync(OUT, { recursive: true, force: true })
  fs.mkdirSync(OUT, { recursive: true })
  const nonce = `ready ${process.pid} ${started}`
  const origin = await startOrigin(options.originPort, nonce)
  cleanups.push(() => { origin.closeAllConnections(); origin.close() })
  const proxy = options.binary === undefined ? { base: options.base } : await startProxy(origin.address().port)
  await waitUntilReady(proxy, nonce)

  const suites = selectTests(await loadSuites())
  const tests = suites.flatMap(suite => suite.tests.map(test => ({ ...test, suite: suite.id, own: suite.own })))
  const { results, run } = await prepareRunner(suites, proxy.base)
  const { determineTestResult } = await import('http-cache-tests/lib/display.mjs')
  const verdictOf = test => {
    const verdict = VERDICTS[determineTestResult(suites, test.id, results)[2]] ?? 'harness fail'
    return { verdict, why: verdict === 'dependency fail' ? `needs ${test.depends_on.join(', ')}` : tidy(results[test.id]?.[1]) }
  }

  say(`running ${tests.length} tests against ${options.binary ?? options.base}`)
  await run(tests, CHUNK)
  const expected = readExpected()
  const differing = () => tests.filter(test => differs(expected[test.id], verdictOf(test).verdict))
  for (let round = 1; round <= RETRIES; round++) {
    const again = differing().filter(test => expected[test.id] !== undefined)
    if (again.length === 0 || again.length > RETRY_AT_MOST) break
    say(`retry ${round} of ${RETRIES}: ${again.map(test => test.id).join(' ')}`)
    await run(again, 10)
  }
  if (proxy.ended?.()) await fail(`the proxy ended while tests ran (${proxy.ended()})\n${proxy.log()}`)

  const found = new Map(tests.map(test => [test.id, verdictOf(test)]))
  fs.writeFileSync(path.join(OUT, 'results.json'), `${JSON.stringify(Object.fromEntries(Object.entries(results).sort()), null, 2)}\n`)
  report(tests, found, expected, started)
  if (options.update) {
    writeExpected(tests, found, expected)
    say('expected.json written')
  }
  const left = options.update ? [] : differing()
  const gone = options.ids || options.update ? [] : Object.keys(expected).filter(id => !found.has(id))
  showDifferences(left, gone, found, expected)
  const passed = tests.filter(test => PLAIN.has(found.get(test.id).verdict) && !left.includes(test))
  const failed = left.length + gone.length
  say(`${passed.length} passed, ${failed} failed`)
  await end(failed === 0 ? 0 : 1)
}

// --- the proxy ---------------------------------------------------------------------------------------------------

async function startProxy (originPort) {
  const binary = path.resolve(options.binary)
  if (!fs.existsSync(binary)) await fail(`${options.binary} does not exist`)
  const [port, admin] = await freePorts(2)
  const cwd = fs.mkdtempSync(path.join(os.tmpdir(), 'conformance-'))
  cleanups.push(() => fs.rmSync(cwd, { recursive: true, force: true }))
  const logFile = path.join(OUT, 'proxy.log')
  const log = fs.openSync(logFile, 'w')
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('WARMFRONT_')))
  const child = spawn(binary, ['run', '--upstream', `http://127.0.0.1:${originPort}`, '--listen', `127.0.0.1:${port}`, '--admin', `127.0.0.1:${admin}`], { cwd, env, stdio: ['ignore', log, log] })
  fs.closeSync(log)
  let exit
  const exited = new Promise(resolve => {
    child.once('error', error => { exit = error.message; resolve() })
    child.once('exit', (code, signal) => { exit ??= signal ?? `exit code ${code}`; resolve() })
  })
  process.once('exit', () => { if (exit === undefined) child.kill('SIGKILL') })
  cleanups.push(async () => {
    if (exit !== undefined) return
    child.kill('SIGTERM')
    if (await Promise.race([exited.then(() => 'ended'), sleep(5000, 'late', { ref: false })]) === 'late') {
      process.stderr.write('conformance: the proxy did not end within 5 s of SIGTERM: killed\n')
      child.kill('SIGKILL')
      await exited
    }
  })
  const tail = () => fs.readFileSync(logFile, 'utf8').split('\n').slice(-30).join('\n')
  return { base: `http://127.0.0.1:${port}`, ended: () => exit, log: tail }
}

async function freePorts (count) {
  const servers = await Promise.all(Array.from({ length: count }, () => new Promise((resolve, reject) => {
    const server = net.createServer().once('error', reject).listen(0, '127.0.0.1', () => resolve(server))
  })))
  const ports = servers.map(server => server.address().port)
  await Promise.all(servers.map(server => new Promise(resolve => server.close(resolve))))
  return ports
}

async function waitUntilReady (proxy, nonce) {
  const { rawRequest } = await import('./client.mjs')
  const { READY_PATH } = await import('./origin.mjs')
  const deadline = Date.now() + 30_000
  let last = 'no answer'
  while (Date.now() < deadline) {
    if (proxy.ended?.()) await fail(`the proxy ended before it answered (${proxy.ended()})\n${proxy.log()}`)
    try {
      const answer = await rawRequest(`${proxy.base}${READY_PATH}`)
      if (answer.status === 200 && answer.body === nonce) return
      last = `${answer.status} ${answer.body.slice(0, 200)}`
    } catch (error) {
      last = error.message
    }
    await sleep(100)
  }
  await fail(`${proxy.base} does not lead to the suite's origin: ${last}\n${proxy.log?.() ?? ''}`)
}

// --- the tests ---------------------------------------------------------------------------------------------------

async function loadSuites () {
  const { default: published } = await import('http-cache-tests/tests/index.mjs') // without surrogate-control: RFC 9213 took its place
  const own = []
  for (const file of fs.readdirSync(path.join(HERE, 'extra')).filter(name => name.endsWith('.mjs')).sort()) {
    own.push({ ...(await import(`./extra/${file}`)).default, own: true })
  }
  const suites = [...published.map(suite => ({ ...suite, own: false })), ...own]
    .map(suite => ({ ...suite, tests: suite.tests.filter(test => test.browser_only !== true) }))
  const ids = suites.flatMap(suite => suite.tests.map(test => test.id))
  const known = new Set(ids)
  if (known.size !== ids.length) await fail(`test ids used twice: ${ids.filter((id, at) => ids.indexOf(id) !== at).join(' ')}`)
  for (const test of suites.flatMap(suite => suite.tests)) {
    const unknown = test.depends_on?.find(id => !known.has(id))
    if (unknown) await fail(`${test.id} depends on ${unknown}, which does not exist`)
  }
  return suites
}

function selectTests (suites) {
  if (!options.ids) return suites
  const byId = new Map(suites.flatMap(suite => suite.tests).map(test => [test.id, test]))
  const wanted = new Set()
  const add = id => {
    if (!byId.has(id)) wrongUsage(`no test has the id ${id}`)
    if (wanted.has(id)) return
    wanted.add(id)
    byId.get(id).depends_on?.forEach(add)
  }
  options.ids.forEach(add)
  return suites.map(suite => ({ ...suite, tests: suite.tests.filter(test => wanted.has(test.id)) }))
}

/** `run(tests, atOnce)` runs them with the package's own runner (scripted ones with ours) into `results`. */
async function prepareRunner (suites, base) {
  const { runTests } = await import('http-cache-tests/client/runner.mjs')
  const { makeCacheTest, testResults: results } = await import('http-cache-tests/client/test.mjs')
  const { makeFetch, checkInterim, Script } = await import('./client.mjs')
  const arrived = new Map()
  const interimIds = new Set(suites.flatMap(suite => suite.tests).filter(test => test.requests?.some(expectsInterim)).map(test => test.id))
  const fetch = makeFetch(interimIds, (id, number, list) => arrived.set(`${id} ${number}`, list))
  await runTests([], fetch, false, base)

  async function runOne (test) {
    delete results[test.id]
    if (test.run) {
      try {
        await test.run(new Script(base, test.id))
        results[test.id] = true
      } catch (error) {
        results[test.id] = [error.name ?? 'unknown', error.message]
      }
      return
    }
    await makeCacheTest(JSON.parse(JSON.stringify(test))) // the runner changes what it is given, and tests share their templates
    if (results[test.id] !== true) return
    try {
      test.requests.forEach((request, at) => {
        if (expectsInterim(request)) checkInterim(at + 1, request.expected_interim_responses, arrived.get(`${test.id} ${at + 1}`))
      })
    } catch (error) {
      results[test.id] = [error.name, error.message]
    }
  }

  async function run (tests, atOnce) {
    const log = fs.createWriteStream(path.join(OUT, 'suite.log'), { flags: 'a' })
    const { log: toConsole } = console
    if (!options.ids) console.log = (...parts) => log.write(`${parts.join(' ')}\n`) // the package's server tells every odd request
    try {
      const queue = tests.map(test => options.ids ? { ...test, dump: true } : test)
      await Promise.all(Array.from({ length: atOnce }, async () => {
        while (queue.length > 0) await runOne(queue.shift())
      }))
    } finally {
      console.log = toConsole
      log.end()
    }
  }
  return { results, run }
}

function expectsInterim (request) {
  return request.expected_interim_responses !== undefined
}

// --- verdicts ----------------------------------------------------------------------------------------------------

function tidy (message) {
  return message?.replace(/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g, 'UUID').replace(/127\.0\.0\.1:\d+/g, 'HOST').replace(/\s+/g, ' ').slice(0, 160)
}

function readExpected () {
  return fs.existsSync(EXPECTED) ? JSON.parse(fs.readFileSync(EXPECTED, 'utf8')) : {}
}

function classOf (text) {
  return text?.split(': ', 1)[0]
}

function reasonOf (text) {
  return text?.includes(': ') ? text.slice(text.indexOf(': ') + 2) : undefined
}

function differs (expected, verdict) {
  return classOf(expected) !== verdict
}

function writeExpected (tests, found, before) {
  const after = options.ids ? { ...before } : {}
  for (const test of tests) {
    const { verdict, why } = found.get(test.id)
    after[test.id] = PLAIN.has(verdict) ? verdict : `${verdict}: ${reasonOf(before[test.id]) ?? why ?? 'unknown'}`
  }
  fs.writeFileSync(EXPECTED, `${JSON.stringify(after, null, 2)}\n`)
}

function report (tests, found, expected, started) {
  const line = (name, list) => {
    const part = (kind, good) => {
      const those = list.filter(test => (test.kind ?? 'required') === kind)
      return `${those.filter(test => found.get(test.id).verdict === good).length}/${those.length}`
    }
    say(`${name}: required ${part('required', 'pass')}, optimal ${part('optimal', 'pass')}, check yes ${part('check', 'yes')}`)
  }
  say('')
  line('http-cache-tests 0.4.5 (without browser-only tests)', tests.filter(test => !test.own))
  line('our own tests', tests.filter(test => test.own))
  const short = tests.filter(test => !PLAIN.has(found.get(test.id).verdict))
  if (short.length > 0) {
    say(`\nnot passing: ${short.length}`)
    table(short.map(test => {
      const { verdict, why } = found.get(test.id)
      return [test.id, test.kind ?? 'required', verdict, (classOf(expected[test.id]) === verdict ? reasonOf(expected[test.id]) : why) ?? '']
    }))
  }
  say(`\ntook ${Math.round((Date.now() - started) / 1000)} s; raw results in tests/conformance/out/results.json`)
}

function showDifferences (left, gone, found, expected) {
  if (left.length + gone.length === 0) return
  say('\nDIFFERENT FROM expected.json')
  table([
    ['test', 'kind', 'expected', 'found', 'message'],
    ...left.map(test => [test.id, test.kind ?? 'required', classOf(expected[test.id]) ?? '(nothing)', found.get(test.id).verdict, found.get(test.id).why ?? '']),
    ...gone.map(id => [id, '', classOf(expected[id]), '(no such test)', ''])
  ])
  const better = left.filter(test => ['pass', 'yes'].includes(found.get(test.id).verdict)).length
  if (better > 0) say(`${better} of these are better than expected: if that is meant, record it with --update`)
  const fresh = left.filter(test => expected[test.id] === undefined).length + gone.length
  if (fresh > 0) say(`${fresh} of these are tests that came or went: record them with --update`)
  say('')
}

function table (rows) {
  const widths = rows[0].map((_, column) => Math.max(...rows.map(row => row[column].length)))
  for (const row of rows) say(`  ${row.map((cell, column) => cell.padEnd(widths[column])).join('  ').trimEnd()}`)
}
