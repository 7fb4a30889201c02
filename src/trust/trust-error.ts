/** Who somebody is could not be established, typed. */
import { GodwitError } from '../base/error.ts';

/**
 * `TRUST_TOKEN_MALFORMED`, `TRUST_CA_MISMATCH`, `TRUST_FOREIGN_CERTIFICATE`, `TRUST_CERTIFICATE_EXPIRED`,
 * `TRUST_REQUEST_INVALID`, `TRUST_NO_IDENTITY`, `TRUST_IDENTITY_BROKEN`.
 */
export class TrustError extends GodwitError {}
