/** The page in a real Chromium: clicked through, offline, and given hostile text. */
import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { execa } from 'execa'
import { chromium, type Page } from 'playwright-core'
import t, { type Test } from 'tap'
import { need } from '../require.ts'

const root = join(import.meta.dirname, '../..')
const browser = (process.env['PATH'] ?? '')
  .split(delimiter)
  .map((folder) => join(folder, 'chromium'))
  .find((file) => existsSync(file))
const unavailable = browser === undefined ? 'chromium is not on PATH (Debian: chromium)' : undefined

t.test('the page', need(unavailable), async (t) => {
  await execa(process.execPath, [join(root, 'scripts/play.mjs')])
  const folder = await mkdtemp(join(tmpdir(), 'sidecar-injector-play-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  const running = await chromium.launch({ executablePath: browser ?? '' })
  t.teardown(() => running.close())
  const context = await running.newContext({
    offline: true,
    viewport: { width: 1400, height: 1000 },
  })
  const asked: string[] = []
  const errors: string[] = []
  const open = async (): Promise<Page> => {
    const page = await context.newPage()
    page.on('request', (request) => asked.push(request.url()))
    page.on('pageerror', (error) => errors.push(error.message))
    page.on('console', (message) => {
      if (message.type() === 'error') errors.push(message.text())
    })
    await page.goto(pathToFileURL(join(root, 'dist/play.html')).href)
    return page
  }

  await t.test('shows what injection adds, and why', async (t) => {
    const page = await open()
    t.match(await page.locator('#fates').innerText(), /^Deployment web: injected: /)
    t.match(await page.locator('#lines').innerText(), /# comments stay/)
    const line = page.getByRole('button', { name: /- name: istio-proxy/ })
    await line.click()
    t.match(await page.locator('#lines .why').innerText(), /template sidecar/)
    t.equal(await line.getAttribute('aria-expanded'), 'true')
    await line.click()
    t.equal(await page.locator('#lines .why').count(), 0)
    const port = page.locator('#lines button').filter({ hasText: '3306' })
    await port.first().click()
    t.match(await page.locator('#lines .why').innerText(), /excludeOutboundPorts/)
    await picture(t, page, join(folder, 'injected.png'))
  })

  await t.test('follows packets', async (t) => {
    const page = await open()
    const rows = [
      { click: 'the application calls a service', end: /captured: it goes to port 15001/ },
      { click: 'the proxy sends that on', end: /left alone/ },
      { click: 'a peer calls the application', end: /captured: it goes to port 15006/ },
      { click: 'the proxy hands that to the application', end: /left alone/ },
      { click: 'the kubelet asks the proxy for its health', end: /left alone/ },
      {
        click: 'the application calls itself by its service',
        end: /captured: it goes to port 15006/,
      },
      { click: 'the application calls itself by localhost', end: /left alone/ },
      { click: 'the application asks for a name', end: /left alone/ },
    ]
    for (const { click, end } of rows) {
      await page.getByRole('button', { name: click }).click()
      t.match(await page.locator('#end').innerText(), end, click)
      const met = await page.locator('#chains g.met').count()
      const told = await page.locator('#hops li').filter({ hasText: ', rule ' }).count()
      t.ok(met > 0 && met <= told, `${click}: ${met} rules marked, ${told} told`)
    }
    await page.getByRole('button', { name: 'a peer calls the application' }).click()
    t.match(await page.locator('#chains path.met').count(), 2, 'two jumps: into INBOUND and on')
    await picture(t, page, join(folder, 'traced.png'))
  })

  await t.test('options change the result', async (t) => {
    const page = await open()
    const text = () => page.locator('#lines').innerText()
    t.match(await text(), 'istio-init')
    await page.getByLabel('CNI mode').check()
    t.match(await text(), 'istio-validation')
    t.notMatch(await text(), 'NET_ADMIN')
    await page.getByLabel('CNI mode').uncheck()
    await page.getByLabel('native sidecar').check()
    t.match(await text(), 'restartPolicy: Always')
    await page.getByLabel('Templates of Istio').selectOption('1.8')
    t.match(await text(), 'proxyv2:1.8')
    await page.locator('#manifest').fill('a: [')
    await page.locator('#fates .problem').waitFor()
    t.match(await page.locator('#fates').innerText(), /^manifest:1:/)
    t.equal(await page.locator('#lines li').count(), 0)
    t.match(await page.locator('#end').innerText(), 'no pod here is injected')
  })

  await t.test('text of the user is never markup', async (t) => {
    const page = await open()
    const evil = `<img src=x onerror="window.hacked=1"></script><script>window.hacked=1</script>`
    const quoted = JSON.stringify(evil)
    await page.locator('#manifest').fill(`
apiVersion: v1
kind: Pod
metadata: {name: ${quoted}, labels: {app: ${quoted}}, annotations: {sidecar.istio.io/proxyImage: ${quoted}, "traffic.sidecar.istio.io/excludeInboundPorts": "1"}}
spec: {containers: [{name: app, image: ${quoted}}]}
`)
    await page.locator('#fates').filter({ hasText: 'onerror' }).waitFor()
    t.equal(await page.locator('img').count(), 0)
    for (const button of await page.locator('#lines button').all()) await button.click()
    for (const field of ['values', 'mesh']) {
      await page.locator('summary').click()
      await page.locator(`#${field}`).fill(`${quoted}: [`)
      await page.locator('#fates .problem').waitFor()
      await page.locator(`#${field}`).fill('')
      await page.locator('#fates .problem').waitFor({ state: 'detached' })
      await page.locator('summary').click()
    }
    t.equal(await page.locator('img').count(), 0)
    t.equal(await page.locator('script').count(), 1, "the page's own")
    t.equal(await page.evaluate('window.hacked'), undefined)
  })

  await t.test('nothing was asked for but the file, and nothing failed', async (t) => {
    t.strictSame([...new Set(asked)], [pathToFileURL(join(root, 'dist/play.html')).href])
    t.strictSame(errors, [])
  })
})

/** Takes a screenshot and looks whether there is anything on it. */
async function picture(t: Test, page: Page, path: string): Promise<void> {
  await page.screenshot({ path, fullPage: true })
  const { length } = await readFile(path)
  t.ok(length > 50_000, `a picture of ${Math.round(length / 1000)} kB`)
}
