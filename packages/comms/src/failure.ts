// How one rank's failure is told to the others. Pure.
import { type ErrorCode, SlipError } from '@slip/core';

const LONGEST_MESSAGE = 2000;

/** Reasons that name a rank pass unchanged from rank to rank; anything else becomes the sender's own misfortune. */
export function encodeFailure(error: Error, rank: number): Uint8Array {
  const isShared = error instanceof SlipError && (error.code === 'peer-lost' || error.code === 'rendezvous');
  const facts = isShared
    ? { code: error.code, message: error.message, rank: error.details.rank ?? rank }
    : { code: 'peer-lost', message: `rank ${rank} gave up: ${error.message}`, rank };
  return Buffer.from(JSON.stringify({ ...facts, message: facts.message.slice(0, LONGEST_MESSAGE) }));
}

/** Never throws: that a rank has failed counts, even when its reason cannot be read. */
export function decodeFailure(payload: Uint8Array, from: number): SlipError {
  let facts: { code?: unknown; message?: unknown; rank?: unknown } = {};
  try {
    facts = Object(JSON.parse(Buffer.from(payload).toString('utf8')));
  } catch {
    // Named below all the same.
  }
  const code: ErrorCode = facts.code === 'rendezvous' ? 'rendezvous' : 'peer-lost';
  const message = typeof facts.message === 'string' ? facts.message : `rank ${from} gave up`;
  return new SlipError(code, message, { details: { rank: facts.rank ?? from, reportedBy: from } });
}
