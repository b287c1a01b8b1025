import { goJson, isObject, type Json, type JsonObject } from '../json.ts'
import { bad, good, type Problem, type Read } from '../problem.ts'
import { readYaml } from '../yaml.ts'

/** Where requests are logged and how one line looks. */
export type AccessLog = {
  /** Path of a file; `/dev/stdout` and `/dev/stderr` are the proxy's own. */
  readonly file: string
  readonly format:
    | { readonly encoding: 'TEXT'; readonly text: string }
    | { readonly encoding: 'JSON'; readonly fields: JsonObject }
}

/** Istio's format of a line where the mesh names none. */
export const DEFAULT_TEXT_FORMAT =
  '[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE% ' +
  '%RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS% ' +
  '"%UPSTREAM_TRANSPORT_FAILURE_REASON%" %BYTES_RECEIVED% %BYTES_SENT% %DURATION% ' +
  '%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" ' +
  '"%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%" %UPSTREAM_CLUSTER_RAW% ' +
  '%UPSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS% ' +
  '%REQUESTED_SERVER_NAME% %ROUTE_NAME%\n'

/** Istio's fields of a JSON line where the mesh names none. */
const DEFAULT_JSON_FORMAT: JsonObject = {
  start_time: '%START_TIME%',
  method: '%REQ(:METHOD)%',
  path: '%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%',
  protocol: '%PROTOCOL%',
  response_code: '%RESPONSE_CODE%',
  response_flags: '%RESPONSE_FLAGS%',
  response_code_details: '%RESPONSE_CODE_DETAILS%',
  connection_termination_details: '%CONNECTION_TERMINATION_DETAILS%',
  upstream_transport_failure_reason: '%UPSTREAM_TRANSPORT_FAILURE_REASON%',
  bytes_received: '%BYTES_RECEIVED%',
  bytes_sent: '%BYTES_SENT%',
  duration: '%DURATION%',
  upstream_service_time: '%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%',
  x_forwarded_for: '%REQ(X-FORWARDED-FOR)%',
  user_agent: '%REQ(USER-AGENT)%',
  request_id: '%REQ(X-REQUEST-ID)%',
  authority: '%REQ(:AUTHORITY)%',
  upstream_host: '%UPSTREAM_HOST%',
  upstream_cluster: '%UPSTREAM_CLUSTER_RAW%',
  upstream_local_address: '%UPSTREAM_LOCAL_ADDRESS%',
  downstream_local_address: '%DOWNSTREAM_LOCAL_ADDRESS%',
  downstream_remote_address: '%DOWNSTREAM_REMOTE_ADDRESS%',
  requested_server_name: '%REQUESTED_SERVER_NAME%',
  route_name: '%ROUTE_NAME%',
}

/** Reads `accessLogFile`, `accessLogFormat` and `accessLogEncoding` of a MeshConfig. No file: no log. */
export function readAccessLog(path: string, mesh: JsonObject): Read<AccessLog | undefined> {
  const problems: Problem[] = []
  const text = (name: string): string => {
    const value = mesh[name] ?? ''
    if (typeof value === 'string') return value
    problems.push({ path: `${path}: ${name}`, got: goJson(value), want: 'a text' })
    return ''
  }
  const [file, given, encoding] = [
    text('accessLogFile'),
    text('accessLogFormat'),
    text('accessLogEncoding'),
  ]
  if (encoding !== '' && encoding !== 'TEXT' && encoding !== 'JSON') {
    problems.push({ path: `${path}: accessLogEncoding`, got: encoding, want: 'TEXT or JSON' })
  }
  if (problems.length > 0) return { ok: false, problems }
  if (file === '') return good(undefined)
  if (encoding !== 'JSON') {
    const line = given === '' ? DEFAULT_TEXT_FORMAT : given
    // As in Istio: a format without an end of line gets one, or all requests would share a line.
    const ended = line.endsWith('\n') ? line : `${line}\n`
    return good({ file, format: { encoding: 'TEXT', text: ended } })
  }
  const fields =
    given === '' ? DEFAULT_JSON_FORMAT : readFieldMap(`${path}: accessLogFormat`, given)
  return fields === undefined
    ? bad(`${path}: accessLogFormat`, given, 'a JSON object, because the encoding is JSON')
    : good({ file, format: { encoding: 'JSON', fields } })
}

function readFieldMap(path: string, text: string): JsonObject | undefined {
  const read = readYaml(path, text)
  return read.ok && isObject(read.value) ? read.value : undefined
}

/** The `access_log` of a listener's filters: one logger, or none. */
export function printAccessLog(log: AccessLog | undefined): readonly Json[] {
  if (log === undefined) return []
  const { format } = log
  const log_format: JsonObject =
    format.encoding === 'TEXT'
      ? { text_format_source: { inline_string: format.text } }
      : { json_format: format.fields }
  const stream = STREAMS[log.file]
  // Opening /dev/stdout by its path fails where another user made the pipe behind it.
  return stream === undefined
    ? [logger('file', 'FileAccessLog', { path: log.file, log_format })]
    : [logger(stream.name, stream.type, { log_format })]
}

const STREAMS: Readonly<Record<string, { readonly name: string; readonly type: string }>> = {
  '/dev/stdout': { name: 'stdout', type: 'StdoutAccessLog' },
  '/dev/stderr': { name: 'stderr', type: 'StderrAccessLog' },
}

function logger(name: string, type: string, config: JsonObject): JsonObject {
  const place = name === 'file' ? 'file' : 'stream'
  return {
    name: `envoy.access_loggers.${name}`,
    typed_config: {
      '@type': `type.googleapis.com/envoy.extensions.access_loggers.${place}.v3.${type}`,
      ...config,
    },
  }
}
