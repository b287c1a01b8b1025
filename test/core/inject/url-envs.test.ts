import t from 'tap'
import { readUrlEnvs } from '../../../core/inject/url-envs.ts'

const cases: readonly { what: string; path: string; want: Record<string, string> }[] = [
  { what: 'the bare path', path: '/inject', want: {} },
  {
    what: 'a slash in a value',
    path: '/inject/net/a--slash--b--slash--c',
    want: { ISTIO_META_NETWORK: 'a/b/c' },
  },
  { what: 'a key without a name is left out', path: '/inject//x/foo/bar', want: { FOO: 'bar' } },
  { what: 'the last of two values wins', path: '/inject/foo/1/FOO/2', want: { FOO: '2' } },
  { what: 'an empty value stays', path: '/inject/foo//bar/2', want: { FOO: '', BAR: '2' } },
  {
    what: 'the older form keeps names and slashes as they are',
    path: '/inject/:ENV:cluster=a/b:ENV:Net=:ENV:=x:ENV:none:ENV:s=--slash--',
    want: { cluster: 'a/b', Net: '', s: '--slash--' },
  },
  {
    what: 'names that objects inherit',
    path: '/inject/:ENV:__proto__=a:ENV:constructor=b',
    want: Object.fromEntries([
      ['__proto__', 'a'],
      ['constructor', 'b'],
    ]),
  },
  { what: 'the same in the newer form', path: '/inject/constructor/x', want: { CONSTRUCTOR: 'x' } },
]

for (const c of cases) {
  t.test(c.what, async (t) => {
    t.strictSame(Object.entries(readUrlEnvs(c.path)), Object.entries(c.want))
  })
}
