import { readAddress } from '../cidrs.ts'

/** What `isProxyAddress` takes. */
export const PROXY_ADDRESS =
  'host:port, with a host name or an IP address and a port from 1 to 65535'

/** Whether a text is `host:port` as the control plane takes it; an IPv6 host stands in brackets. */
export function isProxyAddress(text: string): boolean {
  const [, bracketed, plain, port = ''] =
    /^(?:\[([^[\]]*)\]|([^[\]:]*)):([^:[\]]*)$/.exec(text) ?? []
  const host = bracketed ?? plain ?? ''
  return isPort(port) && (isHostName(host) || readAddress('', host).ok)
}

function isPort(text: string): boolean {
  return /^[-+]?\d+$/.test(text) && Number(text) >= 1 && Number(text) <= 65535
}

/** DNS labels joined by dots, at most 255 in all; the last one is no number; one closing dot is fine. */
function isHostName(text: string): boolean {
  const labels = text.replace(/\.$/, '').split('.')
  const last = text.split('.').at(-1) ?? ''
  return text.length <= 255 && !/^[-+]?\d+$/.test(last) && labels.every(isLabel)
}

function isLabel(text: string): boolean {
  return text.length <= 63 && /^[a-zA-Z0-9]([-a-zA-Z0-9]*[a-zA-Z0-9])?$/.test(text)
}
