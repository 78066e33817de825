// `slip-submit doctor-node RUN`: one node of a doctor job looks at itself and, over TCP and the shared folder, at node 0. Prints
// one line of JSON, which the job's output carries to whoever asked.
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { readdir, statfs, writeFile } from 'node:fs/promises';
import { connect, createServer, type Socket } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { SlipError } from '@slip/core';
import { readMachine } from '../launch/machine.js';
import { awaitEndpoint, publishEndpoint } from '../launch/rendezvous-file.js';
import type { NodeReport } from './doctor-findings.js';

/** In front of the JSON, among whatever else a job prints. */
export const REPORT_MARK = 'slip-doctor ';

export interface DoctorNode {
  readonly runFolder: string;
  readonly nodeRank: number;
  readonly numNodes: number;
  /** Address of node 0 as others reach it. */
  readonly address: string;
  readonly environment: NodeJS.ProcessEnv;
  /** How long the others are waited for, default 100 s: a file may be seen a minute late. */
  readonly patienceMs?: number;
}

/** Everything that can go wrong here is a line of the report. */
export async function reportOnNode(node: DoctorNode): Promise<NodeReport> {
  const { numGpus, numCores } = readMachine(node.environment);
  const shared = await statfs('/dev/shm').catch(() => undefined);
  const disk = await statfs(node.runFolder).catch(() => undefined);
  const header = (process.report.getReport() as unknown as { header: { glibcVersionRuntime?: string } }).header;
  const own = {
    nodeRank: node.nodeRank,
    host: os.hostname(),
    nodeVersion: process.version,
    glibc: header.glibcVersionRuntime ?? '',
    arch: process.arch,
    numCores,
    numGpus,
    notLoaded: await findWhatDoesNotLoad(),
    openFiles: Number(/^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1] ?? 0),
    sharedMemoryBytes: shared === undefined ? 0 : shared.bavail * shared.bsize,
    freeBytes: disk === undefined ? 0 : disk.bavail * disk.bsize,
  };
  try {
    return { ...own, ...(node.nodeRank === 0 ? await answerOthers(node) : await askNodeZero(node)) };
  } catch (thrown) {
    return { ...own, problem: SlipError.from(thrown).message };
  }
}

async function findWhatDoesNotLoad(): Promise<string[]> {
  const problems: string[] = [];
  const tries: [string, () => Promise<unknown>][] = [
    ['zeromq', () => import('zeromq')],
    ['the image decoder', () => import('@slip/data')],
  ];
  for (const [name, load] of tries)
    await load().catch((error: Error) => problems.push(`${name} cannot be loaded (${error.message.split('\n')[0]})`));
  return problems;
}

const endpointFile = ({ runFolder }: DoctorNode) => path.join(runFolder, 'slurm', 'rendezvous', 'doctor');
const probeFile = ({ runFolder }: DoctorNode, nodeRank: number) => path.join(runFolder, 'slurm', `probe-${nodeRank}`);
const PINGS = 10;

/** Node 0: a clock to ask, and a file for each node at the moment when that one begins to look for it. */
async function answerOthers(node: DoctorNode): Promise<Partial<NodeReport>> {
  if (node.numNodes === 1) return {};
  const finished = new Set<number>();
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    createInterface(socket).on('line', (line) => void answer(line, socket));
  });
  const answer = async (line: string, socket: Socket): Promise<void> => {
    const [word, number] = line.split(' ');
    if (word === 'probe') await writeFile(probeFile(node, Number(number)), 'seen\n');
    if (word === 'done') finished.add(Number(number));
    socket.write(`${Date.now()}\n`);
  };
  server.listen(0, node.address);
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  await publishEndpoint(endpointFile(node), { host: node.address, port });
  const end = Date.now() + (node.patienceMs ?? 100_000);
  while (finished.size < node.numNodes - 1 && Date.now() < end) await sleep(50);
  await sleep(200);
  server.close();
  return finished.size < node.numNodes - 1
    ? { problem: `only ${finished.size} of ${node.numNodes - 1} other nodes came` }
    : {};
}

async function askNodeZero(node: DoctorNode): Promise<Partial<NodeReport>> {
  const { host, port } = await awaitEndpoint(endpointFile(node), node.patienceMs ?? 90_000);
  const socket = connect({ host, port, timeout: 10_000 });
  socket.on('timeout', () => socket.destroy(new Error(`no answer from ${host}:${port} within 10 s`)));
  try {
    await once(socket, 'connect').catch((error: Error) => {
      throw new SlipError(
        'rendezvous',
        `cannot reach ${host}:${port} on node 0: ${error.message}; a firewall between the nodes?`,
      );
    });
    const lines = createInterface(socket)[Symbol.asyncIterator]();
    const ask = async (question: string): Promise<{ there: number; sent: number; tookMs: number }> => {
      const [sent, startedAt] = [Date.now(), performance.now()];
      socket.write(`${question}\n`);
      const { value } = await lines.next();
      return { there: Number(value), sent, tookMs: performance.now() - startedAt };
    };
    const pings: Awaited<ReturnType<typeof ask>>[] = [];
    for (let i = 0; i < PINGS; i++) pings.push(await ask('ping'));
    const best = pings.reduce((a, b) => (b.tookMs < a.tookMs ? b : a));
    await ask(`probe ${node.nodeRank}`);
    const fileSeenAfterMs = await timeUntilSeen(probeFile(node, node.nodeRank), node.patienceMs ?? 90_000);
    await ask(`done ${node.nodeRank}`);
    return { roundTripMs: best.tookMs, clockSkewMs: best.sent + best.tookMs / 2 - best.there, fileSeenAfterMs };
  } finally {
    socket.destroy();
  }
}

async function timeUntilSeen(file: string, withinMs: number): Promise<number> {
  const startedAt = performance.now();
  for (;;) {
    if (existsSync(file)) return performance.now() - startedAt;
    if (performance.now() - startedAt > withinMs)
      throw new SlipError(
        'data',
        `${file}, written by node 0, is not seen here: the folder has to be on storage that all nodes share`,
      );
    await readdir(path.dirname(file)).catch(() => []);
    await sleep(20);
  }
}
