/** Requests of and to an injected pod: tracer, kernel counters, access log and application tell one story. */
import t from 'tap'
import { AT } from '../../datapath/lab.ts'
import { need } from '../require.ts'
import { app, client, commonRows, EXCLUDING, ownService, runRows, WEB, type Row } from './rows.ts'
import { datapathUnavailable, initProgram, setUp } from './scenario.ts'

const { pod: POD, server: SERVER, other: OTHER } = AT.v4

/** Ways that only the ordinary mode is asked for. */
const rows: readonly Row[] = [
  {
    who: 'an excluded outbound range',
    ...{ caller: app, to: OTHER, port: 80 },
    want: { status: 200, by: 'other', source: POD, through: [] },
  },
  {
    who: 'uid 1000 in the proxy group',
    caller: { place: 'pod', who: { uid: 1000, gid: 1337, capabilities: [] } },
    ...{ to: SERVER, port: 80 },
    want: { status: 200, by: 'server', source: POD, through: [] },
  },
  {
    who: 'a port that nobody listens on: the proxy answers for it',
    ...{ caller: client, to: POD, port: 8099 },
    want: { status: 503, through: ['InboundPassthroughCluster'] },
  },
  {
    who: 'the health of the proxy, which asks the agent',
    ...{ caller: client, to: POD, port: 15021, path: '/healthz/ready' },
    want: { status: 200, through: [] },
  },
  {
    who: 'the metrics of the proxy',
    ...{ caller: client, to: POD, port: 15090, path: '/stats/prometheus' },
    want: { status: 200, through: [] },
  },
  {
    who: "the kubelet's question to the application, rewritten by injection",
    ...{ caller: client, to: POD, port: 15020, path: '/app-health/web/readyz' },
    want: { status: 200, by: 'app', source: '127.0.0.6', through: [] },
  },
  {
    who: 'a question that nobody asked for',
    ...{ caller: client, to: POD, port: 15020, path: '/app-health/web/livez' },
    want: { status: 400, through: [] },
  },
]

const containers = [
  {
    name: 'web',
    image: 'web',
    ports: [{ name: 'http', containerPort: 8080 }],
    readinessProbe: { httpGet: { path: '/is-ready', port: 'http' } },
  },
]

t.test('requests in the ordinary mode', need(datapathUnavailable()), async (t) => {
  const scenario = await setUp(t, await initProgram(t), {
    appPorts: [8080, 9090],
    objects: ownService(['v4']),
    injection: { containers, annotations: EXCLUDING },
  })
  const observed = await runRows(t, scenario, [...commonRows('v4'), ...rows])
  const probe = observed.at(-2)?.answer
  t.equal(probe?.seen?.path, '/is-ready', 'the path is the one that the pod was written with')
  const [, metrics] = observed.slice(-4)
  t.match(metrics?.answer.body, /^envoy_server_live\{?.*1$/m, 'and the metrics are those of Envoy')

  t.test('a line has the fields of the documents, in their order', async (t) => {
    const [inbound, , , self] = observed
    const answer = inbound?.answer
    const line = inbound?.lines[0]?.text ?? ''
    const body = `${answer?.body.length ?? 0}`
    // [START_TIME] "METHOD PATH PROTOCOL" CODE FLAGS DETAILS TERMINATION "FAILURE" RECEIVED SENT DURATION
    // UPSTREAM_TIME "FORWARDED" "AGENT" "ID" "AUTHORITY" "UPSTREAM" CLUSTER LOCAL DOWN_LOCAL DOWN_REMOTE SNI ROUTE
    const want = new RegExp(
      [
        String.raw`^\[\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\]`,
        `"GET ${answer?.seen?.path ?? ''} HTTP/1\\.1" 200 - via_upstream - "-" 0 ${body}`,
        String.raw`\d+ \d+ "-" "-" "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"`,
        `"${POD}:8080" "${POD}:8080" InboundPassthroughCluster`,
        String.raw`127\.0\.0\.6:\d+ ${POD}:8080 ${AT.v4.client}:${answer?.port ?? 0} - default$`,
      ].join(' '),
    )
    t.match(line, want)
    const both = (self?.lines ?? []).map(({ text }) => text)
    const ids = both.map((one) => /"([0-9a-f-]{36})"/.exec(one)?.[1])
    t.equal(ids.length, 2, 'a call to the own service is logged on its way out and on its way in')
    t.equal(ids[0], ids[1], 'under one id')
    t.match(both.join('\n'), `outbound|8080||${WEB.v4}`)
  })
})

t.test('the agent is where the pod says', need(datapathUnavailable()), async (t) => {
  const annotations = { 'status.sidecar.istio.io/port': '15099' }
  const scenario = await setUp(t, await initProgram(t), { injection: { containers, annotations } })
  const questions = rows
    .filter(({ port }) => port === 15020 || port === 15021)
    .map((row): Row => (row.port === 15020 ? { ...row, port: 15099 } : row))
  t.equal(questions.length, 3)
  await runRows(t, scenario, questions)
})
