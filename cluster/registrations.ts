/** Where MutatingWebhookConfigurations are, at an API server. */
export const REGISTRATIONS = '/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations'
