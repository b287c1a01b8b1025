/** SARIF 2.1.0 (OASIS standard), as code scanning services read it. */
import { createHash } from 'node:crypto'
import { isAbsolute, normalize } from 'node:path'
import { pathToFileURL } from 'node:url'
import { CODES, type CodeRow, type Severity } from '../core/analysis/codes.ts'
import { STDIN } from '../kube-inject/sources.ts'
import { objectName, type Place, type Report, type Reported } from './reported.ts'
import { plain } from './texts.ts'

const SCHEMA = 'https://docs.oasis-open.org/sarif/sarif/v2.1.0/os/schemas/sarif-schema-2.1.0.json'

/** One log with one run: every code as a rule, every finding as a result. */
export function printSarif({ findings }: Report): string {
  const driver = { name: 'sidecar-injector check', rules: CODES.map(ruleOf) }
  const run = {
    tool: { driver },
    columnKind: 'utf16CodeUnits',
    results: findings.map(resultOf),
  }
  return `${JSON.stringify({ $schema: SCHEMA, version: '2.1.0', runs: [run] }, undefined, 2)}\n`
}

/** SARIF has a word of its own for what is only worth knowing (section 3.27.10). */
const LEVELS: Readonly<Record<Severity, string>> = {
  error: 'error',
  warning: 'warning',
  info: 'note',
}

function ruleOf({ code, severity, title, sentence, remedy, istio }: CodeRow) {
  return {
    id: code,
    name: title,
    shortDescription: { text: plain(sentence) },
    help: { text: plain(remedy), markdown: remedy },
    defaultConfiguration: { level: LEVELS[severity] },
    properties: { tags: ['istio', ...(istio === undefined ? [] : [istio])] },
  }
}

function resultOf(finding: Reported) {
  const { code, severity, message, place, kind, namespace, name, path, got } = finding
  const object = objectName(finding)
  // Lines move; what was found, and where in which object, stays (section 3.27.17).
  const identity = JSON.stringify([code, kind, namespace, name, path, got])
  return {
    ruleId: code,
    ruleIndex: CODES.findIndex((row) => row.code === code),
    level: LEVELS[severity],
    message: { text: `${object}: ${message}` },
    locations: [
      {
        ...(place === undefined ? {} : { physicalLocation: physical(place) }),
        logicalLocations: [{ fullyQualifiedName: `${object}${path}`, kind: 'resource' }],
      },
    ],
    partialFingerprints: {
      'sidecarInjectorFinding/v1': createHash('sha256').update(identity).digest('hex'),
    },
  }
}

function physical({ file, line, column }: Place) {
  return { artifactLocation: artifact(file), region: { startLine: line, startColumn: column } }
}

/** Relative names are below the root of the sources, as code scanning takes it. */
function artifact(file: string) {
  if (/^https?:\/\//.test(file)) return { uri: file }
  if (isAbsolute(file)) return { uri: pathToFileURL(file).href }
  const name = file === STDIN.name ? STDIN.below : normalize(file)
  const uri = name.split('/').map(encodeURIComponent).join('/')
  return { uri, uriBaseId: '%SRCROOT%' }
}
