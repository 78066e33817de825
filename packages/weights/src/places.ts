// Where downloads are kept and come from, as the environment says.
import os from 'node:os';
import path from 'node:path';

/** Where downloads are kept: `SLIP_CACHE`, or `slip` in `XDG_CACHE_HOME` or `~/.cache`. */
export function cacheFolder(env: NodeJS.ProcessEnv): string {
  if (env.SLIP_CACHE) return env.SLIP_CACHE;
  return path.join(env.XDG_CACHE_HOME || path.join(os.homedir(), '.cache'), 'slip');
}

/** A server with the published files instead of the authors': `SLIP_MIRROR`, with a slash at the end. */
export function mirrorOf(env: NodeJS.ProcessEnv): string | undefined {
  if (!env.SLIP_MIRROR) return undefined;
  return env.SLIP_MIRROR.endsWith('/') ? env.SLIP_MIRROR : `${env.SLIP_MIRROR}/`;
}
