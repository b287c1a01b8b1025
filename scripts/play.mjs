// Makes dist/play.html: one file with its style and its program in it, which needs no server and no network.
import { createHash } from 'node:crypto'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { build } from 'esbuild'
import { writeTemplateModule } from './templates.mjs'

const root = new URL('..', import.meta.url).pathname
writeTemplateModule(root)
const { outputFiles } = await build({
  absWorkingDir: root,
  entryPoints: ['play/page.ts'],
  bundle: true,
  minify: true,
  platform: 'browser',
  format: 'iife',
  target: 'es2022',
  legalComments: 'none',
  write: false,
})
// A closing tag inside a text would end the element.
const script = outputFiles[0].text.replaceAll('</script', '<\\/script')
const style = readFileSync(join(root, 'play/style.css'), 'utf8')
const page = readFileSync(join(root, 'play/page.html'), 'utf8')

// Nothing is loaded, sent or run but these two.
const policy = [
  "default-src 'none'",
  `script-src '${hashOf(script)}'`,
  `style-src '${hashOf(style)}'`,
  "base-uri 'none'",
  "form-action 'none'",
].join('; ')
const head = `<meta http-equiv="Content-Security-Policy" content="${policy}">\n<style>${style}</style>\n</head>`
// Functions, because `$&` in the program is no placeholder.
const html = page
  .replace('</head>', () => head)
  .replace('</body>', () => `<script>${script}</script>\n</body>`)

const file = join(root, 'dist/play.html')
mkdirSync(join(root, 'dist'), { recursive: true })
writeFileSync(file, html)
console.log(`dist/play.html: ${(html.length / 1000).toFixed(0)} kB, open it in a browser`)

function hashOf(text) {
  return `sha256-${createHash('sha256').update(text).digest('base64')}`
}
