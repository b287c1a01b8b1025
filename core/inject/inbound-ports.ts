/**
 * A comma-separated list of ports with one more. The list stays as it is, character by character, when
 * the port is empty or 0 or already in it (as the whole text of an item); otherwise its items are trimmed,
 * empty ones dropped, and the port comes last.
 */
export function excludeInboundPort(port: string, list: string): string {
  const trimmed = port.trim()
  const items = list.split(',')
  if (trimmed === '' || trimmed === '0' || items.includes(trimmed)) return list
  return [...items.map((item) => item.trim()).filter((item) => item !== ''), trimmed].join(',')
}
