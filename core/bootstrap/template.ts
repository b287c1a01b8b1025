/** The parts of a bootstrap that are the same for every pod, as templates/envoy-bootstrap.json holds them. */
import constant from '../../templates/envoy-bootstrap.json' with { type: 'json' }

/** Runtime flags, stats tags and the discovery part of Envoy's configuration. */
export const TEMPLATE = constant
