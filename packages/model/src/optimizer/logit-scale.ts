// The bound on CLIP's temperature (reference 4.4).

/** ln 100, rounded as the reference writes it. */
export const MAX_LOGIT_SCALE = 4.6052;

/** Clamps the parameter (before exponentiation) to [0, 4.6052] in place, after each optimizer step. */
export function clampLogitScale(logitScale: Float32Array): void {
  logitScale[0] = Math.min(MAX_LOGIT_SCALE, Math.max(0, logitScale[0]));
}
