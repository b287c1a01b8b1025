import type { Door } from './program.ts'

/** The one that pipelines start once a file, and which is bundled for that (start.ts). */
export const KUBE_INJECT: Door = {
  name: 'kube-inject',
  says: 'inject the sidecar into manifests, no cluster needed',
  load: async () => (await import('../kube-inject/command.ts')).kubeInjectCommand(),
}
