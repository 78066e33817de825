// For tests: one rank as a process of its own; the parent exchanges endpoints and says what to do.
import { connectZeroMqGroup } from '../zeromq/zeromq-mesh.js';

const [rank, worldSize] = process.argv.slice(2).map(Number);
const fromParent = <T>(kind: string) =>
  new Promise<T>((resolve) => {
    const listen = (message: { kind: string; value: T }) => {
      if (message.kind !== kind) return;
      process.off('message', listen);
      resolve(message.value);
    };
    process.on('message', listen);
  });

const group = await connectZeroMqGroup({
  rank,
  worldSize,
  runId: 'faults',
  generation: 3,
  host: '127.0.0.1',
  // The rank after the one that stops waits for it directly, and is the first to say so.
  timeoutMs: 3000 + 1500 * rank,
  exchange: (endpoint) => {
    const table = fromParent<string[]>('table');
    process.send!({ kind: 'endpoint', value: endpoint });
    return table;
  },
});
const buffer = new Float32Array(2_000_000).fill(1);
try {
  for (let round = 0; round < 1e6; round++) {
    await group.allReduce(buffer);
    buffer.fill(1);
    if (round === 2) process.send!({ kind: 'running' });
  }
} catch (error) {
  process.send!({ kind: 'failed', value: (error as Error).message });
}
await group.close();
process.disconnect();
