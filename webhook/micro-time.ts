/** A time as Kubernetes' MicroTime: RFC 3339 with exactly 6 digits after the point. */
export function microTime(at: Date): string {
  return at.toISOString().replace('Z', '000Z')
}
