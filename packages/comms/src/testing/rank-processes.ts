// For tests: starts ranks as processes, and collects what they report.
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import type { Report, Role } from './rank-process.js';

export interface RankProcess {
  readonly process: ChildProcess;
  /** The first report of this kind, whenever it came. */
  next<K extends Report['kind']>(kind: K): Promise<Extract<Report, { kind: K }>>;
  /** The exit code, once it has ended by itself. */
  readonly exited: Promise<number | null>;
}

/** Starts one process for each role, in rank order, and waits until all are in the middle of their work. */
export async function startRanks(
  roles: readonly Role['play'][],
  timeoutMs: number,
  killAfter: (kill: () => void) => void,
  transport: Role['transport'] = 'shared',
): Promise<RankProcess[]> {
  const ranks = roles.map((play, rank) => startRank({ rank, worldSize: roles.length, timeoutMs, transport, play }));
  killAfter(() => {
    for (const { process } of ranks) process.kill('SIGKILL');
  });
  const table = await Promise.all(ranks.map(async (rank) => (await rank.next('endpoint')).endpoint));
  for (const { process } of ranks) process.send(table);
  await Promise.all(ranks.map((rank) => rank.next('running')));
  return ranks;
}

function startRank(role: Role): RankProcess {
  const child = fork(path.join(import.meta.dirname, 'rank-process.js'), [JSON.stringify(role)]);
  const reports: Report[] = [];
  child.on('message', (message) => {
    reports.push(message as Report);
    child.emit('report');
  });
  const exited = once(child, 'exit').then(([code]) => code as number | null);
  return {
    process: child,
    exited,
    async next<K extends Report['kind']>(kind: K) {
      for (;;) {
        const found = reports.find((report) => report.kind === kind);
        if (found !== undefined) return found as Extract<Report, { kind: K }>;
        const isOver = await Promise.race([once(child, 'report').then(() => false), exited.then(() => true)]);
        if (isOver && !reports.some((report) => report.kind === kind)) {
          throw new Error(
            `rank ${role.rank} ended (${child.exitCode ?? child.signalCode}) without reporting '${kind}'`,
          );
        }
      }
    },
  };
}
