// The keys with which ranks encrypt what they send each other: in a file of the attempt that only the owner can read.
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { CurveKeys } from '@slip/comms';
import { SlipError } from '@slip/core';

/** Shared storage may show a new file this late. */
const PATIENCE_MS = 60_000;
const LOOK_EVERY_MS = 200;

/** @throws SlipError `rendezvous` when this node does not see the file of node 0 */
export async function readDataKeys(attemptFolder: string, patienceMs = PATIENCE_MS): Promise<CurveKeys> {
  const file = path.join(attemptFolder, 'coordinator.json');
  const until = performance.now() + patienceMs;
  for (;;) {
    const keys = await readFile(file, 'utf8').then(keysOf, () => undefined);
    if (keys !== undefined) return keys;
    if (performance.now() > until) break;
    await sleep(LOOK_EVERY_MS);
  }
  throw new SlipError(
    'rendezvous',
    `${file} with the keys of this attempt is not here: node 0 wrote it into the run folder, so the folder has to be shared; ` +
      'put --output-dir on shared storage, or give --comm-encryption off inside a network that you trust',
  );
}

function keysOf(text: string): CurveKeys | undefined {
  const { dataKeys } = JSON.parse(text) as { dataKeys?: Partial<CurveKeys> };
  const { publicKey, secretKey } = dataKeys ?? {};
  return publicKey?.length === 40 && secretKey?.length === 40 ? { publicKey, secretKey } : undefined;
}
