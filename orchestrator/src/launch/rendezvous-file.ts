// How nodes find each other where no port is agreed on beforehand: node 0 listens on any free port and writes where, into a
// file on shared storage. Not for two launches at once: each has a file name of its own.
import { readdir, readFile, rm } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { SlipError, writeFileAtomic } from '@slip/core';
import type { Endpoint } from './network.js';

const LOOK_EVERY_MS = 250;

/** @throws SlipError `rendezvous` when the file cannot be written */
export async function publishEndpoint(file: string, endpoint: Endpoint): Promise<void> {
  try {
    await writeFileAtomic(file, `${JSON.stringify(endpoint)}\n`, 0o600);
  } catch (error) {
    throw new SlipError(
      'rendezvous',
      `--rdzv-endpoint file://${file}: cannot be written (${(error as Error).message}); its folder has to be on storage that all nodes share`,
      { cause: error },
    );
  }
}

/** Only what is ours: a later launch may have a file of the same name by then. */
export async function withdrawEndpoint(file: string, { host, port }: Endpoint): Promise<void> {
  const found = await readEndpointFile(file);
  if (found?.host === host && found.port === port) await rm(file, { force: true });
}

/** @throws SlipError `rendezvous` when node 0 has not written the file in time */
export async function awaitEndpoint(file: string, timeoutMs: number, signal?: AbortSignal): Promise<Endpoint> {
  for (const end = performance.now() + timeoutMs; performance.now() < end; ) {
    const endpoint = await readEndpointFile(file);
    if (endpoint !== undefined) return endpoint;
    // A network file system remembers for up to a minute that a file was not there; listing its folder makes it look again.
    await readdir(path.dirname(file)).catch(() => []);
    if (signal?.aborted === true) throw new SlipError('stopped', 'stopped before node 0 was found');
    await sleep(LOOK_EVERY_MS);
  }
  throw new SlipError(
    'rendezvous',
    `node 0 did not write ${file} within ${timeoutMs / 1000} s; is slip-launch running there, and is the folder on storage that all nodes share?`,
  );
}

async function readEndpointFile(file: string): Promise<Endpoint | undefined> {
  try {
    const { host, port } = JSON.parse(await readFile(file, 'utf8'));
    return typeof host === 'string' && Number.isInteger(port) ? { host, port } : undefined;
  } catch {
    return undefined;
  }
}
