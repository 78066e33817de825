// Runs a function on a given tfjs backend and restores the previous one; not a backend.
import { SlipError } from '@slip/core';
import { tf } from '../tfjs.js';

/** tfjs' current backend is global state: only synchronous functions may run under another one. */
export function onBackend<T>(name: string, fn: () => T): T {
  const previous = tf.getBackend();
  activate(name);
  try {
    return fn();
  } finally {
    activate(previous);
  }
}

function activate(name: string): void {
  // With a backend that is already constructed the switch happens within the call; only its answer is a promise.
  if (tf.findBackend(name) === null) throw new SlipError('internal', `tfjs has no backend '${name}'`);
  void tf.setBackend(name);
}
