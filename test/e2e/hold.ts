// Program of control-plane.test.ts: starts a control plane, says `ready`, and ends as it is told.
import { startControlPlane } from './control-plane.ts'

const orders: Readonly<Record<string, () => void>> = {
  stop: () => void controlPlane.stop().then(() => process.exit(0)),
  exit: () => process.exit(0),
  throw: () => {
    throw new Error('thrown on purpose')
  },
}

// When the test itself is gone, its pipe closes.
process.stdin.on('end', () => process.exit(0))
process.stdin.resume()

const controlPlane = await startControlPlane()
console.log('ready')
process.stdin.on('data', (order) => orders[order.toString()]?.())
