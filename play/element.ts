/** Elements of the page. Whatever text is given becomes text, never markup. */

/** Makes an element with attributes of ours and a text of anybody's. */
export function element(
  name: string,
  attributes: Readonly<Record<string, string>>,
  text = '',
): HTMLElement {
  const made = document.createElement(name)
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value)
  made.textContent = text
  return made
}

/** The element of the page with an id; the page always has it. */
export function find<T extends HTMLElement>(id: string, type: new () => T): T {
  const found = document.getElementById(id)
  if (found instanceof type) return found
  throw new Error(`internal error, the page has no ${id}`)
}
