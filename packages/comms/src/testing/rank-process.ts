// For tests: one rank as a process of its own; the parent exchanges the endpoints and tells the process what to play.
import type { ProcessGroup } from '../process-group.js';
import { connectZeroMqGroup, type Transport } from '../zeromq/connect.js';

export interface Role {
  readonly rank: number;
  readonly worldSize: number;
  readonly timeoutMs: number;
  readonly transport: Transport;
  /** `reduce`: long all-reduces without end. The others make one odd call after a few rounds, or close and are done. */
  readonly play: 'reduce' | 'other operation' | 'other size' | 'finish';
}

/** What a rank tells its parent. */
export type Report =
  | { readonly kind: 'endpoint'; readonly endpoint: string }
  | { readonly kind: 'running' }
  | { readonly kind: 'failed'; readonly code: string; readonly message: string; readonly culprit: unknown };

const ROUNDS_BEFORE = 3;
const ELEMENTS = 2_000_000;

const { rank, worldSize, timeoutMs, transport, play } = JSON.parse(process.argv[2]) as Role;
const report = (message: Report) => process.send!(message);

const group = await connectZeroMqGroup({
  rank,
  worldSize,
  runId: 'faults',
  generation: 3,
  host: '127.0.0.1',
  timeoutMs,
  transport,
  exchange: (endpoint) => {
    const table = new Promise<string[]>((resolve) => {
      process.once('message', (message) => resolve(message as string[]));
    });
    report({ kind: 'endpoint', endpoint });
    return table;
  },
});
try {
  await act(group);
} catch (error) {
  const { code, message, details } = error as { code: string; message: string; details: { rank?: number } };
  report({ kind: 'failed', code, message, culprit: details.rank });
}
await group.close();
// The channel to the parent is what is left; whatever else kept this process alive would be a fault.
process.disconnect();

async function act(ranks: ProcessGroup): Promise<void> {
  const buffer = new Float32Array(ELEMENTS);
  for (let round = 0; ; round++) {
    if (round === ROUNDS_BEFORE) {
      report({ kind: 'running' });
      if (play === 'finish') return;
      if (play === 'other operation') await ranks.barrier();
      if (play === 'other size') await ranks.allReduce(buffer.subarray(1));
    }
    buffer.fill(rank);
    await ranks.allReduce(buffer);
  }
}
