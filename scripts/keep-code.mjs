// Keeps the code that V8 makes of dist/cli/program.cjs while it injects a document (cli/kept-code.ts). As a
// program it is the run itself: node scripts/keep-code.mjs FOLDER ARGUMENTS
import { spawnSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

const self = fileURLToPath(import.meta.url)

/** Writes `program.code` beside the program in `folder`, which imports what is named in `outside`. */
export function keepCode(root, folder, outside) {
  const program = join(folder, 'program.cjs')
  let text = readFileSync(program, 'utf8')
  for (const name of Object.values(outside)) {
    const called = `import("${name}")`
    if (!text.includes(called)) throw new Error(`${program}: got nothing, want ${called}`)
    text = text.replaceAll(called, `importOutside("${name}")`)
  }
  writeFileSync(program, text)
  const manifest = join(root, 'examples/nginx-deployment.yaml')
  const ran = spawnSync(process.execPath, [self, folder, 'kube-inject', '-f', manifest], {
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  if (ran.status !== 0) process.exit(ran.status ?? 1)
}

if (process.argv[1] === self) {
  const [node, , folder, ...words] = process.argv
  const { runKept } = await import(pathToFileURL(join(folder, 'kept-code.js')).href)
  const program = join(folder, 'program.cjs')
  process.argv = [node, program, ...words]
  const script = runKept(program, undefined)
  process.on('exit', () => {
    writeFileSync(join(folder, 'program.code'), script.createCachedData())
  })
}
