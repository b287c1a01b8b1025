import type { StringMap } from '../k8s.ts'
import type { IstioVersion, Values } from './values.ts'

/** Where the built-in images come from: registry path and tag, by version. */
export const DEFAULT_IMAGES: Readonly<
  Record<IstioVersion, { readonly hub: string; readonly tag: string }>
> = {
  current: { hub: 'docker.io/istio', tag: '1.30.3' },
  '1.17': { hub: 'docker.io/istio', tag: '1.17.8' },
  '1.8': { hub: 'docker.io/istio', tag: '1.8.1' },
}

const DEFAULT_NAME = 'proxyv2'

/** Annotation: a whole image for proxy and init container; without a `/` it is ignored. */
export const IMAGE_ANNOTATION = 'sidecar.istio.io/proxyImage'
/** Annotation: the image type of both, such as `distroless`; empty means the tag as it is. */
export const IMAGE_TYPE_ANNOTATION = 'sidecar.istio.io/proxyImageType'

/** The image of `istio-proxy`. `imageType` is that of the effective ProxyConfig, empty when unset. */
export function proxyImage(values: Values, imageType: string, annotations: StringMap): string {
  return imageOf(values, values.global.proxy.image, imageType || values.global.variant, annotations)
}

/** The image of the init container. The ProxyConfig's image type does not reach it, as in Istio. */
export function initImage(values: Values, annotations: StringMap): string {
  return imageOf(values, values.global.proxy_init.image, values.global.variant, annotations)
}

/** `hub/name:tag`, where an image type replaces a trailing `-distroless` or `-debug` of the tag. */
export function imageUrl(hub: string, name: string, tag: string, imageType: string): string {
  return `${hub}/${name}:${tagOf(tag, imageType)}`
}

function imageOf(values: Values, name: string, imageType: string, annotations: StringMap): string {
  const whole = [annotations[IMAGE_ANNOTATION], name].find((image) => image?.includes('/'))
  if (whole !== undefined) return whole
  const { hub, tag } = values.global
  return imageUrl(hub, name || DEFAULT_NAME, tag, annotations[IMAGE_TYPE_ANNOTATION] ?? imageType)
}

function tagOf(tag: string, imageType: string): string {
  if (imageType === '') return tag
  const plain = tag.replace(/-(distroless|debug)$/, '')
  return imageType === 'default' ? plain : `${plain}-${imageType}`
}
