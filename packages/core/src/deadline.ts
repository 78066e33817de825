// Waiting with an end: every wait of the project names what it waits for and how long.
import { type ErrorCode, SlipError } from './errors.js';

/**
 * Resolves with `promise`, or rejects when `timeoutMs` has passed.
 * @param what completes the sentence "timed out after N s waiting for ..."
 */
export async function withDeadline<T>(
  promise: Promise<T>,
  timeoutMs: number,
  what: string,
  code: ErrorCode = 'peer-lost',
): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const expired = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new SlipError(code, `timed out after ${timeoutMs / 1000} s waiting for ${what}`)),
      timeoutMs,
    );
  });
  try {
    return await Promise.race([promise, expired]);
  } finally {
    clearTimeout(timer);
  }
}
