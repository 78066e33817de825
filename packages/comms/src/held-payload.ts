// The payload of a frame whose bytes lie in memory of JavaScript's own.
import type { Digest } from './vector/kernels.js';
import type { Payload } from './wire.js';

/** @param check compares the digest of the bytes that were read; nothing is left to compare without it */
export function heldPayload(bytes: Uint8Array, check: (digest: Digest) => void = () => {}): Payload {
  return {
    length: bytes.length,
    read: (at, into) => into.set(bytes.subarray(at, at + into.length)),
    check,
    release() {},
  };
}
