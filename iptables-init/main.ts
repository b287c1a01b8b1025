#!/usr/bin/env node
import { realpathSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { readArgv, resolveProxyUser, type Environment, type Request } from '../core/options/argv.ts'
import { formatProblem, Refusal, type Problem } from '../core/problem.ts'
import { buildPlan } from '../core/rules/build.ts'
import { readSite, type HostFacts } from '../core/rules/site.ts'
import { readFactsFile, readHostFacts } from './facts.ts'
import { EXIT, type Job, type Streams } from './job.ts'
import { printDryRunFile, printPlan } from './print.ts'

/** Runs one command line and answers its exit status. */
export async function main(
  argv: readonly string[],
  env: Environment,
  streams: Streams,
): Promise<number> {
  const read = readArgv(argv, env)
  if (!read.ok) return refuse(read.problems, streams, EXIT.usage)
  const request = read.value
  if (request.wantsHelp) {
    const { printHelp } = await import('./help.ts')
    streams.out(printHelp(request.command))
    return EXIT.done
  }
  for (const warning of request.warnings) streams.log(`warning: ${warning}`)
  try {
    return await work(request, streams)
  } catch (error) {
    if (error instanceof Refusal) return refuse(error.problems, streams, EXIT.failed)
    streams.log(`error: ${error instanceof Error ? error.message : String(error)}`)
    return EXIT.failed
  }
}

async function work(request: Request, streams: Streams): Promise<number> {
  const { command, run } = request
  if (command === 'apply' && run.dryRun) return dryRun(await prepare(request, streams), streams)
  switch (command) {
    case 'apply': {
      const { applyCommand } = await import('./apply-command.ts')
      return applyCommand(request, () => prepare(request, streams), streams)
    }
    case 'verify': {
      const { verifyCommand } = await import('./verify.ts')
      return verifyCommand(await prepare(request, streams), streams)
    }
    case 'trace': {
      const { traceCommand } = await import('./trace.ts')
      return traceCommand(request, () => prepare(request, streams), streams)
    }
  }
}

/** Reads the host and works out the options. Refuses when the host has no usable address. */
async function prepare(request: Request, streams: Streams): Promise<Job> {
  const facts = await factsFor(request)
  const options = resolveProxyUser(request, facts.users)
  const isV18 = request.look.profile === '1.8'
  const seen = { ...options, dns: isV18 ? 'off' : options.dns } as const
  const site = readSite(facts, {
    ...seen,
    dualStack: !isV18 && options.dualStack,
    linkLocalCounts: isV18,
  })
  if (!site.ok) throw new Refusal(site.problems)
  for (const warning of site.value.warnings) streams.log(`warning: ${warning}`)
  return { request, options, site: site.value }
}

async function factsFor(request: Request): Promise<HostFacts> {
  const { hostFacts, networkNamespace, dryRun: isDry } = request.run
  if (hostFacts !== undefined) {
    const facts = await readFactsFile(hostFacts)
    if (!facts.ok) throw new Refusal(facts.problems)
    return facts.value
  }
  if (networkNamespace === undefined || isDry) return readHostFacts(undefined)
  const { makeRun } = await import('./run.ts')
  return readHostFacts(makeRun({ networkNamespace }))
}

function dryRun(job: Job, streams: Streams): number {
  const plan = buildPlan(job.options, job.site, job.request.look)
  const { run } = job.request
  if (run.dryRunFile !== undefined) writeFileSync(run.dryRunFile, printDryRunFile(plan))
  const isWritten = !run.cleanupOnly && !run.skipRuleApply
  streams.out(printPlan(isWritten ? plan : { ...plan, steps: [] }, run))
  return EXIT.done
}

function refuse(problems: readonly Problem[], streams: Streams, code: number): number {
  for (const problem of problems) streams.log(`error: ${formatProblem(problem)}`)
  return code
}

/** Whether this file is what Node was told to run; it is also imported. */
function isMain(): boolean {
  const started = process.argv[1]
  return started !== undefined && realpathSync(started) === fileURLToPath(import.meta.url)
}

/** Runs this process's command line; the exit status is set when the work is done. */
export function start(): void {
  const streams = {
    out: (text: string) => void process.stdout.write(text),
    log: (line: string) => void process.stderr.write(`${line}\n`),
  }
  void main(process.argv.slice(2), process.env, streams).then((code) => {
    process.exitCode = code
  })
}

if (isMain()) start()
